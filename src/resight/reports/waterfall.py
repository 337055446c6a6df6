"""The page of what each step after the descriptor adds: a chart a task, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from resight.evaluation.card import ProtocolCard
from resight.evaluation.result import Measure
from resight.evaluation.statistics import PairedTest
from resight.evaluation.waterfall import Stage, Waterfall
from resight.files import write_whole
from resight.reports.evaluation import card_lines
from resight.reports.page import render

__all__ = ["render_waterfall", "write_waterfall"]


@dataclass(frozen=True, slots=True)
class _Bar:
    """A step of a chart, from the value before it to its own; places are from 0 to 100."""

    name: str
    measure: Measure
    change: PairedTest | None
    start: float
    end: float
    low: float
    high: float

    @property
    def kind(self) -> str:
        """Whether the step gained or lost; ``first`` of the first."""
        if self.change is None:
            return "first"
        return "gained" if self.change.difference.mean >= 0 else "lost"


@dataclass(frozen=True, slots=True)
class _Chart:
    """The steps of one measure; the chart's right end is ``reach``."""

    name: str
    reach: float
    bars: tuple[_Bar, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """What ``waterfall.html`` shows."""

    title: str
    card: ProtocolCard
    charts: tuple[_Chart, ...]
    stages: tuple[Stage, ...]
    protocol: dict[str, str]


def write_waterfall(waterfall: Waterfall, path: str | Path) -> None:
    """Writes the page: one HTML file that needs nothing else, whole or not at all.

    Args:
        waterfall: What was measured.
        path: The file to write; one that is there is replaced.

    Raises:
        OSError: The file cannot be written.
    """
    write_whole(path, render_waterfall(waterfall))


def render_waterfall(waterfall: Waterfall) -> str:
    """Returns the page as HTML."""
    card = waterfall.card
    page = _Page(
        f"What each step adds to {PurePosixPath(card.model).name} on {card.benchmark}, {card.folder}",
        card,
        tuple(_chart(waterfall.stages, place) for place in range(len(waterfall.stages[0].measures))),
        waterfall.stages,
        card_lines(card),
    )
    return render("waterfall.html", page)


def _chart(stages: tuple[Stage, ...], place: int) -> _Chart:
    """Returns the chart of the measure at a place of every stage."""
    measures = [stage.measures[place] for stage in stages]
    ends = [measure.high for measure in measures if measure.high is not None]
    reach = max([*ends, 0.01])
    bars = []
    before = 0.0
    for stage, measure in zip(stages, measures, strict=True):
        value = measure.value or 0.0
        low, high = (value if end is None else end for end in (measure.low, measure.high))
        start, end = _placed(min(before, value), max(before, value), reach)
        bars.append(_Bar(stage.name, measure, stage.changes[place], start, end, *_placed(low, high, reach)))
        before = value
    return _Chart(measures[0].name, reach, tuple(bars))


def _placed(low: float, high: float, reach: float) -> tuple[float, float]:
    """Returns both ends in a chart, at least half a hundredth apart, so that they can be seen."""
    start = min(100 * low / reach, 99.5)
    return start, max(100 * high / reach, start + 0.5)
