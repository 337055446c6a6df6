"""Whether what lies at a path is a file or folder of its own, in a folder that may come from elsewhere."""

from __future__ import annotations

import stat
from pathlib import Path

__all__ = ["other_than_own"]

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
