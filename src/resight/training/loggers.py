"""Where a run's curves go beside its own log: TensorBoard, and any logger with Lightning Fabric's methods."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, final

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from resight.errors import InvalidInput, MissingExtra
from resight.files.json import JSON
from resight.files.nearest import suggestion
from resight.settings.choice import MAY_IMPORT
from resight.settings.foreign import foreign_part, is_dotted

__all__ = ["LOGGERS", "Logger", "LoggerSettings", "Loggers", "TensorBoard", "open_loggers"]

_HANDED = ("folder", "root_dir", "save_dir")
"""Parameters of a logger's constructor that get the run's folder where the recipe does not set them."""


class Logger(Protocol):
    """What a logger keeps; Lightning Fabric's and Lightning's own do.

    Called where it has them: ``log_hyperparams(recipe)`` once at the start, ``finalize(status)`` at the end,
    with ``success`` or ``failed``.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Takes values by name after so many optimiser steps."""
        ...


@dataclass(frozen=True, slots=True)
class LoggerSettings:
    """A logger of a recipe.

    Attributes:
        kind: ``tensorboard`` or ``package.module:Class``.
        options: Arguments of its constructor by name.
    """

    kind: str
    options: Mapping[str, JSON]


@final
class TensorBoard:
    """Curves for TensorBoard, in the folder ``tensorboard`` of the run."""

    kind: ClassVar = "tensorboard"

    def __init__(self, *, folder: Path, after: int) -> None:
        """Opens the curves.

        Args:
            folder: The run's folder.
            after: The step from which the run goes on; later points are of a run that was killed and go.

        Raises:
            MissingExtra: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            needed_for = "writing curves for TensorBoard (or set log.tensorboard=false)"
            raise MissingExtra("train", needed_for) from None
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=after + 1)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Adds a point to each curve."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def finalize(self, status: str) -> None:
        """Writes what is held back."""
        del status
        self._writer.close()


class Loggers:
    """The annotation of a logger in a recipe: a mapping with ``kind`` and the constructor's arguments."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Returns how pydantic reads one and writes it down."""
        del source, handler

        def validate(values: object, info: ValidationInfo) -> LoggerSettings:
            return _checked(values, may_import=bool((info.context or {}).get(MAY_IMPORT)))

        return core_schema.with_info_plain_validator_function(
            validate, serialization=core_schema.plain_serializer_function_ser_schema(_dumped)
        )


LOGGERS = Loggers()
"""The loggers a recipe can name."""


def open_loggers(
    settings: Sequence[LoggerSettings], *, folder: Path, after: int, recipe: Mapping[str, JSON]
) -> tuple[Logger, ...]:
    """Returns the loggers of a run.

    Args:
        settings: Which.
        folder: The run's folder, handed to a constructor with a parameter ``folder``, ``root_dir`` or
            ``save_dir``.
        after: The step from which the run goes on, handed to a constructor with a parameter ``after``.
        recipe: The recipe's values, for those that take them.

    Raises:
        InvalidInput: A logger does not take its options, or lacks a package.
        MissingExtra: TensorBoard is not installed.
    """
    handed: dict[str, object] = {**dict.fromkeys(_HANDED, folder), "after": after}
    opened = []
    for each in settings:
        part = _part(each.kind, may_import=True)
        taken = inspect.signature(part).parameters
        mine = {name: value for name, value in handed.items() if name in taken and name not in each.options}
        try:
            logger = part(**{name: _lists(value) for name, value in each.options.items()}, **mine)
        except MissingExtra:
            raise
        except ImportError as error:
            reason = " ".join(str(error).split())
            raise InvalidInput(
                f"the logger {each.kind} lacks a package ({reason}): install it, or leave the logger out of "
                "log.loggers"
            ) from None
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"the logger {each.kind} does not take its options: {error}") from None
        if hasattr(logger, "log_hyperparams"):
            # Fabric's CSV logger has the method and not the ability.
            with suppress(NotImplementedError):
                logger.log_hyperparams(dict(recipe))
        opened.append(logger)
    return tuple(opened)


def _checked(values: object, *, may_import: bool) -> LoggerSettings:
    if isinstance(values, LoggerSettings):
        return values
    if not isinstance(values, Mapping) or "kind" not in values:
        raise _unfit(f"a logger is written as a mapping with a key 'kind', not {values!r}")
    kind = str(values["kind"])
    options = {str(name): value for name, value in values.items() if name != "kind"}
    try:
        part = _part(kind, may_import=may_import)
    except InvalidInput as error:
        raise _unfit(str(error)) from None
    parameters = inspect.signature(part).parameters
    if not callable(getattr(part, "log_metrics", None)):
        raise _unfit(f"{kind} is no logger: it has no method log_metrics(metrics, step)")
    free = any(each.kind == each.VAR_KEYWORD for each in parameters.values())
    for name in options:
        if name not in parameters and not free:
            raise _unfit(f"there is no key {name!r} here: {suggestion(name, parameters)}")
    for name, each in parameters.items():
        named = each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        if named and each.default is each.empty and name not in (*options, *_HANDED, "after"):
            raise _unfit(f"the logger {kind} needs the option {name}")
    return LoggerSettings(kind, options)


def _part(kind: str, *, may_import: bool) -> Any:
    if kind == TensorBoard.kind:
        return TensorBoard
    if is_dotted(kind):
        return foreign_part(kind, may_import=may_import)
    raise InvalidInput(
        f"there is no logger {kind!r}: take tensorboard, or the class of another as package.module:Class"
    )


def _lists(value: Any) -> Any:
    """Returns the values of YAML as they were written; a recipe holds its lists as tuples."""
    if isinstance(value, Mapping):
        return {name: _lists(each) for name, each in value.items()}
    return [_lists(each) for each in value] if isinstance(value, tuple) else value


def _dumped(settings: LoggerSettings) -> dict[str, JSON]:
    return {"kind": settings.kind, **{name: _lists(value) for name, value in settings.options.items()}}


def _unfit(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("unfit", "{sentence}", {"sentence": sentence})
