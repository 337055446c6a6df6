"""``resight calibrate``: how likely an answer shows the same thing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import CollectionArgument, DownloadOption, JsonOption
from resight.cli.output import console, count, plain_table, write_json
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.pipelines.calibrate import Calibrated

__all__ = ["EXAMPLE", "calibrate"]

EXAMPLE = (
    "Example:\n\n  resight calibrate photos.resight\n\n"
    "  resight calibrate photos.resight --label place\n\n"
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


def calibrate(
    collection: CollectionArgument,
    label: LabelOption = None,
    pairs: PairsOption = None,
    queries: QueriesOption = _QUERIES,
    allow_download: DownloadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Learn how likely an answer shows the same thing, and keep it in the collection."""
    from resight.collection import Collection
    from resight.pipelines import calibrate as pipeline

    opened = Collection.open(collection, allow_download=allow_download)
    with progress("Searching", "queries") as report:
        outcome = pipeline.calibrate(opened, label=label, pairs=pairs, queries=queries, progress=report)
    if as_json:
        write_json(outcome)
    else:
        _print(outcome)


def _print(outcome: Calibrated) -> None:
    learned, out = outcome.probability, console()
    pairs = count(learned.pairs, "pair")
    out.print(
        f"Learned from {pairs} of {count(outcome.queries, 'query', 'queries')} ({learned.source}), "
        f"{learned.same:,} of the same thing. Brier score of held-out queries: {learned.brier:.3f} "
        "(0 is perfect, .25 knows nothing).\n",
        soft_wrap=True,
    )
    table = plain_table("said", "so it was", "pairs", right=("said", "so it was", "pairs"))
    for said, share, number in outcome.reliability:
        table.add_row(f"{said:.2f}", f"{share:.2f}", f"{number:,}")
    out.print(table)
