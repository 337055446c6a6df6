"""A network's ``Config`` as the JSON of a bundle, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from resight.errors import InvalidInput
from resight.files.json import JSON
from resight.settings.choice import MAY_IMPORT, marks_of, settings_model
from resight.settings.marks import ADDED_LATER, NOT_STORED
from resight.settings.sentences import sentence_of, tuples

__all__ = ["read_config", "stored_settings"]

Config = TypeVar("Config")


def stored_settings(config: object) -> dict[str, JSON]:
    """Returns the settings that a bundle holds, by name: without those that serve training alone."""
    kind: Callable[..., object] = type(config)
    marks, model = marks_of(type(config)), settings_model(kind)
    names = [name for name in model.model_fields if NOT_STORED not in marks[name]]
    values = model.model_construct(**{name: getattr(config, name) for name in model.model_fields})
    return values.model_dump(mode="json", include=set(names))


def read_config(kind: type[Config], settings: JSON) -> Config:
    """Returns the ``Config`` whose `stored_settings` are among these; what is not stored takes its default.

    Raises:
        InvalidInput: A setting is missing, of another type or outside of its range.
    """
    if not isinstance(settings, Mapping):
        raise InvalidInput(f"expected an object, not {settings!r}")
    marks = marks_of(kind)
    defaults = {field.name: field.default for field in fields(cast(Any, kind))}
    values: dict[str, object] = {}
    for name in marks:
        if NOT_STORED in marks[name]:
            # A stored trunk has kept its resolution already, and there is no classifier.
            values[name] = False if defaults[name] is False else None
        elif name in settings:
            values[name] = tuples(settings[name])
        elif ADDED_LATER not in marks[name]:
            raise InvalidInput(f"its setting {name} is missing")
    try:
        checked = settings_model(cast("Callable[..., object]", kind)).model_validate(
            values, context={MAY_IMPORT: False}
        )
    except ValidationError as error:
        raise InvalidInput(sentence_of(error)) from None
    return kind(**{name: getattr(checked, name) for name in type(checked).model_fields})
