"""From errors to one sentence on standard error and an exit code."""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import NoReturn, Protocol, cast

import typer

from resight.cli.output import one_line
from resight.errors import ResightError, clipped
from resight.files import did_you_mean
from resight.files.names import escape_controls

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "NO_ANSWER",
    "SOME_UNREADABLE",
    "WRONG_COMMAND_LINE",
    "exit_code",
    "leave",
]

FAILED, WRONG_COMMAND_LINE, SOME_UNREADABLE, NO_ANSWER, INTERRUPTED = 1, 2, 3, 4, 130

# Newer versions of Typer hold a click of their own: its public error leads to the base of either.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]


class _UsageError(Protocol):
    """What click says of a wrong command line."""

    ctx: typer.Context | None

    def format_message(self) -> str: ...


def exit_code(command: Callable[[], object], *, debug: bool) -> int:
    """Returns the exit code of a command, after saying what went wrong in one sentence on standard error."""
    if not debug:
        sys.excepthook = _surprise
    try:
        code = command()
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except SystemExit:
        # Typer's, where the reader of the output has left, as head does.
        return FAILED
    except _USAGE_ERROR as error:
        return _wrong_command_line(cast(_UsageError, error))
    except (ResightError, OSError) as error:
        if debug:
            raise
        return _say(_sentence(error), FAILED)
    except Exception as error:
        # Libraries in native code put the interruption into an error of their own.
        if KeyboardInterrupt.__name__ not in f"{error}{error.__cause__!r}{error.__context__!r}":
            raise
        code = INTERRUPTED
    if code == INTERRUPTED:
        return _say("stopped: what was committed stays, and the same command can be run again", INTERRUPTED)
    return code if isinstance(code, int) else 0


def leave(code: int) -> NoReturn:
    """Ends the process with an exit code; after Ctrl-C without waiting for threads that still work.

    What the interpreter does at its end is done but for taking itself apart, which costs a short command a
    tenth of its time.
    """
    if code != INTERRUPTED:
        threading._shutdown()  # type: ignore[attr-defined]  # Waits for threads, and ends idle pools.
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _say(sentence: str, code: int) -> int:
    # A line break of a name would begin a line that looks like one of ours.
    print(f"resight: {one_line(escape_controls(clipped(sentence)))}", file=sys.stderr)
    return code


def _sentence(error: ResightError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error) or type(error).__name__


def _wrong_command_line(error: _UsageError) -> int:
    message = _worded(error.format_message().rstrip("."))
    if message.startswith("No such option"):
        files = (word for word in sys.argv[1:] if word.startswith("-") and os.path.lexists(word))
        message += "".join(f"; the file {name} is written ./{name}" for name in files)
    path = error.ctx.command_path if error.ctx is not None else "resight"
    return _say(f"{message}{'' if message.endswith('?') else ';'} see {path} --help", WRONG_COMMAND_LINE)


_WORDS = (
    (r"Value error, ", ""),
    (r"Input should be a valid integer.*", "a whole number is expected"),
    (r"Input should be a valid number.*", "a number is expected"),
    (r"Input should be greater than or equal to (.*)", r"\1 is the least"),
    (r"Input should be less than or equal to (.*)", r"\1 is the most"),
)
"""What the checker of values says, and what a person reads."""


def _worded(message: str) -> str:
    """Returns the message in plain words, with the nearest of the values that an option takes."""
    for pattern, words in _WORDS:
        message = re.sub(pattern, words, message)
    choice = re.search(r"'([^']*)' is not one of (.*)", message)
    return (
        message if choice is None else message + did_you_mean(choice[1], re.findall("'([^']*)'", choice[2]))
    )


def _surprise(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Says what happened where nothing foresaw it; the traceback is for ``--debug``."""
    del traceback
    _say(f"this should not have happened ({kind.__name__}: {error}); --debug shows where", FAILED)
