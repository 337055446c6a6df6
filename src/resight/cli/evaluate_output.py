"""What ``resight evaluate`` prints and writes: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli.output import (
    Json,
    as_json,
    command_line,
    console,
    count,
    plain_table,
    shown_path,
    write_json,
)

if TYPE_CHECKING:
    from resight.evaluation import Comparison, Measure, ProtocolCard, Quantity, Result, Waterfall
    from resight.pipelines.evaluate import Evaluation

__all__ = ["print_comparison", "print_waterfall", "report"]


def report(evaluation: Evaluation, *, html: Path | None, out: Path | None, as_json: bool) -> None:
    """Writes the files where there is a path for them, and prints the result."""
    from resight.evaluation import write_result
    from resight.reports import write_report

    result = evaluation.result
    if out is not None:
        write_result(result, out)
    if html is not None:
        write_report(result, html, root=evaluation.photos)
    if as_json:
        write_json(_labelled_json(result) if result.card.is_labelled else _landmark_json(result))
    else:
        _print_result(result, html=html, out=out)


def _labelled_json(result: Result) -> dict[str, object]:
    from resight.evaluation.result import named

    measures = [named(measure) for measure in result.measures]
    return {"card": result.card, "measures": measures, "clusters": result.clusters}


def _landmark_json(result: Result) -> dict[str, Json]:
    """Returns the form that other programs read.

    ``metrics`` holds fractions of one: ``mAP`` by task (``easy``, ``medium``, ``hard``; ``all`` where there
    is but one), ``mP`` by task and rank, ``recall`` by rank, ``mAP@100`` and ``microAP`` by usage.
    ``intervals`` and ``queries`` (how many count) have the same form; ``per_query`` holds the main measure's
    values by query.
    """
    per_query: dict[str, Json] = {
        column.quantity.task: dict(zip(result.queries, column.values, strict=True))
        for column in result.columns
        if column.quantity.formula == result.main.formula
    }
    return {
        "model": result.card.model,
        "benchmark": result.card.benchmark,
        "metrics": _nested({measure.quantity: measure.value for measure in result.measures}),
        "intervals": _intervals(result.measures),
        "queries": _nested({measure.quantity: measure.count for measure in result.measures}),
        "per_query": {result.main.formula: per_query},
        **_how(result.card),
    }


def _how(card: ProtocolCard) -> dict[str, Json]:
    described = as_json(card)
    if isinstance(described, dict):
        described.pop("versions")
        described["facts"] = {fact.name: fact.text for fact in card.facts}
    return {"protocol": described, "versions": {part.name: part.version for part in card.versions}}


def _intervals(measures: Sequence[Measure]) -> dict[str, Json]:
    return _nested(
        {
            measure.quantity: None if measure.low is None else [measure.low, measure.high]
            for measure in measures
        }
    )


def _nested(values: Mapping[Quantity, Json]) -> dict[str, Json]:
    """Returns each value under the keys of its quantity: ``{"mP": {"easy": {"5": 0.8}}}``."""
    nested: dict[str, Json] = {}
    for quantity, value in values.items():
        *keys, last = _keys(quantity)
        here: Json = nested
        for key in keys:
            here = here.setdefault(key, {}) if isinstance(here, dict) else here
        if isinstance(here, dict):
            here[last] = value
    return nested


def _keys(quantity: Quantity) -> tuple[str, ...]:
    if quantity.kind == "mP":
        return "mP", quantity.task, str(quantity.k)
    if quantity.kind == "R":
        return "recall", str(quantity.k)
    return ("microAP" if quantity.kind == "µAP" else quantity.kind), quantity.task


def _print_result(result: Result, *, html: Path | None, out: Path | None) -> None:
    """Prints the measures as a table, how they came about, and where the rest is."""
    card, printed = result.card, console()
    printed.print(f"{_headline(card)}\n", soft_wrap=True)
    table = plain_table("measure", "value", "95 % interval", "over", right=("value", "95 % interval", "over"))
    for measure in result.measures:
        value = "" if measure.value is None else f"{measure.value:.4f}"
        interval = "" if measure.low is None else f"{measure.low:.4f} to {measure.high:.4f}"
        table.add_row(measure.name, value, interval, f"{measure.count:,}")
    printed.print(table)
    for fact in card.facts:
        printed.print(f"{fact.name}: {fact.text}", soft_wrap=True, style="dim")
    _print_page(html)
    if out is not None:
        line = command_line("resight", "evaluate", "--compare", shown_path(out), "OTHER.json")
        printed.print(f"\nCompare it with another model's:  {line}", soft_wrap=True)


def _print_page(html: Path | None) -> None:
    if html is not None:
        console().print(f"\nReport, open it in a browser:  {shown_path(html)}", soft_wrap=True)


def _headline(card: ProtocolCard) -> str:
    """Returns who was measured on what."""
    what = f"{card.model} on {card.benchmark} in {card.folder}: {count(card.queries, 'query', 'queries')}"
    against = f" against {count(card.gallery, 'image')}" if card.gallery else ""
    if not card.is_labelled:
        return what + against
    cropped = "cropped to their boxes" if card.boxes else "whole"
    return f"{what}{against}, {count(card.classes, 'class', 'classes')}, photos {cropped}"


def print_waterfall(waterfall: Waterfall, *, html: Path | None, as_json: bool) -> None:
    """Prints every stage with its measures, times, and the change it makes."""
    if as_json:
        write_json({"stages": _stages_json(waterfall), **_how(waterfall.card)})
    else:
        _print_waterfall(waterfall)
        _print_page(html)


def _stages_json(waterfall: Waterfall) -> list[Json]:
    return [
        {
            "name": stage.name,
            "metrics": _nested({measure.quantity: measure.value for measure in stage.measures}),
            "intervals": _intervals(stage.measures),
            "p_values": {
                measure.quantity.task: None if change is None else change.p_value
                for measure, change in zip(stage.measures, stage.changes, strict=True)
            },
            "milliseconds": stage.milliseconds,
            "offline_seconds": stage.offline_seconds,
        }
        for stage in waterfall.stages
    ]


def _print_waterfall(waterfall: Waterfall) -> None:
    printed = console()
    printed.print(f"{_headline(waterfall.card)}\n", soft_wrap=True)
    names = [measure.name for measure in waterfall.stages[0].measures]
    numbers = ("ms a query", "offline s")
    table = plain_table("each step with those before", *names, *numbers, right=(*names, *numbers))
    for stage in waterfall.stages:
        values = [_value(measure) for measure in stage.measures]
        table.add_row(stage.name, *values, f"{stage.milliseconds:.1f}", f"{stage.offline_seconds:.1f}")
    printed.print(table)
    printed.print(
        "\n95 % intervals in brackets; p of the change a step makes, by random signs:", soft_wrap=True
    )
    for stage in waterfall.stages[1:]:
        changes = ", ".join(
            f"{measure.name} {change.difference.mean:+.4f} (p {change.p_value:.4f})"
            for measure, change in zip(stage.measures, stage.changes, strict=True)
            if change is not None
        )
        printed.print(f"{stage.name}: {changes}", soft_wrap=True, style="dim")
    for fact in waterfall.card.facts:
        printed.print(f"{fact.name}: {fact.text}", soft_wrap=True, style="dim")


def _value(measure: Measure) -> str:
    if measure.value is None:
        return ""
    return f"{measure.value:.4f} [{measure.low:.4f}, {measure.high:.4f}]"


def print_comparison(
    outcome: Comparison, results: tuple[Path, Path], *, html: Path | None, as_json: bool
) -> None:
    """Prints how the second of two results differs from the first."""
    if as_json:
        write_json(outcome)
    else:
        _print_comparison(outcome, results)
        _print_page(html)


def _print_comparison(outcome: Comparison, results: tuple[Path, Path]) -> None:
    """Prints both means, their difference with interval and p-value, and the most changed queries."""
    printed = console()
    first, second = (shown_path(path) for path in results)
    printed.print(f"A  {outcome.first} ({first})\nB  {outcome.second} ({second})\n", soft_wrap=True)
    numbers = ("A", "B", "B - A", "95 % interval", "p", "better", "worse")
    table = plain_table("measure", *numbers, right=numbers)
    for measure in outcome.measures:
        test = measure.test
        table.add_row(
            measure.name,
            f"{measure.first:.4f}",
            f"{measure.second:.4f}",
            f"{test.difference.mean:+.4f}",
            f"{test.difference.low:+.4f} to {test.difference.high:+.4f}",
            f"{test.p_value:.4f}",
            f"{test.better:,}",
            f"{test.worse:,}",
        )
    printed.print(table)
    if outcome.changed:
        changes = plain_table(f"most changed query, by {outcome.main.name}", "A", "B", right=("A", "B"))
        for query in outcome.changed:
            changes.add_row(query.path, f"{query.first:.3f}", f"{query.second:.3f}")
        printed.print("", changes)
    for warning in outcome.warnings:
        printed.print(f"\nWarning: {warning}", markup=False, soft_wrap=True)
    if outcome.differences:
        printed.print("\nThe protocols differ in " + "; ".join(outcome.differences) + ".", soft_wrap=True)
