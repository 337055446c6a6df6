"""Files and folders that indexing leaves out: known thumbnails and waste bins, and what the user names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import final

from resight.files import name_key

__all__ = ["KNOWN_FOLDERS", "Exclusion"]

KNOWN_FOLDERS = (
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", ".@__thumb", "@__thumb"),  # NAS
    *(".thumbnails", ".Trash*", ".Trashes", "lost+found"),  # Linux, macOS
    *("$RECYCLE.BIN", "RECYCLER", "System Volume Information"),  # Windows
    *(
        "*Previews.lrdata",
        "*.cocatalogdb/Cache",
        "iPod Photo Cache",
        "appdata_*/preview",
    ),  # Lightroom and others
    *(f"*.photoslibrary/{name}" for name in ("resources", "database", "private", "scopes")),
    *(f"*.photolibrary/{name}" for name in ("Thumbnails", "Previews", "resources")),
)
"""Folders of small copies and of deleted photos, in any case of letters; a slash stands between two names."""


@final
@dataclass(frozen=True, slots=True)
class Exclusion:
    """Decides what is left out of a folder.

    Attributes:
        patterns: Of the user, as a shell writes them (``*``, ``?``, ``[ab]``), in their case of letters. One
            is compared with the name of a file or folder, with its path below the indexed folder, and with
            its absolute path.
    """

    patterns: Sequence[str] = ()

    def pattern_of(self, path: str, folder: str, *, is_folder: bool) -> str | None:
        """Returns the pattern that leaves out an entry, None where none does.

        Args:
            path: The entry, absolute.
            folder: The indexed folder that holds it, absolute.
            is_folder: Whether it is a folder: `KNOWN_FOLDERS` are.
        """
        path = name_key(path)
        below = path[len(name_key(folder)) :].lstrip("/")
        name = below.rpartition("/")[2]
        for pattern in self.patterns:
            wanted = name_key(pattern.rstrip("/"))
            if any(fnmatchcase(text, wanted) for text in (name, below, path)):
                return pattern
        if is_folder:
            lowered = path.lower()
            for pattern in KNOWN_FOLDERS:
                if fnmatchcase(lowered if "/" in pattern else name.lower(), _anywhere(pattern)):
                    return pattern
        return None

    def leaves_out(self, path: str, folder: str) -> bool:
        """Returns whether a file, or a folder that holds it below ``folder``, is left out."""
        if self.pattern_of(path, folder, is_folder=False) is not None:
            return True
        parent = path.rpartition("/")[0]
        while len(parent) > len(folder):
            if self.pattern_of(parent, folder, is_folder=True) is not None:
                return True
            parent = parent.rpartition("/")[0]
        return False


def _anywhere(pattern: str) -> str:
    return f"*/{pattern.lower()}" if "/" in pattern else pattern.lower()
