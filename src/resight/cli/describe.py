"""``resight describe``: photos to descriptors in a file, and what a model looks at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.failures import SOME_UNREADABLE
from resight.cli.options import EngineOption, engine_named, refuse_missing_folder, refuse_replacing
from resight.cli.output import console, count, note, plain_table, shown_path
from resight.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.models import Model
    from resight.pipelines.describe import DescribedPhotos

__all__ = ["EXAMPLE", "describe"]

EXAMPLE = (
    "Example:\n\n  resight describe ~/places --model sift --out places.npy\n\n"
    "  resight describe tower.jpg --model delg.safetensors --attention attention.jpg\n\n"
    "Row i of places.npy is the descriptor of the photo in line i of places.names.txt; the inner product "
    "of two rows is their similarity."
)

PhotosArgument = Annotated[
    list[Path], typer.Argument(metavar="PHOTOS", help="Photos, and folders of photos.")
]
ModelOption = Annotated[
    str, typer.Option(metavar="MODEL", help="A model's name or bundle. See: resight models.")
]
OutOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.npy", help="Write the descriptors, float32, one row a photo."),
]
AttentionOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.jpg", help="Write the model's attention over the photo, or over all of them."),
]


def describe(
    photos: PhotosArgument,
    model: ModelOption = "sift",
    out: OutOption = None,
    attention: AttentionOption = None,
    engine: EngineOption = "auto",
) -> None:
    """Describe photos with a model: descriptors to a file, its attention over the photos."""
    if out is not None and out.suffix != ".npy":
        raise typer.BadParameter(f"it must end in .npy, not {out.name!r}", param_hint="--out")
    for path, option in ((out, "--out"), (attention, "--attention")):
        if path is not None:
            refuse_missing_folder(path, option=option)
    names = None if out is None else out.with_suffix(".names.txt")
    refuse_replacing(
        {"--out": out, "--out, its list of names": names, "--attention": attention},
        {"the model": model, "a photo that is read": photos},
        pictures=["--attention"],
    )
    from resight.collection import find_photos
    from resight.models import load_model
    from resight.models.engines import engine_for, with_engine
    from resight.pipelines.describe import (
        attention_of,
        check_names,
        describe_photos,
        write_attention,
        write_descriptors,
    )

    files = find_photos(photos)
    if out is not None:
        # Now: describing may take hours.
        check_names(files)
    chosen = engine_for(engine_named(engine), len(files))
    loaded = with_engine(load_model(model), chosen)
    maps = None if attention is None else attention_of(loaded, photos, attention)
    with progress("Describing") as report:
        described = describe_photos(loaded, photos, progress=report)
    if out is not None:
        write_descriptors(described, out)
    if attention is not None and maps is not None:
        write_attention(maps, described.paths, loaded.max_side, attention)
    _print_summary(loaded, described, [path for path in (out, attention) if path is not None])
    for photo in described.broken:
        note(f"{shown_path(photo.path)}: {photo.reason}")
    if described.broken:
        raise typer.Exit(SOME_UNREADABLE)


def _print_summary(model: Model, described: DescribedPhotos, written: Sequence[Path]) -> None:
    photos = len(described.paths)
    table = plain_table("", "")
    table.show_header = False
    table.add_row("photos", f"{photos:,}")
    table.add_row("model", f"{model.name}, fingerprint {model.fingerprint[:16]}")
    dim = described.descriptors.shape[1]
    table.add_row("descriptors", f"{dim} dimensions, {2 * dim:,} bytes a photo in a collection")
    if described.feature_bytes:
        each = f"{described.features / photos:,.0f} a photo, {described.feature_bytes / photos:,.0f} bytes"
        table.add_row("local features", f"{each} a photo in a collection, stored as {model.codec.name}")
    for path in written:
        table.add_row("written", shown_path(path))
    out = console()
    out.print(table)
    if described.broken:
        out.print(f"{count(len(described.broken), 'file')} could not be described.")
