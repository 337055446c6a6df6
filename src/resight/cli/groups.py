"""``resight groups``: photos of a collection that belong together."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resight.cli.options import (
    CollectionArgument,
    DownloadOption,
    JsonOption,
    command_of,
    refuse_in_collection,
    refuse_missing_folder,
    refuse_replacing,
)
from resight.cli.output import (
    command_line,
    console,
    count,
    note,
    one_line,
    plain_table,
    shown_path,
    write_json,
)
from resight.cli.progress import progress
from resight.files import object_path

if TYPE_CHECKING:
    from resight.collection.groups import Groups, Member
    from resight.pipelines.groups import Done

__all__ = ["EXAMPLE", "groups", "groups_json"]

EXAMPLE = (
    "Example:\n\n  resight groups photos.resight --html copies.html\n\n"
    "  resight groups photos.resight --of things --link-to albums/ --yes\n\n"
    "  resight groups photos.resight --trash            (prints what it would do)\n\n"
    "  resight groups photos.resight --trash --yes      (does it, and writes how to undo it)\n\n"
    "Nothing is ever deleted. The photo to keep of each group stays where it is."
)
_MOST_GROUPS, _MOST_MEMBERS = 20, 12


@dataclass(frozen=True, slots=True)
class _Actions:
    move_to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Move the groups into a folder, one folder a group; of copies the photo to keep stays.",
        ),
    ] = None
    link_to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Make links to all members, one folder a group.")
    ] = None
    trash: Annotated[
        bool, typer.Option("--trash", help="Put all but the photo to keep into the desktop's trash.")
    ] = False
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it. Without this, what would be done is printed.")
    ] = False
    undo: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take back what a record says that was done.")
    ] = None


@dataclass(frozen=True, slots=True)
class _Options:
    collection: CollectionArgument
    of: Annotated[
        Literal["copies", "things", "scenes"],
        typer.Option(
            help="copies: one picture, cropped, turned, mirrored, resized, recoloured, captioned, framed; "
            "things: photos of one thing or place; scenes: bursts of one view."
        ),
    ] = "copies"
    keep: Annotated[
        Literal["best", "largest", "newest", "oldest", "first"],
        typer.Option(
            help="Which photo of a group to keep. best: the least edited, then most pixels, sharpest; "
            "first: by path."
        ),
    ] = "best"
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A page of all groups, each with its proof.")
    ] = None
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the groups as a table.")] = None
    allow_download: DownloadOption = False
    actions: _Actions = _Actions()
    as_json: JsonOption = False


def _groups(options: _Options) -> None:
    """Find photos of a collection that are copies of each other, show one thing, or one scene."""
    from resight.pipelines.groups import undo, write_table

    _check(options)
    if options.actions.undo is not None:
        _print_done(undo(options.actions.undo), "taken back")
        return
    from resight.collection import Collection

    collection = Collection.open(options.collection, allow_download=options.allow_download)
    with progress("Comparing") as report:
        found = collection.groups(options.of, keep=options.keep, progress=report)
    if options.csv is not None:
        write_table(found, options.csv)
    if options.html is not None:
        from resight.reports.groups import write_groups

        write_groups(found, options.html)
    for sentence in found.notes:
        note(sentence)
    if options.as_json:
        write_json(groups_json(found))
    else:
        _print_groups(found, options)
    _act(found, options)


groups = command_of(_Options, _groups)


def groups_json(found: Groups) -> dict[str, object]:
    """Returns what programs read: for each group its kind, the photo to keep, and all members."""
    return {
        "groups": [
            {
                "kind": group.kind,
                "keep": group.keep.path,
                "members": [
                    {
                        "path": member.path,
                        "edit": None if member.edit is None else str(member.edit),
                        "inliers": member.inliers,
                        "share": round(member.share, 4),
                    }
                    for member in group
                ],
            }
            for group in found
        ],
        "photos": found.photos,
        "seconds": round(found.seconds, 3),
    }


def _check(options: _Options) -> None:
    actions = options.actions
    named = [
        name
        for name, is_wanted in (
            ("--move-to", actions.move_to is not None),
            ("--link-to", actions.link_to is not None),
            ("--trash", actions.trash),
            ("--undo", actions.undo is not None),
        )
        if is_wanted
    ]
    if len(named) > 1:
        raise typer.BadParameter(f"give one of {' and '.join(named)}", param_hint=named[0])
    if actions.yes and not named:
        raise typer.BadParameter("it needs --move-to, --link-to or --trash", param_hint="--yes")
    if actions.trash and options.of == "things":
        raise typer.BadParameter(
            "photos of one thing are different photos: take --of copies or scenes", param_hint="--trash"
        )
    for option, path in (("--move-to", actions.move_to), ("--link-to", actions.link_to)):
        if path is not None:
            refuse_in_collection(path, option=option)
    for option, path in (("--html", options.html), ("--csv", options.csv)):
        if path is not None:
            refuse_missing_folder(path, option=option)
    inputs = {"a file of the collection": options.collection}
    refuse_replacing({"--html": options.html, "--csv": options.csv}, inputs)


def _act(found: Groups, options: _Options) -> None:
    from resight.pipelines.groups import Action, carry_out, plan

    actions = options.actions
    wanted: list[tuple[Action, Path]] = []
    if actions.move_to is not None:
        wanted.append(("move", actions.move_to.absolute()))
    if actions.link_to is not None:
        wanted.append(("link", actions.link_to.absolute()))
    if actions.trash:
        wanted.append(("trash", _trash()))
    for action, folder in wanted:
        planned = plan(found, action, folder)
        if actions.yes:
            record = _record(options.collection)
            try:
                done = carry_out(planned, record)
                _print_done(done, {"move": "moved", "link": "linked", "trash": "put into the trash"}[action])
            finally:
                if record.is_file():
                    line = command_line("resight", "groups", options.collection, "--undo", shown_path(record))
                    note(f"to undo it: {line}")
        else:
            for step in planned.done[:_MOST_GROUPS]:
                note(f"would {action}: {shown_path(step.source)} -> {shown_path(step.target)}")
            rest = len(planned.done) - _MOST_GROUPS
            more = f" ({rest:,} more not shown)" if rest > 0 else ""
            note(f"nothing was done{more}: {count(len(planned.done), 'file')} with --yes")
            _print_left(planned)


def _record(collection: Path) -> Path:
    """Returns where what is done is noted: in the collection, or here where that may not be written to."""
    name = f"undo-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.jsonl"
    folder = collection.absolute() / "groups"
    is_closed = any(place.exists() and not os.access(place, os.W_OK) for place in (collection, folder))
    return Path.cwd() / name if object_path(collection) or is_closed else folder / name


def _trash() -> Path:
    """Returns the desktop's trash of this user, as freedesktop.org says where it is."""
    home = Path(os.environ.get("XDG_DATA_HOME", ""))
    # A relative one is to be ignored, as the XDG base directory specification says.
    try:
        return (home if home.is_absolute() else Path("~/.local/share").expanduser()) / "Trash"
    except RuntimeError:
        raise typer.BadParameter(
            "this user has no home folder that holds it: take --move-to", param_hint="--trash"
        ) from None


