"""Errors of Lance and of a store as those of a collection, and reading that survives a clean-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from resight.errors import CollectionDamaged, InvalidInput, StorageFailed
from resight.files import ObjectPath, StoreRefused

__all__ = ["asking", "reading", "reason", "vanished", "writing"]

_ATTEMPTS = 5

_Result = TypeVar("_Result")


def reading(path: Path | ObjectPath, read: Callable[[], _Result], again: Callable[[], None]) -> _Result:
    """Returns what is read; tries again while files vanish, as they do when a writer cleans up."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _without_panics(read)
        except InvalidInput:
            raise
        except (OSError, ValueError) as error:
            if not vanished(error):
                raise _damaged(path, error) from None
        try:
            again()
        except (OSError, ValueError) as error:
            if not vanished(error):
                raise _damaged(path, error) from None
    try:
        return _without_panics(read)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _without_panics(read: Callable[[], _Result]) -> _Result:
    """Returns what is read; a panic of Lance over damaged bytes, no `Exception`, becomes a ValueError."""
    try:
        return read()
    except BaseException as error:
        _raise_interrupt(error)
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"Lance stopped over it: {error}") from None


def _raise_interrupt(error: BaseException) -> None:
    """Raises KeyboardInterrupt where Lance has met one in a function of ours and tells it as an error."""
    if "KeyboardInterrupt" in str(error):
        raise KeyboardInterrupt from None


def vanished(error: Exception) -> bool:
    """Returns whether a file was gone, as after a writer's clean-up."""
    text = str(error)
    return "Not found: " in text or "No such file" in text


def _damaged(path: Path | ObjectPath, error: Exception) -> CollectionDamaged:
    return CollectionDamaged(
        f"the collection {path} cannot be read ({reason(error)}): check its disk, restore it from a copy, "
        f"or index the photos into a new collection"
    )


@contextmanager
def asking() -> Iterator[None]:
    """Turns what the store of a bucket refuses inside the block into `StorageFailed`."""
    try:
        yield
    except StoreRefused as error:
        raise StorageFailed(str(error)) from None


@contextmanager
def writing(path: Path | ObjectPath) -> Iterator[None]:
    """Turns what the disk refuses inside the block into `StorageFailed`."""
    try:
        yield
    except OSError as error:
        _raise_interrupt(error)
        raise StorageFailed(
            f"the disk refused to write to the collection {path} ({reason(error)}): what was committed "
            f"before is intact; make room or give write access, then run the same again"
        ) from None


def reason(error: Exception) -> str:
    """Returns the first line of Lance's message without the place in its source code."""
    text = str(error).split("\n")[0].split(", /")[0].split(". Valid fields")[0]
    return text.removeprefix("Invalid user input: ")[:300]
