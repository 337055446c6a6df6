"""``resight evaluate``: a model measured on a labelled benchmark, and two results compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import JsonOption
from resight.cli.output import command_line, console, count, plain_table, shown_path, write_json
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.datasets import Benchmark
    from resight.evaluation import Comparison, Result

__all__ = ["EXAMPLE", "evaluate"]

EXAMPLE = (
    "Example:\n\n  resight evaluate sift cub200 --root ~/CUB_200_2011 --out sift.json --html sift.html\n\n"
    "  resight evaluate trained.safetensors folder --root ~/Pictures/classes --out trained.json\n\n"
    "  resight evaluate --compare sift.json trained.json\n\n"
    "Only test images are used. Benchmarks: folder, table, cub200, cars196, sop, inshop."
)

ModelArgument = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", help="A model's name or bundle. See: resight models.")
]
BenchmarkArgument = Annotated[str | None, typer.Argument(metavar="[BENCHMARK]", help="The benchmark's name.")]
RootOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where your copy of the benchmark is (table: its CSV file)."),
]
BoxesOption = Annotated[bool, typer.Option("--boxes", help="Crop photos to their boxes, as CGD does.")]
ClustersOption = Annotated[
    bool, typer.Option("--clusters/--no-clusters", help="Measure NMI and AMI; minutes above 2000 classes.")
]
SelectionOption = Annotated[
    str, typer.Option(metavar="TEXT", help="How the model was chosen; goes on the protocol card.")
]
SeedOption = Annotated[int, typer.Option(min=0, metavar="N", help="Of k-means and the intervals.")]
HtmlOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a report page with the worst and the median queries."),
]
OutOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the whole result as JSON, for --compare.")
]
CompareOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option(metavar="A B", help="Compare two written results instead: is B better than A?"),
]


def evaluate(
    model: ModelArgument = None,
    benchmark: BenchmarkArgument = None,
    root: RootOption = None,
    boxes: BoxesOption = False,
    clusters: ClustersOption = True,
    selection: SelectionOption = "not stated",
    seed: SeedOption = 0,
    html: HtmlOption = None,
    out: OutOption = None,
    compare: CompareOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on a labelled benchmark, or compare two results."""
    if compare is not None:
        _refuse_with_compare(model=model, root=root, html=html, out=out)
        _compare(compare, seed=seed, as_json=as_json)
        return
    if model is None or benchmark is None or root is None:
        raise typer.BadParameter(
            "give MODEL, BENCHMARK and --root DIR, or --compare A B", param_hint="MODEL BENCHMARK"
        )
    from resight import datasets

    loaded = datasets.load(benchmark, root, boxes=boxes)
    result = _measure(model, loaded, clusters=clusters, selection=selection, seed=seed)
    _write(result, loaded.test.root, html=html, out=out)
    if as_json:
        write_json({"card": result.card, "measures": result.measures, "clusters": result.clusters})
    else:
        _print_result(result, html=html, out=out)


def _refuse_with_compare(
    *, model: str | None, root: Path | None, html: Path | None, out: Path | None
) -> None:
    if not (model is None and root is None and html is None and out is None):
        raise typer.BadParameter("it takes two results and nothing to measure", param_hint="--compare")


def _measure(model: str, benchmark: Benchmark, *, clusters: bool, selection: str, seed: int) -> Result:
    from resight.evaluation import evaluate_benchmark
    from resight.models import load_model

    loaded = load_model(model)
    with progress("Describing") as report:
        return evaluate_benchmark(
            loaded, benchmark, clusters=clusters, selection=selection, seed=seed, progress=report
        )


def _write(result: Result, root: Path, *, html: Path | None, out: Path | None) -> None:
    from resight.evaluation import write_report, write_result

    if out is not None:
        write_result(result, out)
    if html is not None:
        write_report(result, html, root=root)


def _print_result(result: Result, *, html: Path | None, out: Path | None) -> None:
    """Prints the measures as a table, how they came about, and where the rest is."""
    card, printed = result.card, console()
    cropped = "cropped to their boxes" if card.boxes else "whole"
    printed.print(
        f"{card.model} on {card.benchmark} in {card.folder}: {count(card.queries, 'query', 'queries')} "
        f"against {count(card.gallery, 'image')}, {count(card.classes, 'class', 'classes')}, "
        f"photos {cropped}\n",
        soft_wrap=True,
    )
    table = plain_table("measure", "value", "95 % interval", "over", right=("value", "95 % interval", "over"))
    for measure in result.measures:
        value = "" if measure.value is None else f"{measure.value:.4f}"
        interval = "" if measure.low is None else f"{measure.low:.4f} to {measure.high:.4f}"
        table.add_row(measure.name, value, interval, f"{measure.count:,}")
    printed.print(table)
    if html is not None:
        printed.print(f"\nReport, open it in a browser:  {shown_path(html)}", soft_wrap=True)
    if out is not None:
        line = command_line("resight", "evaluate", "--compare", shown_path(out), "OTHER.json")
        printed.print(f"\nCompare it with another model's:  {line}", soft_wrap=True)


def _compare(results: tuple[Path, Path], *, seed: int, as_json: bool) -> None:
    from resight.evaluation import compare, read_result

    outcome = compare(read_result(results[0]), read_result(results[1]), seed=seed)
    if as_json:
        write_json(outcome)
    else:
        _print_comparison(outcome, results)


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
        changes = plain_table("most changed query, by MAP@R", "A", "B", right=("A", "B"))
        for query in outcome.changed:
            changes.add_row(query.path, f"{query.first:.3f}", f"{query.second:.3f}")
        printed.print("", changes)
    if outcome.differences:
        printed.print("\nThe protocols differ in " + "; ".join(outcome.differences) + ".", soft_wrap=True)
