"""One rule for readers of files from elsewhere: whatever a parser raises becomes the format's sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resight.errors import InvalidInput, ResightError
from resight.files.budget import shown
from resight.files.objects import ObjectPath

__all__ = ["reading", "reason_of"]


@contextmanager
def reading(
    path: str | Path | ObjectPath,
    sentence: str,
    *,
    unreadable: str = "",
    refusal: type[ResightError] = InvalidInput,
    advice: str = "",
) -> Iterator[None]:
    """Turns whatever is raised inside of the block into one error with one sentence.

    Parsers of binary formats raise what their authors did not foresee: an index out of range, a struct that
    is too short, a panic of compiled code. A list of them is never whole, and what it lacks ends a command
    with a traceback. An error of this package passes if it
    names the file, and follows the sentence if it does not; the user's interruption passes.

    Args:
        path: The file.
        sentence: What is wrong with a file that cannot be parsed, such as ``a.npy is no matrix``.
        unreadable: What is said where the system cannot read it; ``cannot read`` and the path by default.
        refusal: What is raised.
        advice: What to do, after the reason.

    Raises:
        ResightError: An error of the type ``refusal``.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except ResightError as error:
        if type(error) is not InvalidInput or str(path) in str(error):
            raise
        raise refusal(f"{sentence}: {error}") from None
    # Panics of compiled Rust are no Exception.
    except BaseException as error:
        end = f"; {advice}" if advice else ""
        if isinstance(error, OSError) and error.strerror is not None and error.errno is not None:
            raise refusal(f"{unreadable or f'cannot read {path}'}: {error.strerror}{end}") from None
        raise refusal(f"{sentence}: {reason_of(error)}{end}") from None


def reason_of(error: BaseException) -> str:
    """Returns the first line of what an error says, shortened; its type where it says nothing."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError):
        return f"no {shown(error)}"
    lines = str(error).strip().splitlines()
    return shown(lines[0]) if lines else type(error).__name__
