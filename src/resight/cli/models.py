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

_ALSO = (
    "\nAlso: NAME-gem and NAME-both for those with a pooling of their own, timm:NAME for any trunk of timm, "
    "and a bundle's path."
)

NameArgument = Annotated[
    str | None, typer.Argument(metavar="NAME", help="One recipe, with its command and results.")
]


def models(as_json: JsonOption = False) -> None:
    """List the models: dimension, size, licence, whether the weights are here, published figures."""
    from resight.models import available

    entries = available(look=True)
    if as_json:
        write_json(entries)
        return
    columns = ("model", "dim", "MB", "licence", "needs", "here", "what it is", "published")
    table = plain_table(*columns, right=("dim", "MB"))
    for entry in entries:
        size = f"{entry.megabytes:.1f}" if entry.megabytes is not None else "?"
        needs = f"resight[{entry.needs}]" if entry.needs else ""
        facts = (str(entry.dim), size, entry.licence, needs, "yes" if entry.local else "")
        table.add_row(entry.name, *facts, entry.summary, entry.published or "")
    console().print(table)
    console().print(_ALSO, soft_wrap=True)


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
