"""One writer at a time where there is no operating system to lock a file: by conditional writes of an object.

A writer puts its name into the object, on the condition that it is not there, or free. While it works it
writes the object again every few seconds, on the condition that it is as it left it. A writer that is killed
stops doing so: whoever sees the object unchanged for `LEASE_SECONDS`, by its own clock, takes it over by the
same condition, of which the store grants one. One that was only held up, as in a laptop that was closed,
notices at its next write, and is fenced off the table (`resight.collection.place`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import final

from resight.collection.lance_errors import asking
from resight.errors import CollectionLocked, StorageFailed
from resight.files.objects import ObjectChanged, ObjectPath, StoreRefused

__all__ = ["LEASE_SECONDS", "Lease", "leased"]

LEASE_SECONDS = 20.0
"""Seconds without a sign of its holder, after which a lock is taken over."""

_SIGNS = 4
"""Signs of life that a holder gives in that time."""

_POLL_SECONDS = 0.5


@final
class Lease:
    """A lock that is held. Safe to use from several threads.

    Args:
        place: The object.
        etag: Of the object as it was written last.
        mark: What tells this holder from all others.
        seconds: After which others may take it over.
    """

    def __init__(self, place: ObjectPath, etag: str, mark: str, seconds: float) -> None:
        self._place, self._etag, self._mark, self._seconds = place, etag, mark, seconds
        self._lock = threading.Lock()
        self._count = 0
        self._renewed = time.monotonic()
        self._is_lost = False

    def confirm(self) -> None:
        """Returns if no other writer has taken over.

        Raises:
            CollectionLocked: One has: what was written since is not to be relied on.
            StorageFailed: The store has not answered for so long that one may have.
        """
        with self._lock:
            try:
                self._renew()
            except StoreRefused as error:
                if time.monotonic() - self._renewed >= self._seconds:
                    raise StorageFailed(str(error)) from None
            if self._is_lost:
                raise CollectionLocked(
                    f"another process has taken over {self._place.parent} from this one, which gave no sign "
                    f"for {self._seconds:g} s: what was committed before is intact; run the same again"
                )

    def keep(self, stop: threading.Event) -> None:
        """Gives signs of life until it is told to stop."""
        while not stop.wait(self._seconds / _SIGNS):
            with self._lock, suppress(StoreRefused):
                self._renew()

    def release(self) -> None:
        """Frees the lock, where the store answers; else it is free after `LEASE_SECONDS`."""
        with self._lock, suppress(ObjectChanged, StoreRefused):
            if not self._is_lost:
                self._place.write_if(_text("", 0), self._etag)

    def _renew(self) -> None:
        if self._is_lost:
            return
        self._count += 1
        try:
            self._etag = self._place.write_if(_text(self._mark, self._count), self._etag)
        except ObjectChanged:
            # Perhaps by itself: of a write whose answer was lost, the client's second try is refused.
            holder = ""
            with suppress(FileNotFoundError):
                holder, self._etag = _read(self._place)
            self._is_lost = holder != self._mark
        if not self._is_lost:
            self._renewed = time.monotonic()


@contextmanager
def leased(
    place: ObjectPath, *, timeout: float, seconds: float | None = None
) -> Iterator[tuple[Lease, bool]]:
    """Holds the lock of an object; yields it, and whether it was taken over from a writer that was killed.

    Args:
        place: The object; it stays where it is.
        timeout: Seconds to wait for a writer that gives signs of life. One that gives none is waited for as
            long as it takes to see that.
        seconds: Without a sign, after which a lock is taken over; `LEASE_SECONDS` by default.

    Raises:
        CollectionLocked: Another process is writing.
        StorageFailed: The store does not answer, refuses, or knows no conditional writes.
    """
    mark = f"process {os.getpid()} of {socket.gethostname()}, {secrets.token_hex(8)}"
    seconds = LEASE_SECONDS if seconds is None else seconds
    with asking():
        etag, was_held = _acquired(place, mark, timeout, seconds)
        _require_conditions(place, etag)
    lease, stop = Lease(place, etag, mark, seconds), threading.Event()
    signs = threading.Thread(target=lease.keep, args=(stop,), daemon=True)
    signs.start()
    try:
        yield lease, was_held
    finally:
        stop.set()
        signs.join()
        lease.release()


def _acquired(place: ObjectPath, mark: str, timeout: float, seconds: float) -> tuple[str, bool]:
    """Returns the ETag of the lock, and whether another held it."""
    started = since = time.monotonic()
    seen, signs = "", 0
    while True:
        with suppress(ObjectChanged):
            return place.write_if(_text(mark, 0), None), False
        with suppress(ObjectChanged, FileNotFoundError):
            holder, etag = _read(place)
            if not holder:
                return place.write_if(_text(mark, 0), etag), False
            now = time.monotonic()
            if etag != seen:
                signs, seen, since = signs + bool(seen), etag, now
            elif now - since >= seconds:
                return place.write_if(_text(mark, 0), etag), True
            if signs and now - started >= timeout:
                raise CollectionLocked(
                    f"{holder.partition(',')[0]} is writing to the collection {place.parent}: waited "
                    f"{timeout:g} s; try again when it has finished"
                )
        time.sleep(min(_POLL_SECONDS, seconds / _SIGNS))


def _require_conditions(place: ObjectPath, etag: str) -> None:
    """Returns if the store refuses what a condition forbids: some take no notice of conditions.

    Raises:
        StorageFailed: It does not.
    """
    data = place.read_bytes()
    for wrong in (None, f'"{etag[1:-1][::-1]}0"'):
        with suppress(ObjectChanged):
            place.write_if(data, wrong)
            raise StorageFailed(
                f"the store of {place.parent} knows no conditional writes (If-None-Match, If-Match), which "
                "keep two writers apart: keep the collection on a disk, or in a store that does"
            )


def _text(mark: str, count: int) -> bytes:
    # No two of these are equal: stores make ETags of the bytes.
    return json.dumps({"holder": mark, "count": count, "written": secrets.token_hex(8)}).encode()


def _read(place: ObjectPath) -> tuple[str, str]:
    """Returns who holds the lock, empty for nobody, and its ETag; what is no lock of ours counts as free."""
    data, status = place.read()
    try:
        return str(json.loads(data)["holder"]), status.etag
    except (ValueError, KeyError, TypeError):
        return "", status.etag
