"""The page of a calibration: the reliability diagram of what was said of held-out pairs, and its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resight.files import write_whole
from resight.reports.page import render
from resight.search.probability import PairProbability

__all__ = ["render_calibration", "write_calibration"]

_SMALLEST, _LARGEST = 1.0, 3.2
"""Radii of the dots in a diagram of 100 units: their areas go with the number of pairs."""


@dataclass(frozen=True, slots=True)
class _Bin:
    """A dot of the diagram; ``said``, ``share`` and the ends of its interval are from 0 to 1."""

    said: float
    share: float
    low: float
    high: float
    pairs: int
    radius: float


@dataclass(frozen=True, slots=True)
class _Page:
    """What ``calibration.html`` shows."""

    title: str
    learned: PairProbability
    queries: int
    bins: Sequence[_Bin]
    facts: dict[str, str]


def write_calibration(
    learned: PairProbability,
    bins: Sequence[tuple[float, float, int]],
    path: str | Path,
    *,
    queries: int,
    title: str,
) -> None:
    """Writes the page: one HTML file that needs nothing else, whole or not at all.

    Args:
        learned: The regression and its Brier score of held-out queries.
        bins: `resight.search.probability.reliability` of the held-out pairs.
        path: The file to write; one that is there is replaced.
        queries: How many queries the pairs are of.
        title: The headline.

    Raises:
        OSError: The file cannot be written.
    """
    write_whole(path, render_calibration(learned, bins, queries=queries, title=title))


def render_calibration(
    learned: PairProbability, bins: Sequence[tuple[float, float, int]], *, queries: int, title: str
) -> str:
    """Returns the page as HTML, see `write_calibration`."""
    most = max((pairs for *_, pairs in bins), default=1)
    dots = [
        _Bin(said, share, *_interval(share, pairs), pairs, max(_SMALLEST, _LARGEST * math.sqrt(pairs / most)))
        for said, share, pairs in bins
    ]
    facts = {
        "learned from": learned.source,
        "queries": f"{queries:,}",
        "pairs": f"{learned.pairs:,}",
        "of the same thing": f"{learned.same:,} ({100 * learned.same / learned.pairs:.0f} %)",
        "Brier score": f"{learned.brier:.4f}, of pairs whose query was held out",
        "without knowledge": f"{learned.uninformed:.4f}, the share of the same thing said of each pair",
    }
    return render("calibration.html", _Page(title, learned, queries, dots, facts))


def _interval(share: float, pairs: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    z = 1.96
    middle = (share + z * z / (2 * pairs)) / (1 + z * z / pairs)
    half = z / (1 + z * z / pairs) * math.sqrt(share * (1 - share) / pairs + z * z / (4 * pairs * pairs))
    return max(0.0, middle - half), min(1.0, middle + half)
