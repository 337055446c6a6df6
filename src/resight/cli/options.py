"""Arguments that several verbs share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, TypeVar, get_type_hints

import typer

__all__ = [
    "CollectionArgument",
    "DownloadOption",
    "JsonOption",
    "MaxPixelsOption",
    "command_of",
    "refuse_missing_folder",
]

Options = TypeVar("Options")

CollectionArgument = Annotated[
    Path, typer.Argument(metavar="COLLECTION", help="The collection's folder, such as photos.resight.")
]
DownloadOption = Annotated[
    bool,
    typer.Option(
        "--allow-download",
        help="Load the model that the collection names from wherever that is, a hub or a folder.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]
MaxPixelsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Most pixels of a photo that is decoded; 225 million by default, which take 1 GB of memory.",
    ),
]


def refuse_missing_folder(path: Path, *, option: str) -> None:
    """Refuses an output whose folder does not exist, before the work whose result could not be written.

    Raises:
        typer.BadParameter: There is none.
    """
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=option)


def command_of(kind: type[Options], run: Callable[[Options], None]) -> Callable[..., None]:
    """Returns a command for Typer whose arguments and options are the fields of a dataclass.

    Typer reads them from a function's parameters; with many of them nobody can read or call that function.

    Args:
        kind: The dataclass. A field of another dataclass is a group: its fields are options, too.
        run: Called with the filled dataclass; its docstring is the command's help.
    """

    def command(**values: object) -> None:
        run(_filled(kind, values))

    command.__doc__ = run.__doc__
    command.__signature__ = inspect.Signature([*_parameters(kind)])  # type: ignore[attr-defined]
    return command


def _parameters(kind: type) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint = hints[field.name]
        if isinstance(hint, type) and is_dataclass(hint):
            yield from _parameters(hint)
        else:
            yield inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.default is MISSING else field.default,
                annotation=hint,
            )


def _filled(kind: type[Options], values: Mapping[str, object]) -> Options:
    hints = get_type_hints(kind, include_extras=True)
    return kind(
        **{
            name: _filled(hint, values) if isinstance(hint, type) and is_dataclass(hint) else values[name]
            for name, hint in hints.items()
        }
    )
