"""The command ``resight``, also as ``python -m resight``: Ctrl-C ends it within a second at any moment."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

__all__ = ["run"]

_INTERRUPTED = 130

_GRACE = 0.7
"""Seconds that a command has to end by itself: native code does not hear of Ctrl-C before it is done."""


def run() -> NoReturn:
    """Does what the process's command line asks, and ends the process."""
    if os.name != "nt":
        _watch()
    try:
        # Only now: importing takes a moment, which Ctrl-C may cut short like any other.
        from resight.cli import run as run_command

        run_command()
    except KeyboardInterrupt:
        _end()


def _watch() -> None:
    """Ends the process after Ctrl-C where it does not end by itself; at the second one at once.

    Whatever is being written is whole or not there, as after any other sudden end.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # The interpreter writes here when the signal comes, even while the main thread is in native code.
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_wait, args=(reader,), name="ctrl-c", daemon=True).start()


def _wait(reader: int) -> None:
    while signal.SIGINT not in os.read(reader, 64):
        pass
    select.select([reader], [], [], _GRACE)
    _end()


def _end() -> NoReturn:
    # The cursor, which a progress bar hides.
    shown = "\x1b[?25h" if sys.stderr is not None and sys.stderr.isatty() else ""
    sentence = "resight: stopped: what was committed stays, and the same command can be run again"
    with suppress(OSError):
        os.write(2, f"{shown}{sentence}\n".encode())
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    run()
