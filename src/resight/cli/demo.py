"""``resight demo``: the main job on rendered photos, measured, or on a folder of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.options import JsonOption
from resight.cli.output import command_line, console, count, plain_table, shown_path, write_json

if TYPE_CHECKING:
    from resight.cli.demo_folder import FolderDemo
    from resight.cli.demo_places import PlacesDemo

__all__ = ["EXAMPLE", "demo"]

EXAMPLE = "Example:\n\n  resight demo\n\n  resight demo ~/Pictures --out demo"


def demo(
    photos: Annotated[
        Path | None,
        typer.Argument(metavar="[PHOTOS]", help="Your own folder; rendered photos if not given."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything the demo makes is put.")] = Path(
        "demo"
    ),
    as_json: JsonOption = False,
) -> None:
    """Show the main job: index photos, search them, verify the answers, write a result sheet."""
    from resight.cli.demo_folder import folder_demo
    from resight.cli.demo_places import places_demo

    folder = out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    outcome = places_demo(folder) if photos is None else folder_demo(photos, folder)
    if as_json:
        write_json(outcome)
        return
    print_demo(outcome)


def print_demo(outcome: PlacesDemo | FolderDemo) -> None:
    """Prints what the demo found, and three commands to try next."""
    from resight.cli.demo_places import PlacesDemo

    if isinstance(outcome, PlacesDemo):
        _print_measures(outcome)
    else:
        console().print(f"\n{outcome.finding}", soft_wrap=True)
    lines = (
        command_line("resight", "search", shown_path(outcome.collection), shown_path(outcome.query)),
        command_line("resight", "check", shown_path(outcome.collection)),
        "resight index ~/Pictures",
    )
    console().print(f"\nResult sheet, open it in a browser:  {shown_path(outcome.sheet)}", soft_wrap=True)
    console().print("\nTry next:\n  " + "\n  ".join(lines), soft_wrap=True)


def _print_measures(outcome: PlacesDemo) -> None:
    among = count(outcome.photos, "other photo")
    console().print(
        f"\n{count(outcome.queries, 'place')}, a query each, searched among {among}:\n", soft_wrap=True
    )
    table = plain_table("", "R@1", "mAP", right=("R@1", "mAP"))
    for name, measures in (("descriptors alone", outcome.before), ("after verification", outcome.after)):
        table.add_row(name, f"{measures.recall_at_1:.3f}", f"{measures.mean_average_precision:.3f}")
    console().print(table)
