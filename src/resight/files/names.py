"""Names of files in either of Unicode's forms.

macOS decomposes letters (``o`` and two dots), keyboards and most tables compose them (``ö``): one name may
have different bytes on the disk and in a table.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

__all__ = ["name_key", "on_disk"]


def name_key(name: str) -> str:
    """Returns a name as names are compared: in the composed form (NFC)."""
    return unicodedata.normalize("NFC", name)


def on_disk(path: Path) -> Path:
    """Returns the path of a file or folder as the disk writes it.

    A path that is there is returned as it is; so is one for which no name, or several, differ in the form
    alone.
    """
    if path.exists() or path.name == "":
        return path
    folder = on_disk(path.parent)
    try:
        names = [entry for entry in folder.iterdir() if name_key(entry.name) == name_key(path.name)]
    except OSError:
        return path
    return names[0] if len(names) == 1 else path
