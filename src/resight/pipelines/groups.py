"""Groups taken further: a table; their files moved, linked or put into the trash, and that undone."""

from __future__ import annotations

import csv
import errno
import filecmp
import io
import json
import os
import shutil
import time
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote

from resight.collection.groups import Group, Groups, Member
from resight.errors import InvalidInput, UnreadableImage
from resight.files import JSON, parse_json, reading, shown, whole_file, write_whole
from resight.files.budget import MOST_JSON_BYTES, read_within, require_file
from resight.images import is_photo
from resight.images.content import is_unchanged
from resight.images.opening import open_file

__all__ = ["Action", "Done", "Step", "carry_out", "plan", "undo", "write_table"]

Action = Literal["move", "link", "trash"]
"""- ``move``: the files go into a folder, one folder a group; of copies the kept one stays where it is.
- ``link``: links to all members are made there; the files stay.
- ``trash``: all but the kept one go into the desktop's trash, from where they can be restored."""

FINER = 1.1
"""Pixels of a copy for one of the kept photo, along a side, from which it is left alone: as of a collage."""

_COLUMNS = (
    "group",
    "kind",
    "keep",
    "path",
    "edit",
    "inliers",
    "share",
    "width",
    "height",
    "bytes",
    "missing",
)


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with a file.

    Attributes:
        action: What.
        source: The file.
        target: Where it goes, or where its link is made.
    """

    action: Action
    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Done:
    """What became of steps.

    Attributes:
        done: Those that were done.
        left: Files that were left alone, each with the reason.
        record: The file by which `undo` takes it back; None where nothing was done.
    """

    done: Sequence[Step]
    left: Sequence[tuple[Path, str]]
    record: Path | None = None


def write_table(groups: Groups, path: Path) -> None:
    """Writes a CSV file with a line for each member, the kept one of a group first.

    Raises:
        OSError: The file cannot be written.
    """
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(_COLUMNS)
    for number, group in enumerate(groups, 1):
        for member in group:
            edit = "" if member.edit is None else str(member.edit)
            numbers = (member.inliers, f"{member.share:.4f}", member.width, member.height, member.file_size)
            is_kept = int(member is group.keep)
            table.writerow((number, group.kind, is_kept, member.path, edit, *numbers, int(member.missing)))
    write_whole(path, os.fsencode(stream.getvalue()))


def plan(groups: Groups, action: Action, folder: Path) -> Done:
    """Returns what an action would do; nothing is touched.

    A group whose kept photo is not there, or no longer holds the bytes that were indexed, is left alone: it
    would lose its picture. So is any file with other bytes, and a copy that shows its part of the picture in
    more pixels than the kept photo does. A link stays, as it may lead nowhere from another folder, and so
    does what a kept one leads to.

    Args:
        groups: Of a collection.
        action: What.
        folder: Where files or links go; of ``trash`` its own folder, which holds ``files`` and ``info``.

    Raises:
        InvalidInput: Photos of one thing are no copies to be put into the trash, or the folder is a file.
    """
    if action == "trash" and any(group.kind == "things" for group in groups):
        raise InvalidInput(
            "photos of one thing are different photos: only copies and scenes go into the trash"
        )
    for place in (folder, *folder.parents):
        if os.path.lexists(place) and not place.is_dir():
            raise InvalidInput(f"{place} is a file: name a folder")
    steps: list[Step] = []
    left: list[tuple[Path, str]] = []
    taken: set[Path] = set()
    kept = {Path(os.path.realpath(group.keep.path)) for group in groups}
    for number, group in enumerate(groups, 1):
        if not _is_here(group.keep, action):
            left += [(Path(member.path), "the photo to keep is not there") for member in group]
            continue
        for member in _concerned(group, action):
            path = Path(member.path)
            if reason := _reason_to_stay(member, action, kept if member is not group.keep else ()):
                left.append((path, reason))
                continue
            place = folder / "files" if action == "trash" else folder / f"{number:04d}"
            target = _free(place / path.name, taken, action)
            taken.add(target)
            steps.append(Step(action, path, target))
    return Done(steps, left)


def _reason_to_stay(member: Member, action: Action, kept: Container[Path]) -> str | None:
    """Returns why a file is left alone, None if it is not."""
    if not _is_here(member, action):
        return "it is not there, or not as it was indexed"
    if action == "link":
        return None
    if Path(member.path).is_symlink():
        return "it is a link, which may lead nowhere from another folder"
    if Path(os.path.realpath(member.path)) in kept:
        return "the photo to keep is a link to it"
    if member.edit is not None and member.edit.scale > FINER:
        return "it shows its part in more pixels than the photo to keep"
    return None


def carry_out(planned: Done, record: Path) -> Done:
    """Does what was planned, and writes down each step before it is taken.

    A file that the system does not let go is left alone. Nothing is overwritten or deleted: a file is moved
    to a name that is free, to another disk by a copy that is compared before the file goes.

    Args:
        planned: By `plan`.
        record: Takes a line of JSON for each step; `undo` reads it.

    Raises:
        OSError: A file or the record cannot be written; the steps before are in the record.
    """
    if not planned.done:
        return planned
    done: list[Step] = []
    left = list(planned.left)
    record.parent.mkdir(parents=True, exist_ok=True)
    with record.open("xb", buffering=0) as stream:
        for step in planned.done:
            if os.path.lexists(step.target) or not step.source.is_file():
                left.append((step.source, "it has gone, or its place was taken meanwhile"))
                continue
            _write_down(step, stream, record)
            try:
                _take(step)
            except OSError as error:
                if error.filename != str(step.source) and error.errno != errno.ENAMETOOLONG:
                    raise
                left.append((step.source, f"it cannot be moved: {error.strerror}"))
                continue
            done.append(step)
    if not done:
        record.unlink()
    return Done(done, left, record if done else None)


def undo(record: Path) -> Done:
    """Takes back what `carry_out` did, the last step first; what is not as it was left is left alone.

    A record may come from elsewhere: only photos are moved, only links to them removed, nothing is replaced.
    A file that the system does not let back is left alone.

    Raises:
        InvalidInput: The file is no such record.
        OSError: The record cannot be read.
    """
    done: list[Step] = []
    left: list[tuple[Path, str]] = []
    for step in reversed(_steps(record)):
        try:
            reason = _obstacle(step)
            if reason is None:
                _take_back(step)
        except OSError as error:
            reason = f"it cannot go back: {error.strerror}; it lies at {step.target}"
        if reason is None:
            done.append(step)
        else:
            left.append((step.target if step.action == "link" else step.source, reason))
        # Folders that were made for it go where they are empty.
        if step.action != "trash":
            with suppress(OSError):
                step.target.parent.rmdir()
    return Done(done, left, record)


def _obstacle(step: Step) -> str | None:
    """Returns why a step is not taken back, None if it can be: a record may come from elsewhere."""
    if step.action == "link":
        is_own = step.target.is_symlink() and step.target.readlink() == step.source
        leads_to_photo = is_photo(step.target) or not step.target.exists()
        return None if is_own and leads_to_photo else "it is no longer the link that was made"
    if not os.path.lexists(step.target):
        if step.action == "trash" and os.path.lexists(_info(step.target)):
            # A kill came between the note of where the file was and its move.
            _info(step.target).unlink()
        if not os.path.lexists(step.source):
            return f"it is neither there nor at {step.target}"
        return "it was not moved, or is back already"
    if os.path.lexists(step.source) and not _is_twice(step):
        return f"another file has its place; it lies at {step.target}"
    return None if is_photo(step.target) else f"what lies at {step.target} is no photo"


def _is_twice(step: Step) -> bool:
    """Returns whether a move was killed between its two halves: the file is at both places."""
    here, there = step.source.lstat(), step.target.lstat()
    if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
        return True
    is_copied = here.st_dev != there.st_dev and step.source.is_file() and step.target.is_file()
    return is_copied and filecmp.cmp(step.source, step.target, shallow=False)


def _take_back(step: Step) -> None:
    if step.action == "link":
        step.target.unlink()
        return
    if os.path.lexists(step.source):
        step.target.unlink()
    else:
        step.source.parent.mkdir(parents=True, exist_ok=True)
        _move(step.target, step.source)
    if step.action == "trash":
        _info(step.target).unlink(missing_ok=True)


def _concerned(group: Group, action: Action) -> Sequence[Member]:
    if action == "trash" or (action == "move" and group.kind == "copies"):
        return group.members[1:]
    return group.members


def _is_here(member: Member, action: Action) -> bool:
    """Returns whether a file is there as it was indexed: one that is to go, by its bytes as well."""
    if member.missing:
        return False
    try:
        if action == "link" or member.content is None:
            return Path(member.path).stat().st_size == member.file_size
        with open_file(member.path) as stream:
            return is_unchanged(stream, member.content)
    except (OSError, UnreadableImage):
        return False


def _free(place: Path, taken: set[Path], action: Action) -> Path:
    """Returns a name that nobody has, nor will have by this plan; of the trash neither a note by another."""
    number, free = 1, place
    while free in taken or os.path.lexists(free) or (action == "trash" and os.path.lexists(_info(free))):
        number += 1
        free = place.with_name(f"{place.stem}-{number}{place.suffix}")
    return free


def _take(step: Step) -> None:
    step.target.parent.mkdir(parents=True, exist_ok=True)
    if step.action == "link":
        step.target.symlink_to(step.source)
        return
    if step.action == "trash":
        # The trash of freedesktop.org: where a file came from stands in a file of its name.
        info = _info(step.target)
        info.parent.mkdir(parents=True, exist_ok=True)
        deleted = time.strftime("%Y-%m-%dT%H:%M:%S")
        with info.open("x") as stream:
            stream.write(f"[Trash Info]\nPath={quote(os.fsencode(step.source))}\nDeletionDate={deleted}\n")
    try:
        _move(step.source, step.target)
    except OSError:
        if step.action == "trash":
            _info(step.target).unlink(missing_ok=True)
        raise


def _info(trashed: Path) -> Path:
    return trashed.parent.parent / "info" / f"{trashed.name}.trashinfo"


def _move(source: Path, target: Path) -> None:
    """Moves a file to a name that is free; to another disk by a copy that is compared first."""
    try:
        # Unlike a rename, a hard link replaces nothing.
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        with source.open("rb") as stream, whole_file(target) as copy:
            shutil.copyfileobj(stream, copy)
        shutil.copystat(source, target)
        if not filecmp.cmp(source, target, shallow=False):
            raise OSError(None, "the copy differs from the file, which stays", str(target)) from None
    try:
        source.unlink()
    except OSError:
        target.unlink()
        raise


def _write_down(step: Step, stream: FileIO, record: Path) -> None:
    line = {"action": step.action, "source": str(step.source), "target": str(step.target)}
    content = (json.dumps(line) + "\n").encode()
    try:
        if stream.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(stream.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(record)) from None


def _steps(record: Path) -> list[Step]:
    """Returns the steps that a record says were taken."""
    with reading(record, f"{record} is no record of moved files: name the file that was printed"):
        require_file(record)
        # A line without an end was cut off by a full disk or a kill, before its step was taken.
        *lines, rest = read_within(record, MOST_JSON_BYTES).split(b"\n")
        if rest and not lines:
            raise ValueError("it has no whole line")
        return [_step(parse_json(line)) for line in lines]


def _step(values: JSON) -> Step:
    found = [values.get(name) for name in ("action", "source", "target")] if isinstance(values, dict) else []
    action, source, target = (value if isinstance(value, str) else "" for value in found)
    known = next((each for each in get_args(Action) if each == action), None)
    if known is None:
        raise ValueError(f"it holds the action {shown(action)!r}, which this version does not know")
    if not all(Path(name).is_absolute() and "\0" not in name for name in (source, target)):
        raise ValueError("it names a file by no path from the root on")
    return Step(known, Path(source), Path(target))
