"""``resight export``: what a collection holds, or a model's network, in files of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import refuse_missing_folder, refuse_replacing
from resight.cli.output import console, count, plain_table, shown_path

if TYPE_CHECKING:
    from resight.models.export import Format

__all__ = ["EXAMPLE", "export"]

EXAMPLE = (
    "Example:\n\n  resight export photos.resight --to hloc --out features.h5\n\n"
    "  resight export photos.resight --to parquet --out photos.parquet\n\n"
    "  resight index Pictures --collection again.resight --from features.h5\n\n"
    "hloc: HDF5 with local features. clip-retrieval: a folder. oml: CSV of open-metric-learning. "
    "faiss: a flat index with ids, and paths beside it. parquet: paths, descriptors, metadata.\n\n"
    "  resight export photos.resight --to qdrant --out http://localhost:6333#photos\n\n"
    "  resight export photos.resight --to milvus --out photos.db#photos\n\n"
    "qdrant and milvus: a new collection of a server, a folder of Qdrant, or a .db of Milvus Lite.\n\n"
    "  resight export gem.safetensors --to onnx --out gem.onnx\n\n"
    "onnx and openvino: a model's network, from RGB bytes to the descriptor, compared with torch."
)

SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A collection's folder, or a model's name or bundle.")
]
ToOption = Annotated[
    str,
    typer.Option(
        metavar="LAYOUT",
        help="hloc, clip-retrieval, oml, faiss, parquet, qdrant or milvus of a collection; onnx or openvino "
        "of a model.",
    ),
]
OutOption = Annotated[
    str, typer.Option(metavar="PATH", help="The file or folder to write, or the database, ADDRESS#NAME.")
]


def export(source: SourceArgument, to: ToOption, out: OutOption) -> None:
    """Write a collection's descriptors as other tools read them, or a model's network as runtimes do."""
    if to in ("onnx", "openvino"):
        _export_model(source, "onnx" if to == "onnx" else "openvino", Path(out))
        return
    from resight.collection import Collection
    from resight.pipelines.databases import DATABASES, Place
    from resight.pipelines.exchange import LAYOUTS, export_collection

    layouts = (*LAYOUTS, *DATABASES)
    layout = next((known for known in layouts if known == to), None)
    if layout is None:
        known = ", ".join((*layouts, "onnx", "openvino"))
        raise typer.BadParameter(f"it must be one of {known}, not {to!r}", param_hint="--to")
    place = Place.of(out) if layout in DATABASES else Place(out)
    if not place.is_server:
        refuse_missing_folder(Path(place.address), option="--out")
        refuse_replacing({"--out": Path(place.address)}, {"a file of the collection": source})
    written = export_collection(Collection.open(source), layout, out)
    shown = out if place.is_server else shown_path(out)
    console().print(f"{count(written, 'photo')} of {shown_path(source)} written to {shown}.")


def _export_model(name: str, to: Format, out: Path) -> None:
    refuse_missing_folder(out, option="--out")
    # OpenVINO's weights lie beside its file.
    weights = {"--out (its .bin)": out.with_suffix(".bin")} if to == "openvino" else {}
    refuse_replacing({"--out": out, **weights}, {"the model": name})
    from resight.models import load_model
    from resight.networks.trunks._timm import require_torch

    require_torch("exporting a network")
    from resight.models.export import export as export_model

    written = export_model(load_model(name), out, to)
    table = plain_table("", "")
    table.show_header = False
    for source, shape in written.inputs.items():
        sides = " x ".join("any" if side == -1 else str(side) for side in shape)
        table.add_row("takes", f"{source}, {sides}")
    table.add_row("gives", ", ".join(written.outputs))
    table.add_row("largest difference from torch", f"{written.largest_difference:.1e}")
    table.add_row("least cosine with torch", f"{written.least_cosine:.7f}")
    table.add_row("written", shown_path(written.path))
    console().print(table)
