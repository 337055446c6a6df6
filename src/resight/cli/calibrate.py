"""``resight calibrate``: how likely an answer shows the same thing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import (
    CollectionArgument,
    DownloadOption,
    JsonOption,
    refuse_missing_folder,
    refuse_replacing,
)
from resight.cli.output import console, count, plain_table, shown_path, write_json
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.pipelines.calibrate import Calibrated

__all__ = ["EXAMPLE", "calibrate", "calibrated_json"]

EXAMPLE = (
    "Example:\n\n  resight calibrate photos.resight\n\n"
    "  resight calibrate photos.resight --label place --html reliability.html\n\n"
    "  resight calibrate photos.resight --pairs pairs.csv     (columns query,answer,same)\n\n"
    "From then on each answer of a search says how likely it shows the same thing. Without labels and pairs, "
    "edited views of the photos are searched, and geometry says what is the same: the probability then says "
    "how likely geometry would agree."
)
_QUERIES = 200

LabelOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Metadata: photos of one value show the same thing."),
]
PairsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Pairs of photos: columns query, answer (a photo of the collection) and same (1 or 0).",
    ),
]
QueriesOption = Annotated[
    int, typer.Option(min=5, metavar="N", help="How many photos are tried as queries, evenly spread.")
]


HtmlOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a page with the reliability diagram of held-out queries."),
]


def calibrate(
    collection: CollectionArgument,
    label: LabelOption = None,
    pairs: PairsOption = None,
    queries: QueriesOption = _QUERIES,
    html: HtmlOption = None,
    allow_download: DownloadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Learn how likely an answer shows the same thing, and keep it in the collection."""
    if html is not None:
        refuse_missing_folder(html, option="--html")
    refuse_replacing({"--html": html}, {"a file of the collection": collection, "the table of pairs": pairs})
    from resight.collection import Collection
    from resight.pipelines import calibrate as pipeline

    opened = Collection.open(collection, allow_download=allow_download)
    with progress("Searching", "queries") as report:
        outcome = pipeline.calibrate(opened, label=label, pairs=pairs, queries=queries, progress=report)
    if html is not None:
        from resight.reports import write_calibration

        title = f"How likely is likely in {collection.absolute().name}"
        learned, bins = outcome.probability, outcome.reliability
        write_calibration(learned, bins, html, queries=outcome.queries, title=title)
    if as_json:
        write_json(calibrated_json(outcome))
    else:
        _print(outcome)
        if html is not None:
            console().print(f"\nReliability diagram: {shown_path(html)}", soft_wrap=True)


def calibrated_json(outcome: Calibrated) -> dict[str, object]:
    """Returns what programs read; ``reliability`` holds what was said, what share was so, of how many."""
    learned = outcome.probability
    return {
        "probability": learned,
        "queries": outcome.queries,
        "brier": learned.brier,
        "uninformed": learned.uninformed,
        "reliability": outcome.reliability,
    }


def _print(outcome: Calibrated) -> None:
    learned, out = outcome.probability, console()
    pairs = count(learned.pairs, "pair")
    out.print(
        f"Learned from {pairs} of {count(outcome.queries, 'query', 'queries')} ({learned.source}), "
        f"{learned.same:,} of the same thing. Brier score of held-out queries: {learned.brier:.3f} "
        f"(0 is perfect, {learned.uninformed:.3f} knows nothing).\n",
        soft_wrap=True,
    )
    table = plain_table("said", "so it was", "pairs", right=("said", "so it was", "pairs"))
    for said, share, number in outcome.reliability:
        table.add_row(f"{said:.2f}", f"{share:.2f}", f"{number:,}")
    out.print(table)
