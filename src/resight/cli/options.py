"""Arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["CollectionArgument", "JsonOption"]

CollectionArgument = Annotated[
    Path, typer.Argument(metavar="COLLECTION", help="The collection's folder, such as photos.resight.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]
