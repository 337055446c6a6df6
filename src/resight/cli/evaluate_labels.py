"""A model measured on a labelled benchmark, and what every result prints and writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli.output import command_line, console, count, plain_table, shown_path, write_json
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.cli.evaluate_options import Output
    from resight.datasets import Benchmark
    from resight.evaluation import ProtocolCard, Result

__all__ = ["evaluate_labelled", "headline", "print_result", "write_files"]


def evaluate_labelled(
    model: str,
    benchmark: str,
    output: Output,
    *,
    boxes: bool,
    clusters: bool,
) -> None:
    """Prints the result of a model on a labelled benchmark."""
    from resight import datasets
    from resight.evaluation.result import named

    loaded = datasets.load(benchmark, Path(str(output.root)), boxes=boxes)
    result = _measure(model, loaded, clusters=clusters, selection=output.selection, seed=output.seed)
    write_files(result, loaded.test.root, html=output.html, out=output.out)
    if output.as_json:
        measures = [named(measure) for measure in result.measures]
        write_json({"card": result.card, "measures": measures, "clusters": result.clusters})
    else:
        print_result(result, html=output.html, out=output.out)


def _measure(model: str, benchmark: Benchmark, *, clusters: bool, selection: str, seed: int) -> Result:
    from resight.evaluation import evaluate_benchmark
    from resight.models import load_model

    loaded = load_model(model)
    with progress("Describing") as report:
        return evaluate_benchmark(
            loaded, benchmark, clusters=clusters, selection=selection, seed=seed, progress=report
        )


def write_files(result: Result, root: Path, *, html: Path | None, out: Path | None) -> None:
    """Writes the result and its report where they are asked for."""
    from resight.evaluation import write_result
    from resight.reports import write_report

    if out is not None:
        write_result(result, out)
    if html is not None:
        write_report(result, html, root=root)


def print_result(result: Result, *, html: Path | None, out: Path | None) -> None:
    """Prints the measures as a table, how they came about, and where the rest is."""
    card, printed = result.card, console()
    printed.print(f"{headline(card)}\n", soft_wrap=True)
    table = plain_table("measure", "value", "95 % interval", "over", right=("value", "95 % interval", "over"))
    for measure in result.measures:
        value = "" if measure.value is None else f"{measure.value:.4f}"
        interval = "" if measure.low is None else f"{measure.low:.4f} to {measure.high:.4f}"
        table.add_row(measure.name, value, interval, f"{measure.count:,}")
    printed.print(table)
    for fact in card.facts:
        printed.print(f"{fact.name}: {fact.text}", soft_wrap=True, style="dim")
    if html is not None:
        printed.print(f"\nReport, open it in a browser:  {shown_path(html)}", soft_wrap=True)
    if out is not None:
        line = command_line("resight", "evaluate", "--compare", shown_path(out), "OTHER.json")
        printed.print(f"\nCompare it with another model's:  {line}", soft_wrap=True)


def headline(card: ProtocolCard) -> str:
    """Returns who was measured on what."""
    what = f"{card.model} on {card.benchmark} in {card.folder}: {count(card.queries, 'query', 'queries')}"
    against = f" against {count(card.gallery, 'image')}" if card.gallery else ""
    if not card.classes:
        return what + against
    cropped = "cropped to their boxes" if card.boxes else "whole"
    return f"{what}{against}, {count(card.classes, 'class', 'classes')}, photos {cropped}"
