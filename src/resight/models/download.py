"""A file from an address: resumed where it broke off, bounded in size, its hash checked."""

from __future__ import annotations

import http.client
import logging
import time
import urllib.error
import urllib.request
from pathlib import Path

from resight.errors import WeightsUnavailable
from resight.files import sha256_of

__all__ = ["fetch_file"]

_LOG = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 20.0
_TRIES = 5
_BLOCK = 1 << 20
_LINE_SECONDS = 5.0
# What a server that is gone, refuses or breaks off raises.
_BROKEN = (OSError, http.client.HTTPException)


def fetch_file(url: str, path: Path, *, digest: str, most_bytes: int, wanted: str) -> None:
    """Fetches a file; what is there of it already (``path`` with ``.part``) is not fetched again.

    How far it is goes to the log: every five seconds a line.

    Args:
        url: Where it is.
        path: Where it shall be; its folder exists.
        digest: The first hexadecimal digits of its SHA-256.
        most_bytes: Of a file that is larger nothing is kept.
        wanted: What is being loaded, for messages.

    Raises:
        WeightsUnavailable: The server cannot be reached or breaks off again and again (what was fetched
            stays), or the file has another hash or is too large (it is removed).
    """
    part = path.with_name(path.name + ".part")
    for attempt in range(_TRIES):
        try:
            total = _fetch_rest(url, part, most_bytes=most_bytes, wanted=wanted)
        except _BROKEN as error:
            reason = _reason(error)
            if isinstance(error, urllib.error.HTTPError) or not part.is_file():
                break
            time.sleep(min(attempt, 2))
            continue
        size = part.stat().st_size
        if total is None or size == total:
            _check_hash(part, digest, url=url, wanted=wanted)
            part.replace(path)
            return
        reason = f"the server broke off after {size:,} of {total:,} bytes"
    kept = f"; {part.stat().st_size:,} bytes are kept and not fetched again" if part.is_file() else ""
    raise WeightsUnavailable(
        f"cannot fetch the weights of {wanted} from {url}: {reason}{kept}; try again when the address can be "
        "reached, or fetch the file elsewhere and name it: resight convert FILE --as " + wanted
    )


def _fetch_rest(url: str, part: Path, *, most_bytes: int, wanted: str) -> int | None:
    """Appends what is missing of a file; returns the bytes of the whole one, as far as the server says."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # Nothing is missing, or the part is of another file: its hash tells.
        return have
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        _refuse_large(part, total or 0, most_bytes, wanted=wanted)
        with part.open("ab" if resumed else "wb") as stream:
            done, due = start, time.monotonic() + _LINE_SECONDS
            while block := response.read(_BLOCK):
                done += len(block)
                _refuse_large(part, done, most_bytes, wanted=wanted)
                stream.write(block)
                if time.monotonic() > due:
                    due += _LINE_SECONDS
                    of = "" if total is None else f" of {total / 1e6:.0f}"
                    _LOG.info("%s: %.0f%s MB fetched", wanted, done / 1e6, of)
    return total


def _refuse_large(part: Path, size: int, most_bytes: int, *, wanted: str) -> None:
    if size > most_bytes:
        part.unlink(missing_ok=True)
        raise WeightsUnavailable(
            f"the server gives more than {most_bytes:,} bytes for {wanted}, which is not its file"
        )


def _check_hash(part: Path, digest: str, *, url: str, wanted: str) -> None:
    found = sha256_of([part])
    if not found.startswith(digest):
        part.unlink()
        raise WeightsUnavailable(
            f"the file behind {url} is not that of {wanted}: its SHA-256 begins with {found[: len(digest)]} "
            f"and should begin with {digest}; nothing of it is kept"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    return str(getattr(error, "reason", "") or error or type(error).__name__)
