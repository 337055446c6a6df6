"""Arguments that several verbs share."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args, get_type_hints

import typer

from resight.settings.marks import MOST_SEED, Meaning

if TYPE_CHECKING:
    from typer.models import OptionInfo

    from resight.models.engines import Engine

__all__ = [
    "CollectionArgument",
    "DownloadOption",
    "EngineOption",
    "JsonOption",
    "MaxPixelsOption",
    "command_of",
    "engine_named",
    "refuse_in_collection",
    "refuse_missing_folder",
    "refuse_replacing",
    "refuse_unfit_folder",
    "seed_option",
]

Options = TypeVar("Options")

_ROWS = "photos.lance"
"""What every collection's folder holds."""

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
EngineOption = Annotated[
    str,
    typer.Option(
        metavar="ENGINE",
        help="What runs a model's network: torch, openvino or onnx; auto takes the fastest one that is "
        "installed and agrees with torch, for 200 photos or more.",
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


def seed_option(of: str) -> OptionInfo:
    """Returns the option of a seed, in the range that every generator takes.

    Args:
        of: What is drawn by it, for the help.
    """
    option: OptionInfo = typer.Option(min=0, max=MOST_SEED, metavar="N", help=of)
    return option


def engine_named(name: str) -> Engine:
    """Returns the engine of a name.

    Raises:
        typer.BadParameter: There is none.
    """
    from resight.models.engines import ENGINES

    for engine in ENGINES:
        if engine == name:
            return engine
    raise typer.BadParameter(
        f"there is no engine {name!r}; accepted are {', '.join(ENGINES)}", param_hint="--engine"
    )


def refuse_missing_folder(path: Path, *, option: str) -> None:
    """Refuses an output whose folder does not exist, before the work whose result could not be written.

    Raises:
        typer.BadParameter: There is none.
    """
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=option)


def refuse_unfit_folder(path: Path | None, *, option: str) -> None:
    """Refuses an output that is a folder of files where there is a file, or where a collection lies.

    Raises:
        typer.BadParameter: There is one.
    """
    if path is None:
        return
    for place in (path, *path.parents):
        if place.is_dir():
            break
        if place.exists():
            raise typer.BadParameter(f"{place} is no folder: name a new one", param_hint=option)
    refuse_in_collection(path, option=option)


def refuse_in_collection(path: Path, *, option: str) -> None:
    """Refuses an output in a collection: its writers remove what is not theirs, and links lock it.

    Raises:
        typer.BadParameter: It would lie in one, or take its place.
    """
    for folder in (place := Path(os.path.realpath(path)), *place.parents):
        if (folder / _ROWS).is_dir():
            raise typer.BadParameter(
                f"it lies in the collection, which holds no photos and no files but its own ({folder}): name "
                "another place",
                param_hint=option,
            )


def refuse_replacing(
    outputs: Mapping[str, Path | None],
    inputs: Mapping[str, str | Path | list[Path] | None],
    *,
    pictures: Container[str] = (),
) -> None:
    """Returns if files that are to be written replace nothing that is read, no photo and not each other.

    The name ``-`` is refused, which other programs take for standard output.

    Args:
        outputs: Files by the option that names them.
        inputs: Files and folders that are read, by what they are.
        pictures: Options of outputs that are pictures: they may replace a picture that is not read, which an
            earlier run may have written.

    Raises:
        typer.BadParameter: One of them would, or is no file; its option is named.
    """
    from resight.images import is_photo

    named = [(option, path) for option, path in outputs.items() if path is not None]
    for option, path in named:
        if str(path) == "-":
            raise typer.BadParameter(
                "a file is written, and - names none; standard output is /dev/stdout", param_hint=option
            )
        if any(name != option and _spelled(other) == _spelled(path) for name, other in named):
            raise typer.BadParameter("another output has the same name", param_hint=option)
        for what, given in inputs.items():
            paths = [given] if isinstance(given, str | Path) else given or []
            if any(_would_replace(path, Path(other)) for other in paths):
                raise typer.BadParameter(f"it would replace {what}", param_hint=option)
        if option not in pictures and is_photo(path):
            raise typer.BadParameter("it would replace a photo", param_hint=option)
        refuse_in_collection(path, option=option)


def _spelled(path: Path) -> str:
    """Returns what is the same for two names of one file, on disks that do not tell case apart, too."""
    return os.path.realpath(path).casefold()


def _would_replace(output: Path, given: Path) -> bool:
    """Returns whether an output is a file that is read, by any name, or in a folder that is read.

    There, a photo is; of a collection, every file.
    """
    if not output.is_file():
        return False
    if given.is_dir():
        from resight.images import is_photo

        is_collection = (given / _ROWS).is_dir()
        return output.resolve().is_relative_to(given.resolve()) and (is_collection or is_photo(output))
    return given.exists() and output.samefile(given)


def command_of(kind: type[Options], run: Callable[[Options], None]) -> Callable[..., None]:
    """Returns a command for Typer whose arguments and options are the fields of a dataclass.

    Typer reads options from a function's parameters, and a function of thirty parameters is hard to read.

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
                annotation=_option(hint),
            )


def _option(hint: object) -> object:
    """Returns the annotation of a parameter; a number whose meaning stands beside it is an option."""
    marks = getattr(hint, "__metadata__", ())
    if not marks or not isinstance(marks[0], Meaning):
        return hint
    kind, meaning = get_args(hint)[0], marks[0]
    return Annotated[kind, typer.Option(metavar="N", min=kind(meaning.least), help=meaning.text)]


def _filled(kind: type[Options], values: Mapping[str, object]) -> Options:
    hints = get_type_hints(kind, include_extras=True)
    return kind(
        **{
            name: _filled(hint, values) if isinstance(hint, type) and is_dataclass(hint) else values[name]
            for name, hint in hints.items()
        }
    )
