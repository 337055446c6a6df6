"""What all settings of a recipe have in common: exact types, and no key that means nothing."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

__all__ = ["Settings", "nearest"]

_MOST_LISTED = 20


class Settings(BaseModel):
    """Values of a recipe: frozen, finite, never converted from another type, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: object) -> object:
        # pydantic would refuse them too, but cannot say which key was meant.
        if isinstance(values, Mapping):
            for key in values:
                if key not in cls.model_fields:
                    meant = nearest(str(key), list(cls.model_fields))
                    raise PydanticCustomError(
                        "unknown_key",
                        "there is no key {key} here: {meant}",
                        {"key": repr(key), "meant": meant},
                    )
        return values


def nearest(word: str, known: Sequence[str]) -> str:
    """Returns what to do about an unknown word: the nearest known one, or the list of all."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
    return f"known are {', '.join(sorted(known)[:_MOST_LISTED])}{more}"
