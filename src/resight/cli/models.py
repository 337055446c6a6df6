"""``resight models`` and ``recipes``: what can be typed after ``--model`` and ``resight train``."""

from __future__ import annotations

from typing import Annotated

import typer

from resight.cli.options import JsonOption
from resight.cli.output import console, plain_table, shown_path, write_json

__all__ = ["EXAMPLE", "RECIPES_EXAMPLE", "models", "recipes"]

EXAMPLE = "Example:\n\n  resight models\n\n  resight index ~/Pictures --model sift"
RECIPES_EXAMPLE = (
    "Example:\n\n  resight recipes\n\n  resight recipes softtriple\n\n"
    "  resight train softtriple data.root=~/CUB_200_2011"
)

NameArgument = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="One recipe, with its command and results.")
]


def models(as_json: JsonOption = False) -> None:
    """List the models, with dimension, size and licence."""
    from resight.models import available

    entries = available()
    if as_json:
        write_json(entries)
        return
    table = plain_table("model", "dim", "MB", "licence", "needs", "what it is", right=("dim", "MB"))
    for entry in entries:
        size = f"{entry.megabytes:.1f}" if entry.megabytes is not None else "?"
        needs = f"resight[{entry.needs}]" if entry.needs else ""
        table.add_row(entry.name, str(entry.dim), size, entry.licence, needs, entry.summary)
    console().print(table)


def recipes(name: NameArgument = None, as_json: JsonOption = False) -> None:
    """List the recipes of the package, or say what one of them trains and reproduces."""
    from resight.pipelines.recipes import packaged_recipe, packaged_recipes

    chosen = packaged_recipes() if name is None else [packaged_recipe(name)]
    if as_json:
        write_json(chosen)
        return
    if name is not None:
        console().print(f"{chosen[0].about}\n\nIts file:  {shown_path(chosen[0].path)}", soft_wrap=True)
        return
    table = plain_table("recipe", "what it trains")
    for recipe in chosen:
        table.add_row(recipe.name, recipe.title)
    console().print(table)
