"""The recipes that come with the package, and what they say of themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from resight.errors import InvalidInput
from resight.files import did_you_mean

__all__ = ["PackagedRecipe", "packaged_recipe", "packaged_recipes"]

_FOLDER = Path(__file__).parents[1] / "recipes"


@dataclass(frozen=True, slots=True)
class PackagedRecipe:
    """A recipe of the package.

    Attributes:
        name: What ``resight train`` takes.
        path: Its file.
        about: The comment at its head: what it trains, the command, and which result it reproduces.
    """

    name: str
    path: Path
    about: str

    @property
    def title(self) -> str:
        """The first sentence of the comment."""
        text = " ".join(self.about.split()).partition(" resight train")[0]
        return re.split(r"(?<! al)\. ", text, maxsplit=1)[0].rstrip(".:")


def packaged_recipes() -> list[PackagedRecipe]:
    """Returns the recipes of the package by name."""
    return [_read(path) for path in sorted(_FOLDER.glob("*.yaml"))]


def packaged_recipe(name: str) -> PackagedRecipe:
    """Returns the recipe of a name.

    Raises:
        InvalidInput: There is none; the nearest is named.
    """
    recipes = {recipe.name: recipe for recipe in packaged_recipes()}
    if name not in recipes:
        known = ", ".join(recipes)
        raise InvalidInput(f"there is no recipe {name!r}{did_you_mean(name, recipes)}; there are {known}")
    return recipes[name]


def _read(path: Path) -> PackagedRecipe:
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = takewhile(lambda line: line.startswith("#"), lines)
    return PackagedRecipe(path.stem, path, "\n".join(line[1:].removeprefix(" ") for line in comment))
