"""``resight export``: what a collection holds, in files of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.options import refuse_missing_folder, refuse_replacing
from resight.cli.output import console, count, shown_path

__all__ = ["EXAMPLE", "export"]

EXAMPLE = (
    "Example:\n\n  resight export photos.resight --to hloc --out features.h5\n\n"
    "  resight export photos.resight --to parquet --out photos.parquet\n\n"
    "  resight index Pictures --collection again.resight --from features.h5\n\n"
    "hloc: HDF5 with local features. clip-retrieval: a folder. oml: CSV of open-metric-learning. "
    "faiss: a flat index with ids, and paths beside it. parquet: paths, descriptors, metadata."
)

SourceArgument = Annotated[Path, typer.Argument(metavar="COLLECTION", help="The collection's folder.")]
ToOption = Annotated[str, typer.Option(metavar="LAYOUT", help="hloc, clip-retrieval, oml, faiss or parquet.")]
OutOption = Annotated[Path, typer.Option(metavar="PATH", help="The file or folder to write.")]


def export(source: SourceArgument, to: ToOption, out: OutOption) -> None:
    """Write a collection's descriptors as other tools read them."""
    from resight.collection import Collection
    from resight.pipelines.exchange import LAYOUTS, export_collection

    layout = next((known for known in LAYOUTS if known == to), None)
    if layout is None:
        raise typer.BadParameter(f"it must be one of {', '.join(LAYOUTS)}, not {to!r}", param_hint="--to")
    refuse_missing_folder(out, option="--out")
    refuse_replacing({"--out": out}, {"the collection": source})
    written = export_collection(Collection.open(source), layout, out)
    console().print(f"{count(written, 'photo')} of {shown_path(source)} written to {shown_path(out)}.")