def _print_done(done: Done, what: str) -> None:
    note(f"{count(len(done.done), 'file')} {what}, {len(done.left):,} left alone")
    _print_left(done)


def _print_left(done: Done) -> None:
    for path, reason in done.left[:_MOST_GROUPS]:
        note(f"left alone: {shown_path(path)}: {one_line(reason)}")
    if len(done.left) > _MOST_GROUPS:
        note(f"and {len(done.left) - _MOST_GROUPS:,} more left alone")


def _print_groups(found: Groups, options: _Options) -> None:
    out = console()
    together = sum(map(len, found))
    out.print(
        f"{count(len(found), 'group')} of {options.of} with {together:,} of {count(found.photos, 'photo')}, "
        f"in {found.seconds:.1f} s.",
        soft_wrap=True,
    )
    for number, group in enumerate(list(found)[:_MOST_GROUPS], 1):
        table = plain_table("", "inliers", "share", "edit", f"group {number}", right=("inliers", "share"))
        for member in group.members[:_MOST_MEMBERS]:
            table.add_row(*_row(member, is_kept=member is group.keep))
        out.print("", table)
        if len(group) > _MOST_MEMBERS:
            out.print(f"and {len(group) - _MOST_MEMBERS:,} more")
    if len(found) > _MOST_GROUPS:
        out.print(
            f"\nand {len(found) - _MOST_GROUPS:,} more groups (all of them with --json, --csv or --html)"
        )
    if found.groups and options.html is None:
        line = command_line(
            "resight", "groups", options.collection, "--of", options.of, "--html", "groups.html"
        )
        out.print(f"\nSee why:  {line}", soft_wrap=True)


def _row(member: Member, *, is_kept: bool) -> tuple[str, ...]:
    edit = "" if member.edit is None else str(member.edit)
    state = " (not here)" if member.missing else ""
    path = shown_path(member.path) + state
    return "keep" if is_kept else "", f"{member.inliers:,}", f"{100 * member.share:.0f} %", edit, path
