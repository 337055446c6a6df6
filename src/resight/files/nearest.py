"""What an unknown word was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

__all__ = ["did_you_mean", "nearest", "suggestion"]

_MOST_LISTED = 20


def nearest(word: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """Returns the known words that resemble ``word``, the most alike first; capitals do not count.

    Args:
        word: The unknown word.
        known: The words there are.
        most: How many are returned at most.
    """
    names = {name.lower(): name for name in known}
    return [names[each] for each in difflib.get_close_matches(word.lower(), names, n=most, cutoff=0.5)]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns ``, did you mean NAME`` for the end of a clause, or nothing where no known word is near."""
    return "".join(f", did you mean {name}" for name in nearest(word, known))


def suggestion(word: str, known: Collection[str]) -> str:
    """Returns what to do about an unknown word: the nearest known one, or the list of all."""
    close = nearest(word, known)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
    return f"known are {', '.join(sorted(known)[:_MOST_LISTED])}{more}"
