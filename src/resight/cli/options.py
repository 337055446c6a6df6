"""Arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["CollectionArgument", "JsonOption", "refuse_missing_folder"]

CollectionArgument = Annotated[
    Path, typer.Argument(metavar="COLLECTION", help="The collection's folder, such as photos.resight.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]


def refuse_missing_folder(path: Path, *, option: str) -> None:
    """Returns if there is a folder for a file that is to be written, so that no work is done in vain.

    Raises:
        typer.BadParameter: There is none.
    """
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=option)
