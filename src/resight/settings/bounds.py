"""What a setting may be: ranges as types, and the check of a constructor's arguments against them.

A range is part of a parameter's annotation, ``centres: Count = 10``, and stands nowhere else: `checked`
refuses what lies outside when the constructor is called, a recipe when it is read. Text beside the limits is
the unit.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeAlias, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from resight.errors import InvalidInput

__all__ = ["Count", "NotNegative", "Number", "Positive", "Share", "check_fields", "checked", "range_of"]

Positive: TypeAlias = Annotated[float, Gt(0)]
"""Above 0 and finite."""

NotNegative: TypeAlias = Annotated[float, Ge(0)]
"""0 or more, and finite."""

Share: TypeAlias = Annotated[float, Ge(0), Lt(1)]
"""From 0 to below 1."""

Count: TypeAlias = Annotated[int, Ge(1)]
"""A whole number from 1."""

Number: TypeAlias = Annotated[int, Ge(0)]
"""A whole number from 0."""

P = ParamSpec("P")


def checked(constructor: Callable[P, None]) -> Callable[P, None]:
    """Returns the constructor with its arguments checked against the ranges of their annotations.

    The result raises `InvalidInput` for a number outside of its range or a word that is none of those named.
    """
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def check_and_construct(*args: P.args, **kwargs: P.kwargs) -> None:
        instance, *_ = args
        arguments = signature.bind(*args, **kwargs).arguments
        _check(type(instance).__name__, _hints(constructor), arguments)
        constructor(*args, **kwargs)

    return check_and_construct


def check_fields(instance: Any) -> None:
    """Checks a dataclass against the ranges of its fields, for its ``__post_init__``.

    Raises:
        InvalidInput: A number is outside of its range, or a word is none of those named.
    """
    values = {field.name: getattr(instance, field.name) for field in fields(instance)}
    kind: type = type(instance)
    _check(type(instance).__name__.removesuffix("Config"), _hints(kind), values)


def range_of(annotation: Any) -> str:
    """Returns a type's range in words, ``positive and finite`` for `Positive`; empty where there is none."""
    if get_origin(annotation) is not Annotated:
        return ""
    number, *limits = get_args(annotation)
    words = [word for limit in limits if (word := _words(limit))]
    words += ["finite"] if words and number is float else []
    units = [f"in {limit}" for limit in limits if isinstance(limit, str)]
    return ", ".join([" and ".join(words), *units])


@functools.cache
def _hints(of: Callable[..., object]) -> Mapping[str, Any]:
    return get_type_hints(of, include_extras=True)


def _check(owner: str, hints: Mapping[str, Any], values: Mapping[str, object]) -> None:
    for name, value in values.items():
        if name in hints and (reason := _reason(hints[name], value)):
            raise InvalidInput(f"{owner}: {name} must be {reason}, not {value!r}")


def _reason(annotation: Any, value: object) -> str:
    """Returns what the value must be and is not; empty where it is right."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        if value is None and type(None) in arguments:
            return ""
        rest = [each for each in arguments if each is not type(None)]
        reason = _reason(rest[0], value) if len(rest) == 1 else ""
        if reason and get_origin(rest[0]) is Literal:
            reason = f"one of {', '.join(map(str, get_args(rest[0])))}"
        return f"{reason} or None" if reason and type(None) in arguments else reason
    if origin is Literal:
        named = [str(each) for each in arguments]
        listed = " or ".join(named) if len(named) == 2 else f"one of {', '.join(named)}"
        return "" if value in arguments else listed
    if origin is tuple and isinstance(value, tuple | list):
        return next((reason for each in value if (reason := _reason(arguments[0], each))), "")
    if origin is Annotated and isinstance(value, int | float):
        inside = all(_holds(limit, value) for limit in arguments[1:])
        finite = arguments[0] is not float or math.isfinite(value)
        return "" if inside and finite else range_of(annotation)
    return ""


def _holds(limit: object, value: Any) -> bool:
    match limit:
        case Gt():
            return bool(value > limit.gt)
        case Ge():
            return bool(value >= limit.ge)
        case Lt():
            return bool(value < limit.lt)
        case Le():
            return bool(value <= limit.le)
    return True


def _words(limit: object) -> str:
    match limit:
        case Gt(gt=0) | Ge(ge=1):
            return "positive"
        case Ge(ge=0):
            return "zero or positive"
        case Gt():
            return f"above {limit.gt}"
        case Ge():
            return f"at least {limit.ge}"
        case Lt():
            return f"below {limit.lt}"
        case Le():
            return f"at most {limit.le:.4g}"
    return ""
