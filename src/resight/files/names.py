"""Names of files: in either of Unicode's forms, and names that are one name and no path.

macOS decomposes letters (``o`` and two dots), keyboards and most tables compose them (``ö``): one name may
have different bytes on the disk and in a table.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

__all__ = ["name_key", "on_disk", "why_no_name"]

_LONGEST = 100
_NOT_IN_NAMES = frozenset('/\\:*?"<>|')
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)
"""Names of devices: Windows opens the device for a file of that name, whatever its suffix."""


def why_no_name(text: str) -> str | None:
    """Returns why a text cannot name a file or folder on every system, ``None`` if it can.

    What a file from elsewhere calls itself becomes a folder's name only after this question: a path would
    lead out of the folder.
    """
    if not text or text != text.strip():
        return "it is empty or begins or ends with a blank"
    if _NOT_IN_NAMES & set(text):
        return f"one name holds none of {' '.join(sorted(_NOT_IN_NAMES))}: it is no path"
    if any(unicodedata.category(character)[0] == "C" for character in text):
        return "it holds a control character"
    if text.startswith(".") or text.endswith("."):
        return "it begins or ends with a dot"
    if text.partition(".")[0].strip().lower() in _RESERVED:
        return "Windows keeps this name for a device"
    if len(text.encode()) > _LONGEST:
        return f"it is longer than {_LONGEST} bytes"
    return None


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
