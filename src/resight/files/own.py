"""Whether what lies at a path is a file or folder of its own, in a folder that may come from elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["other_than_own", "others_below"]

_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def other_than_own(path: str | Path) -> str | None:
    """Returns what lies at a path, ``a symbolic link`` for example; None for a file, a folder or nothing.

    Links are not followed.

    Raises:
        OSError: The folder that holds it cannot be entered.
    """
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode), "a device")


def others_below(folder: str | Path) -> Iterator[tuple[str, str]]:
    """Yields path and kind of all below a folder that is no file or folder of its own; no link is followed.

    Raises:
        OSError: A folder cannot be listed.
    """
    folders = [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif kind := other_than_own(entry.path):
                    yield entry.path, kind
