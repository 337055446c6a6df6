"""What goes to standard output: tables and lines for people, JSON for programs."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.files import with_both_slashes
from resight.files.names import escape_controls

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from resight.collection import BrokenPhoto
    from resight.files import ObjectPath

__all__ = [
    "Json",
    "as_json",
    "broken_table",
    "command_line",
    "console",
    "count",
    "json_text",
    "note",
    "one_line",
    "plain_table",
    "shown_path",
    "write_json",
]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_WIDTH_OF_LOGS = 4000
"""A log or a pipe has no width; a narrow one would fold paths that another program reads."""


def console() -> Console:
    """Returns the way to standard output; text is taken literally, whatever a path holds."""
    from rich.console import Console
    from rich.text import Text

    class LiteralConsole(Console):
        """Takes every piece of text through `escape_controls`, cells of tables included."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(escape_controls(text), **options)

    width = None if sys.stdout.isatty() else _WIDTH_OF_LOGS
    return LiteralConsole(markup=False, highlight=False, emoji=False, width=width)


def note(text: str) -> None:
    """Says on standard error what has been done; standard output stays the result alone."""
    print(escape_controls(text), file=sys.stderr, flush=True)


def plain_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Returns an empty table without frame; the columns named in ``right`` are aligned right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        if column in right:
            table.add_column(column, justify="right", no_wrap=True)
        else:
            table.add_column(column, overflow="fold")
    return table


def broken_table(photos: Sequence[BrokenPhoto]) -> Table:
    """Returns a table of files that cannot be read, each with its reason."""
    table = plain_table("broken file", "reason")
    for photo in photos:
        table.add_row(shown_path(photo.path), photo.reason)
    return table


def as_json(value: object) -> Json:
    """Returns a value object as JSON: fields by name, arrays as lists, boxes as [x0, y0, x1, y1].

    Raises:
        TypeError: The value has no such form.
    """
    import numpy as np

    from resight.features import Box

    if isinstance(value, Box):
        return list(value.corners)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): as_json(entry) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [as_json(entry) for entry in value]
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def write_json(value: object) -> None:
    """Writes a value as JSON to standard output, and nothing else."""
    # Flushed here, where a reader that has left (`resight search --json | head`) is met quietly.
    print(json_text(as_json(value)), flush=True)


def json_text(value: Json, indent: str = "") -> str:
    """Returns JSON of which each record, such as a hit of an answer, stands on a line of its own.

    Records are objects in a list; one that holds records itself takes several lines, as the whole does.
    """
    inner = indent + "  "
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        entries = [json_text(entry, inner) if _holds_records(entry) else _line(entry) for entry in value]
        return _block("[]", entries, indent)
    if isinstance(value, dict) and value and (not indent or _holds_records(value)):
        pairs = [f"{_line(key)}: {json_text(entry, inner)}" for key, entry in value.items()]
        return _block("{}", pairs, indent)
    return _line(value)


def _holds_records(value: Json) -> bool:
    if isinstance(value, dict):
        return any(_holds_records(entry) for entry in value.values())
    return isinstance(value, list) and any(isinstance(entry, dict) for entry in value)


def _block(brackets: str, entries: Sequence[str], indent: str) -> str:
    lines = ",\n".join(f"{indent}  {entry}" for entry in entries)
    return f"{brackets[0]}\n{lines}\n{indent}{brackets[1]}"


def _line(value: Json) -> str:
    return json.dumps(value)


def shown_path(path: str | Path | ObjectPath) -> str:
    """Returns the path as short as it can be typed here: relative where it lies below the current folder.

    Line breaks and tabs in it are escaped, so that it stays on one line.
    """
    if (address := with_both_slashes(str(path))).startswith("s3://"):
        return address
    absolute, here = Path(str(path)).absolute(), Path.cwd()
    shown = str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
    return one_line(shown)


def one_line(text: str) -> str:
    """Returns text with its line breaks and tabs escaped."""
    return text.replace("\n", "\\n").replace("\t", "\\t")


def command_line(*words: str | Path) -> str:
    r"""Returns a command line that can be copied into a shell; ``resight`` is named as it was started.

    What cannot be seen in a name is written as ``$'\n'`` is, which bash, zsh and newer shells understand.
    """
    program, *others = (with_both_slashes(str(word)) for word in words)
    return " ".join(map(_quoted, [_started() if program == "resight" else program, *others]))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_escaped, word)) + "'"


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return f"\\{letter}" if letter in "\\'" else letter
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))


def _started() -> str:
    """Returns ``resight``, or the file of that name that was started where shells find another or none."""
    file = Path(sys.argv[0])
    if file.name != "resight" or not file.is_file():
        return "resight"
    first = shutil.which("resight")
    return "resight" if first and Path(first).resolve() == file.resolve() else shown_path(file)


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Returns a number and what it counts: ``1 photo``, ``1,200 photos``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
