"""Deletes what a table's latest version does not need: older versions, and files of killed writers.

No path is followed for that. Each folder is opened without following a link, what is deleted is a regular
file directly in it, and its name is one that Lance gives: a link that appears meanwhile leads nowhere, and
files of other names stay.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import lance

from resight.errors import CollectionDamaged

__all__ = ["is_leftover", "remove_leftovers", "version_of"]

_HINT = "latest_version_hint.json"
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_FORMS = {
    "_versions": rf"\d{{1,20}}\.manifest|{re.escape(_HINT)}",
    "_transactions": rf"\d+-{_UUID}\.txn",
    "_deletions": r"\d+-\d+-\d+\.(?:arrow|bin)",
    "data": r"[0-9a-f-]{16,64}\.lance",
}
"""Names that Lance gives, by folder. Before that a file is called ``.tmp`` and six letters, or by the name,
``#`` and a number."""

_LARGEST = 2**64 - 1
"""Manifests are named by this number less their version; those of Lance before 0.20 by their version."""


def remove_leftovers(table: Path, dataset: lance.LanceDataset) -> None:
    """Deletes all of a table's files that its latest version does not list; the caller holds the lock.

    Args:
        table: The table's directory.
        dataset: The table at its latest version. Where the directory holds a later one, nothing is deleted.

    Raises:
        CollectionDamaged: A folder is a link, or no folder.
        OSError: A folder cannot be read, or a file cannot be deleted.
        ValueError: The version cannot be read.
    """
    version = int(dataset.version)
    with _opened(table) as parent:
        names = {folder: _names(folder, parent) for folder in _FORMS}
        versions = {name: version_of(name) for name in names["_versions"]}
        if any(other > version for other in versions.values()):
            return
        listed = _listed(dataset) | {
            "_versions": {_HINT, *(name for name, number in versions.items() if number == version)}
        }
        # Manifests first, so that a version that is listed lacks no file.
        for folder, present in names.items():
            _remove(folder, parent, present - listed[folder])


def is_leftover(dataset: lance.LanceDataset) -> Callable[[str, str], bool]:
    """Returns what says of a folder of the table and a name in it whether it is a file no version needs.

    Args:
        dataset: The table at the one version that it has.
    """
    listed = _listed(dataset)

    def is_one(folder: str, name: str) -> bool:
        return folder in listed and _form(folder).fullmatch(name) is not None and name not in listed[folder]

    return is_one


def _listed(dataset: lance.LanceDataset) -> dict[str, set[str]]:
    """Returns the names of the files that a version needs, by folder."""
    fragments = dataset.get_fragments()
    deletions = [fragment.deletion_file() for fragment in fragments]
    written = dataset.read_transaction(dataset.version)
    return {
        "data": {str(file.path) for fragment in fragments for file in fragment.metadata.files},
        "_deletions": {Path(name).name for name in deletions if name is not None},
        "_transactions": set() if written is None else {f"{written.read_version}-{written.uuid}.txn"},
    }


def version_of(manifest: str) -> int:
    """Returns the version of a manifest by its name, which `_FORMS` describes; -1 for another name."""
    if not re.fullmatch(r"\d{1,20}\.manifest", manifest):
        return -1
    number = int(manifest.removesuffix(".manifest"))
    return _LARGEST - number if number > _LARGEST // 2 else number


def _form(folder: str) -> re.Pattern[str]:
    """Returns the form of the names that Lance gives in a folder."""
    return re.compile(rf"(?:{_FORMS[folder]})(?:#\d+)?|\.tmp[0-9A-Za-z]{{6}}")


def _names(folder: str, parent: int | str) -> set[str]:
    """Returns the names of regular files in a folder of the table that Lance may have given."""
    form = _form(folder)
    try:
        with _opened(folder, parent) as opened, os.scandir(opened) as entries:
            return {
                entry.name
                for entry in entries
                if form.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            }
    except FileNotFoundError:
        return set()


def _remove(folder: str, parent: int | str, names: Set[str]) -> None:
    if not names:
        return
    with _opened(folder, parent) as opened:
        for name in sorted(names):
            if isinstance(opened, int):
                os.unlink(name, dir_fd=opened)
            else:
                Path(opened, name).unlink()


@contextmanager
def _opened(folder: Path | str, parent: int | str | None = None) -> Iterator[int | str]:
    """Yields a descriptor of a folder that is no link; on Windows, which has none of folders, its path."""
    if os.unlink not in os.supports_dir_fd or os.scandir not in os.supports_fd:
        yield str(folder) if parent is None else str(Path(str(parent), folder))
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        descriptor = os.open(folder, flags, dir_fd=parent if isinstance(parent, int) else None)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.EMLINK):
            raise CollectionDamaged(f"the table's {folder} is no folder of its own: take it out") from None
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)
