"""Files and folders that indexing leaves out: known thumbnails and waste bins, and what the user names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import final

from resight.errors import InvalidInput
from resight.files import name_key

__all__ = ["KNOWN_FOLDERS", "Exclusion"]

KNOWN_FOLDERS = (
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", ".@__thumb", "@__thumb"),  # NAS
    *("@Transcode", "~snapshot", "Network Trash Folder", "Temporary Items"),
    *(".thumbnails", ".Trash*", ".Trashes", "lost+found", "LOST.DIR", ".dtrash"),  # Linux, macOS, Android
    *("$RECYCLE.BIN", "RECYCLER", "RECYCLED", "System Volume Information"),  # Windows
    *("*Previews.lrdata", "* Helper.lrdata", "*.lrlibrary/*/previews", "*.lrlibrary/*/smart previews"),
    *("*.cocatalogdb/Cache", "*.cocatalog/Cache", "CaptureOne/Cache", "iPod Photo Cache"),
    *("appdata_*/preview", "files_trashbin", "files_versions"),  # Nextcloud
    *(f"*.photoslibrary/{name}" for name in ("resources", "database", "private", "scopes")),
    *(
        f"{library}/{name}"
        for library in ("*.photolibrary", "*.migratedphotolibrary", "*.aplibrary", "iPhoto Library")
        for name in ("Thumbnails", "Previews", "resources", "Data.noindex")
    ),
)
"""Folders of small copies and of deleted photos, in any case of letters; a slash stands between two names."""

_PIECE = re.compile(
    r"(?P<star>\*+)|(?P<one>\?)|\[(?P<no>[!^]?)(?P<set>\]?[^]]*)\]|\\(?P<escaped>.)|(?P<plain>.)", re.DOTALL
)

_MOST_DEPTHS = 3
"""``**`` in a pattern; each makes the comparison slower by the length of the path."""


@final
@dataclass(frozen=True, slots=True)
class Exclusion:
    """Decides what is left out of a folder.

    Attributes:
        patterns: Of the user, as ``.gitignore`` takes them, in their case of letters: ``*`` and ``?`` stand
            for letters of one name, ``**`` for any folders, ``[ab]`` for a letter of these. A pattern
            without a slash is compared with names at any depth, one with a slash with paths below the
            indexed folder (and one that begins with a slash with absolute paths, too); ``*/`` at its
            beginning is any depth. A slash at its end takes folders alone. ``!`` at its beginning takes back
            what an earlier pattern, or `KNOWN_FOLDERS`, leaves out.
    """

    patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses what cannot be understood, before anything is looked at.

        Raises:
            InvalidInput: A pattern is no pattern.
        """
        for pattern in self.patterns:
            _pattern_of(pattern)

    def pattern_of(self, path: str, folder: str, *, is_folder: bool) -> str | None:
        """Returns the pattern that leaves out an entry, None where none does.

        Args:
            path: The entry, absolute.
            folder: The indexed folder that holds it, absolute.
            is_folder: Whether it is a folder: `KNOWN_FOLDERS` are.
        """
        path = name_key(path)
        below = path[len(name_key(folder)) :].lstrip("/")
        for pattern in reversed(self.patterns):
            if _pattern_of(pattern).takes(path, below, is_folder=is_folder):
                return None if pattern.startswith("!") else pattern
        if is_folder:
            lowered = path.lower()
            for pattern in KNOWN_FOLDERS:
                if _regex(f"**/{pattern.lower()}").fullmatch(lowered):
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


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A pattern of the user, as it is compared."""

    regex: re.Pattern[str]
    is_name: bool
    is_absolute: bool
    takes_files: bool

    def takes(self, path: str, below: str, *, is_folder: bool) -> bool:
        if not (is_folder or self.takes_files):
            return False
        text = below.rpartition("/")[2] if self.is_name else below
        matches = self.regex.fullmatch(text) or (self.is_absolute and self.regex.fullmatch(path[1:]))
        return matches is not None and matches is not False


@cache
def _pattern_of(pattern: str) -> _Pattern:
    text = name_key(pattern).removeprefix("!")
    text = text[1:] if text.startswith("./") else text
    stripped = text.rstrip("/")
    wanted = stripped.lstrip("/")
    if wanted.startswith("*/"):
        wanted = f"*{wanted}"
    return _Pattern(
        _regex(wanted),
        is_name="/" not in stripped,
        is_absolute=stripped.startswith("/"),
        takes_files=text == stripped,
    )


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    """Returns the regular expression of a pattern without slashes around it.

    Raises:
        InvalidInput: It cannot be understood.
    """
    names = pattern.split("/")
    if names.count("**") > _MOST_DEPTHS:
        raise InvalidInput(f"the pattern {pattern!r} to exclude holds ** more than {_MOST_DEPTHS} times")
    parts = ["(?:.*/)?" if name == "**" else f"{_name_regex(name)}/" for name in names[:-1]]
    parts.append(".*" if names[-1] == "**" else _name_regex(names[-1]))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        raise InvalidInput(
            f"the pattern {pattern!r} to exclude cannot be understood: letters in brackets are written [ab] "
            "or [a-z], and a bracket itself \\["
        ) from None


def _name_regex(pattern: str) -> str:
    """Returns the regular expression of a pattern of one name."""
    fixed = [""]
    for piece in _PIECE.finditer(pattern):
        kind = piece.lastgroup or ""
        if kind == "star":
            fixed.append("")
        elif kind == "set":
            letters = re.sub(r"([\\\[\]&|~])", r"\\\1", piece["set"])
            fixed[-1] += f"(?!/)[{'^' if piece['no'] else ''}{letters}]"
        else:
            fixed[-1] += "[^/]" if kind == "one" else re.escape(piece[kind])
    # The first place that fits between two stars is as good as any; trying all takes for ever.
    first, *others = fixed
    if not others:
        return first
    return first + "".join(f"(?>[^/]*?{part})" for part in others[:-1]) + f"[^/]*{others[-1]}"
