"""Names of files: as people type them, in either of Unicode's forms, and names that are no path.

macOS decomposes letters (``o`` and two dots), keyboards and most tables compose them (``ö``): one name may
have different bytes on the disk and in a table.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from resight.errors import InvalidInput

__all__ = ["escape_controls", "name_key", "on_disk", "typed_path", "typed_paths", "why_no_name"]

# Two letters or more: one is a drive of Windows. ``Path`` makes one slash of two.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

# Controls of C0 and C1 but for tab and line feed; marks of the direction of writing and separators of lines;
# what takes no room: soft hyphens, joiners, fillers, invisible operators, tags; halves of surrogates.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)

_LONGEST = 100
_NOT_IN_NAMES = frozenset('/\\:*?"<>|')
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)
"""Names of devices: Windows opens the device for a file of that name, whatever its suffix."""


def escape_controls(text: str) -> str:
    """Returns text with what cannot be seen in it escaped, but for line breaks and tabs.

    Names, metadata and labels come from anywhere. Control characters in them would change the terminal, marks
    of the direction of writing the look of a name, and characters without width would make two names one.
    """
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


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


def typed_path(path: str | os.PathLike[str]) -> Path:
    """Returns the path that a person means: ``~/photo.jpg`` and ``file:///tmp/a%20photo.jpg`` are understood.

    A file that is called so is taken as it is.

    Raises:
        InvalidInput: It is the address of something that is no file on this machine, or is no path at all.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        raise InvalidInput(f"a path is text or a pathlib.Path, not {type(path).__name__}") from None
    if not isinstance(text, str):
        raise InvalidInput(
            f"a path is text or a pathlib.Path, not {type(text).__name__}: os.fsdecode makes text"
        )
    if text.startswith("~") and not os.path.lexists(text):
        # A name without a home stays as it is.
        text = os.path.expanduser(text)  # noqa: PTH111 (Path.expanduser raises)
    if is_too_long(text):
        raise InvalidInput(f"{text:.200} is no path: it is longer than a path can be")
    if not _ADDRESS.match(text) or os.path.lexists(text):
        return Path(text)
    parts = urlsplit(text)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise InvalidInput(
            f"{text:.200} is an address, and files of this machine are read: download it first"
        )
    # Imported here: it brings HTTP and TLS, which every command would wait for.
    from urllib.request import url2pathname

    return Path(url2pathname(parts.path))


def is_too_long(path: str | Path) -> bool:
    """Returns whether the system takes no path of that length."""
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    except ValueError:  # A null byte: whoever opens it says so.
        return False
    return False


def typed_paths(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Returns `typed_path` of one path or of several.

    Raises:
        InvalidInput: They are no paths.
    """
    if isinstance(paths, str | bytes | os.PathLike) or not isinstance(paths, Iterable):
        return [typed_path(paths)]
    return [typed_path(path) for path in paths]


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
