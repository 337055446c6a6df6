"""What a notebook shows of answers, collections, models and results: a small table, or a row of photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeAlias

from resight.collection.answer import Answer, Hit, QueryPhoto
from resight.collection.collection import Collection
from resight.evaluation.comparison import Comparison
from resight.evaluation.result import Measure, Result
from resight.evaluation.waterfall import Waterfall
from resight.models.model import Model
from resight.reports.embedded import EmbeddedPhoto, embed
from resight.reports.page import render
from resight.reports.verdict import VERDICT_WORDS, nothing_words, probability_words

__all__ = ["Shown", "html_of"]

Shown: TypeAlias = Answer | Collection | Comparison | Model | Result | Waterfall
"""What a notebook shows."""

_SIDE, _PHOTOS = 128, 12
"""Long side of a photo in pixels, and how many answers are shown: a cell stays below some 100 kB."""


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo with what is said of it; ``lines`` are short."""

    photo: EmbeddedPhoto
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Cell:
    """What ``notebook.html`` shows: photos, a table whose first column names its rows, or both."""

    title: str
    photos: tuple[_Photo, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""


def html_of(value: Shown) -> str:
    """Returns a value as HTML for a notebook: escaped, without scripts, loading nothing."""
    return render("notebook.html", _cell(value))


def _cell(value: Shown) -> _Cell:
    if isinstance(value, Answer):
        return _answer(value)
    if isinstance(value, Collection):
        model = value.info().model
        rows = (("directory", str(value.path)), ("photos", f"{len(value):,}"), ("model", model))
        return _Cell("Collection", rows=rows)
    if isinstance(value, Model):
        return _model(value)
    if isinstance(value, Comparison):
        return _comparison(value)
    return _result(value) if isinstance(value, Result) else _waterfall(value)


def _answer(answer: Answer) -> _Cell:
    queries = tuple(_query(query) for query in answer.queries)
    hits = tuple(_hit(hit) for hit in answer.hits[:_PHOTOS])
    left = len(answer.hits) - len(hits)
    count = f"{len(answer.hits):,} of {answer.searched:,} photos"
    count += f"; {left:,} more are not shown here" if left else ""
    nothing = nothing_words(answer)
    return _Cell("Answer", (*queries, *hits), note=count if nothing is None else f"{nothing} {count}")


def _query(query: QueryPhoto) -> _Photo:
    photo = embed(query.source, _SIDE, width=query.width, height=query.height, box=query.box)
    return _Photo(photo, query.path, ("query" if query.wanted else "without", PurePath(query.path).name))


def _hit(hit: Hit) -> _Photo:
    photo = embed(hit.path, _SIDE, width=hit.width, height=hit.height, missing=hit.missing)
    evidence = f"{hit.similarity:.3f}" + ("" if hit.inliers is None else f", {hit.inliers:,} points agree")
    likely = () if hit.probability is None else (f"{probability_words(hit.probability)} likely",)
    said = (f"{hit.rank} {VERDICT_WORDS[hit.verdict]}", *likely, evidence, PurePath(hit.path).name)
    return _Photo(photo, hit.path, said)


def _model(model: Model) -> _Cell:
    local = "none" if model.local is None else f"{model.local.kind}, {model.local.dim} numbers each"
    rows = (
        ("name", model.name),
        ("dimensions", f"{model.dim:,}"),
        ("long side", f"{model.max_side:,} px"),
        ("local features", local),
        ("licence", model.licence),
        ("fingerprint", model.fingerprint[:16]),
    )
    return _Cell("Model", rows=rows)


def _result(result: Result) -> _Cell:
    card = result.card
    rows = tuple((measure.name, *_numbers(measure), f"{measure.count:,}") for measure in result.measures)
    drawn = next((fact.text for fact in card.facts if fact.name == "intervals"), "")
    return _Cell(
        f"{PurePath(card.model).name} on {card.benchmark}, {card.folder}",
        columns=("measure", "value", "95 % interval", "over"),
        rows=rows,
        note=drawn,
    )


def _comparison(comparison: Comparison) -> _Cell:
    rows = tuple(
        (
            one.name,
            f"{one.first:.4f}",
            f"{one.second:.4f}",
            f"{one.test.difference.mean:+.4f}",
            f"{one.test.difference.low:+.4f} to {one.test.difference.high:+.4f}",
            f"{one.test.p_value:.4f}",
        )
        for one in comparison.measures
    )
    first, second = (PurePath(name).name for name in (comparison.first, comparison.second))
    return _Cell(
        f"A: {first}, B: {second}",
        columns=("measure", "A", "B", "B - A", "95 % interval", "p"),
        rows=rows,
        note=" ".join((f"Drawn for intervals and tests: {comparison.unit}.", *comparison.warnings)),
    )


def _waterfall(waterfall: Waterfall) -> _Cell:
    card = waterfall.card
    names = [measure.name for measure in waterfall.stages[0].measures]
    rows = tuple(
        (stage.name, *(" ".join(_numbers(one)) for one in stage.measures), f"{stage.milliseconds:.1f}")
        for stage in waterfall.stages
    )
    return _Cell(
        f"{PurePath(card.model).name} on {card.benchmark}, {card.folder}",
        columns=("each step with those before", *names, "ms a query"),
        rows=rows,
    )


def _numbers(measure: Measure) -> tuple[str, str]:
    value = "" if measure.value is None else f"{measure.value:.4f}"
    return value, "" if measure.low is None else f"[{measure.low:.4f}, {measure.high:.4f}]"
