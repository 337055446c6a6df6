"""``resight describe``: photos to descriptors in a file, and what a model looks at."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.failures import SOME_UNREADABLE
from resight.cli.options import refuse_missing_folder
from resight.cli.output import console, count, note, plain_table, shown_path
from resight.cli.progress import Report, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from jaxtyping import Float32

    from resight.collection.scan import Scan
    from resight.models import Attention, Model

__all__ = ["EXAMPLE", "describe"]

EXAMPLE = (
    "Example:\n\n  resight describe ~/places --model sift --out places.npy\n\n"
    "  resight describe tower.jpg --model delg.safetensors --attention attention.jpg\n\n"
    "Row i of places.npy is the descriptor of the photo in line i of places.names.txt; the inner product "
    "of two rows is their similarity."
)

_PICTURES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
_MOST_SHOWN = 100
"""Photos whose attention one picture shows: every kind of picture has a limit of its height."""

PhotosArgument = Annotated[
    list[Path], typer.Argument(metavar="PHOTOS...", help="Photos, and folders of photos.")
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
) -> None:
    """Describe photos with a model: descriptors to a file, its attention over the photos."""
    if out is not None and out.suffix != ".npy":
        raise typer.BadParameter(f"it must end in .npy, not {out.name!r}", param_hint="--out")
    for path, option in ((out, "--out"), (attention, "--attention")):
        if path is not None:
            refuse_missing_folder(path, option=option)
    from resight.collection.scan import scan
    from resight.models import load_model

    chosen = load_model(model)
    found = scan(photos)
    maps = None if attention is None else _attention(chosen, found, attention)
    if out is not None:
        _check_names(found)
    with progress("Describing") as report:
        described = _described(chosen, found, photos, report)
    if out is not None:
        _write_descriptors(described, out)
    if attention is not None and maps is not None:
        _write_attention(maps, described.paths, chosen.max_side, attention)
    _print_summary(chosen, described, [path for path in (out, attention) if path is not None])
    for sentence in described.broken:
        note(sentence)
    if described.broken:
        raise typer.Exit(SOME_UNREADABLE)


@dataclass(frozen=True, slots=True, eq=False)
class _Described:
    """Photos with a descriptor each; their local features counted, and the bytes these are stored in."""

    paths: list[Path]
    descriptors: Float32[np.ndarray, "n dim"]
    features: int
    feature_bytes: int
    broken: list[str]


def _described(model: Model, found: Scan, photos: Sequence[Path], report: Report) -> _Described:
    """Returns the photos found under files and folders, described.

    Raises:
        InvalidInput: No photo could be described.
    """
    import numpy as np

    from resight.errors import InvalidInput
    from resight.models.extract import extract

    paths, rows = [], []
    broken = [f"{shown_path(one.path)}: {one.reason}" for one in found.broken]
    features = stored = 0
    for done, one in enumerate(extract([photo.path for photo in found.photos], model), 1):
        report(done, len(found.photos))
        if one.features is None:
            broken.append(f"{shown_path(one.path)}: {one.reason}")
            continue
        paths.append(one.path)
        rows.append(one.features.descriptor)
        local = one.features.local
        if local is not None:
            features += len(local)
            stored += len(model.codec.encode(local).to_bytes())
    if not rows:
        why = f": {broken[0]}" if broken else ""
        raise InvalidInput(f"there is no photo to describe among {', '.join(map(str, photos))}{why}")
    return _Described(paths, np.stack(rows), features, stored, broken)


def _write_descriptors(described: _Described, path: Path) -> None:
    """Writes the descriptors, and beside them the photos' paths, one a line."""
    import numpy as np

    from resight.files import whole_files

    stream = io.BytesIO()
    np.save(stream, described.descriptors, allow_pickle=False)
    names = "".join(f"{photo}\n" for photo in described.paths)
    with whole_files([path, path.with_suffix(".names.txt")]) as (rows, lines):
        rows.write(stream.getbuffer())
        lines.write(names.encode())


def _check_names(found: Scan) -> None:
    """Raises an error if a photo's path would be two lines of the list of names."""
    from resight.errors import InvalidInput

    for photo in found.photos:
        if len(photo.path.splitlines()) > 1:
            raise InvalidInput(f"a line of the list of names cannot hold the line break in {photo.path!r}")


def _attention(model: Model, found: Scan, path: Path) -> Attention:
    """Returns the attention that is shown.

    Raises:
        InvalidInput: It has none, or the file cannot show that of so many photos.
    """
    from resight.errors import InvalidInput

    attention = None if model.local is None else model.local.attention
    if attention is None:
        raise InvalidInput(
            f"the model {model.name} has no attention to write: take a bundle of a trained DELG network"
        )
    if path.suffix.lower() not in _PICTURES:
        raise InvalidInput(f"attention is written as .jpg, .png or .webp, not as {path.name!r}")
    if len(found.photos) > _MOST_SHOWN:
        raise InvalidInput(
            f"one picture shows the attention over {_MOST_SHOWN} photos at most, not over "
            f"{len(found.photos):,}: name fewer"
        )
    return attention


def _write_attention(attention: Attention, photos: Sequence[Path], max_side: int, path: Path) -> None:
    """Writes the attention of a model over some photos into one picture."""
    from PIL import Image

    from resight import images
    from resight.files import whole_file
    from resight.reports.attention import attention_over, contact_sheet

    pictures = []
    for file in photos:
        photo = images.read(file, max_side=max_side)
        pictures.append(attention_over(photo, attention.map_of(photo), attention.field))
    with whole_file(path) as stream:
        Image.fromarray(contact_sheet(pictures)).save(stream, _PICTURES[path.suffix.lower()], quality=90)


def _print_summary(model: Model, described: _Described, written: Sequence[Path]) -> None:
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
