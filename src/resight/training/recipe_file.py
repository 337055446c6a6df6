"""Recipes as files: YAML whose numbers are numbers, a choice of benchmark, and overrides."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from resight.errors import InvalidInput
from resight.files.budget import check_tree, read_within, shown
from resight.files.foreign import reading, reason_of
from resight.files.nearest import suggestion

__all__ = ["RECIPES", "Values", "find_recipe", "override", "read_values"]

RECIPES = Path(__file__).parents[1] / "recipes"
"""The folder of the recipes that come with the package."""

_MOST_BYTES = 2**20
_MOST_VALUES = 10_000

Values: TypeAlias = "dict[str, Any]"
"""What a recipe's file says before it is checked: mappings, lists and scalars of YAML."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no annotations
    """YAML in which 1e-4 is a number, yes and on are words, and a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Returns the mapping; PyYAML's own keeps the last of two equal keys and says nothing."""
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = sorted(key for key, count in keys.items() if count > 1)
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice[0]!r} stands twice in one place", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


def _give_resolvers(loader: type[yaml.SafeLoader]) -> None:
    """Sets the plain scalars the loader understands, by the core schema of YAML 1.2 instead of 1.1."""
    loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in (
        ("bool", r"true|false", "tf"),
        ("null", r"null|~|", "n~\0"),
        ("int", r"[-+]?[0-9]+", "-+0123456789"),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ):
        characters = [*first] if tag != "null" else ["n", "~", ""]
        loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), characters)


_give_resolvers(_Loader)


def find_recipe(recipe: str | Path, folder: Path = Path()) -> Path:
    """Returns the file of a recipe: a path, or the bare name of one that comes with the package.

    A file of that name in the folder is preferred.

    Args:
        recipe: Path or name.
        folder: Where a path begins that is not absolute.

    Raises:
        InvalidInput: It is a bare name, and no recipe has it.
    """
    name, path = Path(recipe), folder / recipe
    if name.suffix or len(name.parts) != 1 or path.is_file():
        return path
    packaged = RECIPES / f"{name}.yaml"
    if not packaged.is_file():
        known = sorted(file.stem for file in RECIPES.glob("*.yaml"))
        raise InvalidInput(f"there is no recipe {str(recipe)!r}: {suggestion(str(recipe), known)}")
    return packaged


def read_values(path: str | Path, overrides: Sequence[str] = ()) -> Values:
    """Returns what a recipe's file says, its benchmark chosen and overrides applied.

    A file may begin with ``extends``, another file beside it or the name of a recipe of the package, and then
    says only what differs: mappings are merged, lists replaced, and a mapping of another ``kind`` replaces
    the one below.

    It may hold ``benchmark`` and ``benchmarks``: a name, and for each name the settings in which its recipe
    differs from the rest of the file. They are merged in before the overrides, and ``benchmarks``
    disappears; ``benchmark=NAME`` among the overrides chooses another.

    Args:
        path: A YAML file, or the name of a recipe of the package, such as ``small-cgd``.
        overrides: ``key.sub=value`` each, the value in YAML. An entry of a list is named by its number or,
            where it has one, by its ``name``.

    Raises:
        InvalidInput: The file is not there or no YAML mapping, no recipe has the name, an override has no
            ``=`` or leads nowhere, or the benchmark is unknown.
    """
    values = _read(find_recipe(path), ())
    pairs = [_split(each) for each in overrides]
    values = _choose_benchmark(values, [value for key, value in pairs if key == "benchmark"], str(path))
    for key, value in pairs:
        if key != "benchmark" or "benchmark" in values:
            override(values, key, value)
    return values


def override(values: Values, key: str, value: object) -> None:
    """Sets one value in place, at a path of keys joined by dots.

    Raises:
        InvalidInput: The path leads through something that is neither mapping nor list, or to an entry of
            a list that is not there.
    """
    *ways, last = key.split(".")
    place: Any = values
    for number, way in enumerate(ways):
        place = _enter(place, way, key, ".".join(ways[:number]) or "the recipe")
    if isinstance(place, list):
        place[_entry(place, last, key)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise InvalidInput(
            f"the override {key} leads into {'.'.join(ways)}, which holds {place!r} and no keys"
        )


def _read(path: Path, above: tuple[Path, ...]) -> Values:
    """Returns what a file and those it extends say."""
    if path in above:
        raise InvalidInput(f"the recipe {above[0]} extends itself by way of {path}")
    with reading(path, f"the recipe {path} is no UTF-8 text"):
        text = read_within(path, _MOST_BYTES).decode()
    values = _parse(text, f"the recipe {path}")
    if not isinstance(values, dict):
        raise InvalidInput(
            f"the recipe {path} is no mapping of keys to values: see those of the package, such as small-cgd"
        )
    below = values.pop("extends", None)
    if below is None:
        return values
    return _merged(_read(find_recipe(str(below), path.parent), (*above, path)), values)


def _enter(place: Any, way: str, key: str, where: str) -> Any:
    if isinstance(place, list):
        return place[_entry(place, way, key)]
    if isinstance(place, dict):
        if place.get(way) is None:
            place[way] = {}
        return place[way]
    raise InvalidInput(f"the override {key} leads into {where}, which holds {place!r} and no keys")


def _entry(entries: list[Any], way: str, key: str) -> int:
    names = [entry["name"] for entry in entries if isinstance(entry, dict) and "name" in entry]
    for number, entry in enumerate(entries):
        if str(number) == way or (isinstance(entry, dict) and entry.get("name") == way):
            return number
    known = [*map(str, range(len(entries))), *names]
    raise InvalidInput(f"the override {key} names the entry {way!r}: {suggestion(way, known)}")


def _choose_benchmark(values: Values, names: Sequence[object], path: str) -> Values:
    if "benchmarks" not in values:
        return values
    rest = {key: value for key, value in values.items() if key not in ("benchmark", "benchmarks")}
    choices = values["benchmarks"]
    chosen = names[-1] if names else values.get("benchmark")
    if not isinstance(choices, dict) or chosen not in choices:
        known = [str(each) for each in choices] if isinstance(choices, dict) else []
        raise InvalidInput(f"the recipe {path} has no benchmark {chosen!r}: {suggestion(str(chosen), known)}")
    return _merged(rest, choices[chosen] or {})


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Values:
    """Returns the first mapping with the values of the second; mappings in both are merged likewise."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        # A part of another kind is another thing: nothing of the old one's settings would fit it.
        other_kind = both and "kind" in value and value["kind"] != merged[key].get("kind")
        merged[key] = _merged(merged[key], value) if both and not other_kind else value
    return merged


def _split(text: str) -> tuple[str, object]:
    key, sign, value = text.partition("=")
    if not sign or not key or "" in key.split("."):
        raise InvalidInput(f"an override is written key.sub=value, not {shown(text)!r}")
    return key, _parse(value, f"the override {shown(text)}")


def _parse(text: str, what: str) -> object:
    try:
        values = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{what} is no YAML: {shown(' '.join(str(error).split()))}") from None
    except (RecursionError, ValueError) as error:
        raise InvalidInput(f"{what} is no YAML: {reason_of(error)}") from None
    try:
        check_tree(values, most_values=_MOST_VALUES)
    except InvalidInput as error:
        raise InvalidInput(f"{what} cannot be used: {error}") from None
    return values
