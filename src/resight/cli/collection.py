"""``resight remove``, ``info`` and ``check``: looking after a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.failures import FAILED
from resight.cli.options import CollectionArgument, DownloadOption, JsonOption
from resight.cli.output import broken_table, console, count, plain_table, shown_path, write_json
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.collection import CollectionInfo, LocalInfo
    from resight.search.index import SearchFigures
    from resight.search.recognition import Calibration

__all__ = ["CHECK_EXAMPLE", "INFO_EXAMPLE", "REMOVE_EXAMPLE", "check", "info", "remove"]

REMOVE_EXAMPLE = "Example:\n\n  resight remove photos.resight ~/Pictures/blurred.jpg ~/Pictures/screenshots/"
INFO_EXAMPLE = (
    "Example:\n\n  resight info photos.resight\n\n"
    "  resight info photos.resight --move-root ~/Pictures /mnt/photos"
)
CHECK_EXAMPLE = "Example:\n\n  resight check photos.resight"

_MEGABYTE = 1e6
_MOST_LISTED = 20


def remove(
    collection: CollectionArgument,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTOS", help="What it shall forget.")],
    as_json: JsonOption = False,
) -> None:
    """Take photos out of a collection and off its disk space; the photos' own files stay."""
    from resight.collection import Collection
    from resight.files import on_disk

    opened = Collection.open(collection)
    removed = opened.remove([on_disk(photo) for photo in photos])
    if as_json:
        write_json({"removed": removed, "photos": len(opened)})
    else:
        console().print(f"{count(removed, 'photo')} removed, {count(len(opened), 'photo')} left.")


def info(
    collection: CollectionArgument,
    move_root: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="OLD NEW", help="Say that the folder OLD of photos is at NEW now."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a collection holds, by which model it was made, and where its photos are."""
    from resight.collection import Collection

    opened = Collection.open(collection)
    if move_root is not None:
        opened.move_root(*move_root)
    if as_json:
        write_json(opened.info())
    else:
        _print_info(opened.info())


def _print_info(held: CollectionInfo) -> None:
    out = console()
    table = plain_table("", "")
    table.show_header = False
    rows = {
        "collection": shown_path(held.path),
        "photos": f"{held.photos:,}",
        "broken": f"{len(held.broken):,}",
        "model": f"{held.model}, {held.dim} dimensions, fingerprint {held.fingerprint[:16]}",
        "metadata": ", ".join(held.metadata) or "none",
        "size": _size(held),
        "local features": _local(held.local),
        "search": _search(held.search_index),
        "format": f"{held.format}, version {held.version} of the table",
    }
    if held.recognition is not None:
        rows["recognition"] = _recognition(held.recognition)
    for name, value in rows.items():
        table.add_row(name, value)
    out.print(table)
    for root in held.roots:
        state = f", {root.missing:,} of them missing: see resight check" if root.missing else ""
        if not root.exists:
            state = " (gone: if it has moved, say so with --move-root OLD NEW)"
        # Not in the table: a path stands whole on its line, where it can be copied.
        out.print(f"{'root':<16}{root.path}: {count(root.photos, 'file')}{state}", soft_wrap=True)
    if held.broken:
        out.print("", broken_table(held.broken[:_MOST_LISTED]))


def _size(held: CollectionInfo) -> str:
    """Returns the bytes on disk, and how those of a photo add up."""
    each = round(held.bytes_per_photo / 1000, 1)
    descriptor = round(min(each, 2 * held.dim / 1000), 1)
    # From a sample of photos: never more than there is.
    local = round(min(each - descriptor, held.local.bytes_per_photo / 1000 if held.local else 0.0), 1)
    rest = each - descriptor - local
    parts = f"local features {local:.1f}, descriptor {descriptor:.1f}, names, values and files {rest:.1f}"
    return f"{held.bytes_on_disk / _MEGABYTE:.1f} MB; {each:.1f} kB a photo: {parts}"


def _local(held: LocalInfo | None) -> str:
    if held is None:
        return "none"
    return f"{held.features_per_photo:,.0f} a photo, {held.form} each"


def _search(figures: SearchFigures) -> str:
    parts = [figures.kind]
    if figures.recall is not None and figures.kind != "exact":
        parts.append(f"{figures.recall:.3f} of the ten nearest found")
    if figures.milliseconds is not None:
        parts.append(f"{figures.milliseconds:.2f} ms a search")
    if figures.bytes is not None:
        parts.append(f"{figures.bytes / _MEGABYTE:.1f} MB in memory")
    if figures.map_loss is not None:
        parts.append(f"loses {figures.map_loss:.4f} mAP")
    return ", ".join(parts)


def _recognition(calibration: Calibration) -> str:
    known, unknown = count(calibration.known, "photo"), count(calibration.unknown, "photo")
    chosen_on = f"chosen on {known} of labelled and {unknown} of unknown things"
    return f"by {calibration.label!r}, threshold {calibration.threshold:.3f}, {chosen_on}"


def check(
    collection: CollectionArgument,
    sample: Annotated[int, typer.Option(min=0, metavar="N", help="How many photos search themselves.")] = 20,
    repair: Annotated[
        bool, typer.Option("--repair", help="First make the search index equal to the collection's rows.")
    ] = False,
    allow_download: DownloadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check that a collection can be trusted: rows readable and sound, a sample of photos finds itself."""
    from resight.collection import Collection

    opened = Collection.open(collection, allow_download=allow_download)
    if repair:
        with progress("Repairing the search index") as step:
            opened.choose_search(progress=step)
    with progress("Checking") as step:
        report = opened.check(sample=sample, progress=step)
    if as_json:
        write_json(report)
    else:
        out = console()
        for sentences in (report.problems, report.notes):
            for sentence in sentences[:_MOST_LISTED]:
                out.print(f"- {sentence}", soft_wrap=True)
            if len(sentences) > _MOST_LISTED:
                out.print(f"- and {len(sentences) - _MOST_LISTED:,} more (all of them with --json)")
        verdict = "sound"
        if report.notes:
            verdict = "whole, but not up to date with its photos"
        if report.problems:
            verdict = f"not sound: {count(len(report.problems), 'problem')}"
        out.print(
            f"{shown_path(collection)} is {verdict} ({count(report.rows, 'row')} read, "
            f"{count(report.sampled, 'photo')} searched for themselves).",
            soft_wrap=True,
        )
    if report.problems:
        raise typer.Exit(FAILED)
