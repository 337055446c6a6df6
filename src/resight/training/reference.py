"""Every setting of a recipe as a value: name, type, default, meaning, choices.

All of it is read from the classes that take the settings, their annotations and their docstrings.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from resight.errors import InvalidInput
from resight.files.nearest import suggestion
from resight.settings.bounds import range_of
from resight.settings.choice import Choice, Family, Section, Settings, settings_model
from resight.training.recipe import Recipe

__all__ = ["Setting", "all_settings", "settings_at"]

_SECTION = re.compile(r"^\s*(Args|Attributes):\s*$")
_ENTRY = re.compile(r"^(\w+): (.*)$")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a recipe.

    Attributes:
        key: Where it stands, ``model.dim`` for example; entries of a list are left out of it.
        kind: The part that has it, ``delg`` for example; empty where there is one of that name only.
        type: What it takes, in words: ``whole number, positive``.
        default: Its default as YAML; ``None`` where it has none and must be set.
        meaning: What it is, from the docstring of what takes it.
        choices: The words or kinds it can be; empty where it is a value.
    """

    key: str
    kind: str
    type: str
    default: str | None
    meaning: str
    choices: tuple[str, ...]


def all_settings() -> tuple[Setting, ...]:
    """Returns every setting of a recipe, section by section and part by part."""
    return tuple(dict.fromkeys(_settings_of(Recipe, "", "")))


def settings_at(key: str) -> tuple[Setting, ...]:
    """Returns the settings at a key and directly below it.

    Args:
        key: Keys joined by dots: ``optimiser``, ``model.dim``. A kind at the end leaves the other kinds out:
            ``objective.loss.soft_triple``.

    Raises:
        InvalidInput: There is no such key; the nearest is named.
    """
    settings = all_settings()
    above, _, kind = key.rpartition(".")
    parents = {each: each.key.rpartition(".")[0] for each in settings}
    chosen = [each for each in settings if key in (each.key, parents[each])]
    if not chosen:
        chosen = [each for each in settings if parents[each] == above and each.kind == kind]
    if not chosen:
        keys = sorted({each.key for each in settings})
        raise InvalidInput(f"a recipe has no key {key!r}: {suggestion(key, keys)}")
    return tuple(chosen)


def _settings_of(model: type[Settings], above: str, kind: str) -> Iterator[Setting]:
    owner = model.part if issubclass(model, Choice) and hasattr(model, "part") else model
    meanings = _meanings(owner)
    for name, field in model.model_fields.items():
        if name == "kind":
            continue
        key = f"{above}.{name}" if above else name
        words, choices = _type_of(field)
        yield Setting(
            key, kind, words, _default_of(field), meanings.get(name) or field.description or "", choices
        )
        yield from _below(field, key)


def _below(field: FieldInfo, key: str) -> Iterator[Setting]:
    for mark in field.metadata:
        if isinstance(mark, Family):
            for kind in mark.parts():
                yield from _settings_of(mark.choice_type(kind), key, kind)
    if any(isinstance(mark, Family) for mark in field.metadata):
        return
    # What pydantic keeps apart, type and marks, is one annotation again; a section may also be optional.
    whole = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    for part in (whole, field.annotation, *get_args(field.annotation)):
        inner, *marks = get_args(part) if get_origin(part) is Annotated else (part,)
        if any(isinstance(mark, Section) for mark in marks):
            yield from _settings_of(settings_model(inner), key, "")
        elif isinstance(inner, type) and issubclass(inner, Settings) and not marks:
            yield from _settings_of(inner, key, "")


def _type_of(field: FieldInfo) -> tuple[str, tuple[str, ...]]:
    """Returns a setting's type in words, and what it can be."""
    for mark in field.metadata:
        if isinstance(mark, Family):
            return f"{mark.name}, by its kind", tuple(mark.parts())
    return _words(field.annotation, tuple(field.metadata))


def _words(annotation: Any, limits: tuple[object, ...] = ()) -> tuple[str, tuple[str, ...]]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(arguments[0], (*arguments[1:], *limits))
    if origin is Literal:
        return "word", tuple(map(str, arguments))
    if origin in (Union, UnionType):
        parts = [_words(each, limits) for each in arguments]
        return " or ".join(words for words, _ in parts), sum((choices for _, choices in parts), ())
    if origin is tuple:
        return f"list, each: {_words(arguments[0])[0]}", ()
    if annotation is type(None):
        return "null", ()
    names: Mapping[object, str] = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    name = names.get(annotation, "mapping")
    limit = range_of(Annotated[annotation, *limits]) if limits and annotation in (int, float) else ""
    return f"{name}, {limit}" if limit else name, ()


def _default_of(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Choice):
        own = {"kind": value.kind, **value.model_dump(mode="json", exclude_defaults=True)}
        pairs = ", ".join(f"{name}: {json.dumps(each)}" for name, each in own.items())
        return value.kind if len(own) == 1 else f"{{{pairs}}}"
    if isinstance(value, Settings):
        return str(getattr(value, "kind", "see its keys"))
    return value if isinstance(value, str) else json.dumps(value)


def _meanings(owner: type) -> dict[str, str]:
    """Returns what each setting means, from the docstrings of a class, its constructor and its ``Config``."""
    config = getattr(owner, "Config", None)
    sources = (*reversed(owner.__mro__[:-1]), owner.__init__, config)  # type: ignore[misc]  # the class itself
    texts = [inspect.getdoc(each) or "" for each in sources if each]
    meanings: dict[str, str] = {}
    for text in texts:
        meanings |= _entries(text)
    return meanings


def _entries(text: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    name, inside = "", False
    for line in text.splitlines():
        if _SECTION.match(line):
            inside = True
        elif line.strip() and not line.startswith("    "):
            inside = False
        elif inside and (entry := _ENTRY.match(line[4:])):
            name = entry[1]
            entries[name] = entry[2]
        elif inside and name and line.strip():
            entries[name] += " " + line.strip()
    return entries
