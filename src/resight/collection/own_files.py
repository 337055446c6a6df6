"""Whether a collection's folder holds nothing but files of its own: it may come from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from lance.fragment import DataFile

from resight.errors import CollectionDamaged, InvalidInput, StorageFailed
from resight.files import ObjectPath, others_below

__all__ = ["TABLE_NAME", "make_room", "require_own_files", "require_plain_names"]

TABLE_NAME = "photos.lance"


def make_room(directory: Path, own: Collection[str]) -> None:
    """Makes the folder of a new collection.

    Args:
        directory: The folder.
        own: Names in it that are a collection's.

    Raises:
        InvalidInput: It is no folder, or holds other things.
        CollectionDamaged: It holds a link, a pipe, a socket or a device.
        StorageFailed: The disk refuses it.
    """
    if os.path.lexists(directory) and not directory.is_dir():
        what = "a file" if directory.is_file() else "no folder, or leads nowhere"
        raise InvalidInput(f"{directory} is {what}: name a new or an empty folder")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        foreign = {entry.name for entry in directory.iterdir()} - {*own}
        if foreign:
            raise InvalidInput(
                f"cannot make a collection in {directory}: it holds other things ({min(foreign)}); "
                "name a new or an empty folder"
            )
        require_own_files(directory)
    except OSError as error:
        raise StorageFailed(f"the folder {directory} cannot be made ({error.strerror})") from None


def require_own_files(directory: Path) -> None:
    """Returns if all that lies in a collection's directory are regular files and folders.

    No link is followed: the table's clean-up would delete what lies behind one.

    Raises:
        CollectionDamaged: Something is a symbolic link, a pipe, a socket or a device.
        OSError: A folder cannot be listed.
    """
    for path, kind in others_below(directory):
        raise CollectionDamaged(
            f"the collection {directory} is not opened: {path} is {kind}, and a collection holds files and "
            "folders of its own alone; take it out, if you know where it leads"
        )


def require_plain_names(directory: Path | ObjectPath, files: Iterable[DataFile]) -> None:
    """Returns if the data files that a table lists lie in its own data folder.

    Raises:
        CollectionDamaged: One lies elsewhere.
    """
    for file in files:
        name = str(file.path)
        path = PurePosixPath(name.replace("\\", "/"))
        # A base is another folder that the table may name.
        elsewhere = path.is_absolute() or ".." in path.parts or ":" in name
        if elsewhere or file.base_id is not None:
            raise CollectionDamaged(
                f"the collection {directory} is not opened: its table lists the file {name!r}, "
                "which lies outside of it"
            )
