"""``resight demo``: the main job on rendered photos, measured, or on a folder of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import JsonOption, refuse_unfit_folder
from resight.cli.output import as_json as to_json
from resight.cli.output import command_line, console, count, note, plain_table, shown_path, write_json
from resight.cli.progress import progress
from resight.files import filled_folder, typed_path

if TYPE_CHECKING:
    from resight.pipelines.demo import FolderDemo, PlacesDemo
    from resight.pipelines.index import Indexed

__all__ = ["EXAMPLE", "demo"]

EXAMPLE = "Example:\n\n  resight demo\n\n  resight demo ~/Pictures --out demo"

PhotosArgument = Annotated[
    Path | None, typer.Argument(metavar="PHOTOS", help="Your own folder; rendered photos if not given.")
]
OutOption = Annotated[Path, typer.Option(metavar="DIR", help="Where everything the demo makes is put.")]


def demo(photos: PhotosArgument = None, out: OutOption = Path("demo"), as_json: JsonOption = False) -> None:
    """Show the main job: index photos, search them, verify the answers, write a result sheet."""
    refuse_unfit_folder(out, option="--out")
    folder = Path(os.path.realpath(out))
    photos = None if photos is None else typed_path(photos)
    with filled_folder(folder):
        outcome = _places(folder) if photos is None else _folder(photos, folder)
    if as_json:
        write_json(_json(outcome))
    else:
        _print(outcome)


def _places(out: Path) -> PlacesDemo:
    from resight.pipelines import demo as pipeline

    photos = out / "photos"
    with progress("Rendering") as report:
        is_new = pipeline.render_places(photos, progress=report)
    if is_new:
        views = f"{pipeline.PLACES} places in {pipeline.VIEWS} views"
        note(f"Rendered {views} and {pipeline.DISTRACTORS} other photos")
    indexed = _index(photos, out / "demo.resight")
    with progress("Searching", "queries") as report:
        return pipeline.demo_places(indexed.collection, photos, out / "answers.html", progress=report)


def _folder(photos: Path, out: Path) -> FolderDemo:
    from resight.errors import InvalidInput
    from resight.pipelines.demo import demo_folder

    indexed = _index(photos, out / f"{Path(os.path.realpath(photos)).name or 'photos'}.resight")
    if not indexed.photos:
        raise InvalidInput(
            f"{photos} holds no photo that can be read: name a folder of JPEG, PNG or other photos"
        )
    with progress("Trying queries", "queries") as report:
        return demo_folder(indexed.collection, photos, out / "answers.html", progress=report)


def _index(photos: Path, path: Path) -> Indexed:
    from resight.pipelines.index import DEFAULT_MODEL, index_photos

    with progress("Indexing") as report:
        indexed = index_photos(path, [photos], model=DEFAULT_MODEL, progress=report)
    done = indexed.report
    there = f", {done.unchanged:,} of them were there" if done.unchanged else ""
    broken = f", {count(len(done.broken), 'file')} could not be read" if done.broken else ""
    held = count(indexed.photos, "photo")
    note(f"Indexed {held} with {DEFAULT_MODEL} in {done.seconds.total:.1f} s{there}{broken}")
    return indexed


def _json(outcome: PlacesDemo | FolderDemo) -> object:
    from resight.pipelines.demo import FolderDemo

    content = to_json(outcome)
    if isinstance(outcome, FolderDemo) and isinstance(content, dict):
        content["finding"] = _finding(outcome)
    return content


def _print(outcome: PlacesDemo | FolderDemo) -> None:
    """Prints what the demo showed, and commands to try next."""
    from resight.pipelines.demo import PlacesDemo

    if isinstance(outcome, PlacesDemo):
        _print_measures(outcome)
    else:
        console().print(f"\n{_finding(outcome)}", soft_wrap=True)
    lines = (
        command_line("resight", "search", shown_path(outcome.collection), shown_path(outcome.query)),
        command_line("resight", "check", shown_path(outcome.collection)),
        command_line("resight", "info", shown_path(outcome.collection)),
    )
    console().print(f"\nResult sheet, open it in a browser:  {shown_path(outcome.sheet)}", soft_wrap=True)
    console().print("\nTry next:\n  " + "\n  ".join(lines), soft_wrap=True)
    console().print(
        f"\nWith photos of your own: {command_line('resight', 'index', 'FOLDER')}", soft_wrap=True
    )
    page = command_line("resight", "serve", shown_path(outcome.collection))
    console().print(f"\nOn a page in your browser: {page}", soft_wrap=True)


def _finding(outcome: FolderDemo) -> str:
    of, query = f"Of {count(outcome.tried, 'photo')} tried as a query,", shown_path(outcome.query)
    if outcome.confirmed:
        return f"{of} {query} has the most answers confirmed by geometry: {outcome.confirmed}."
    return f"{of} none has an answer confirmed by geometry; the sheet shows what looks most like {query}."


def _print_measures(outcome: PlacesDemo) -> None:
    among = count(outcome.photos, "other photo")
    console().print(
        f"\n{count(outcome.queries, 'place')}, a query each, searched among {among}:\n", soft_wrap=True
    )
    table = plain_table("", "R@1", "mAP", right=("R@1", "mAP"))
    for name, measures in (("descriptors alone", outcome.before), ("after verification", outcome.after)):
        table.add_row(name, f"{measures.recall_at_1:.3f}", f"{measures.mean_average_precision:.3f}")
    console().print(table)
