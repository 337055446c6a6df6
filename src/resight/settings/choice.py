"""Parts by name with their settings: what a recipe and a bundle say of a loss, a pooling or a network.

A part is a class. Its settings are the annotated parameters of its constructor, or the fields of its
``Config`` where it takes one: name, type and range, default and meaning stand there and nowhere else. The
other parameters are handed in by whoever makes the part: a loss gets ``classes`` and ``dim``, a network its
``trunk``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, ClassVar, Literal, ParamSpec, cast, get_args, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from resight.errors import InvalidInput
from resight.files.nearest import suggestion
from resight.settings.foreign import dotted_name, foreign_part, is_dotted
from resight.settings.marks import ADDED_LATER

__all__ = ["MAY_IMPORT", "Choice", "Family", "Section", "Settings", "marks_of", "settings_model"]

MAY_IMPORT = "may_import"
"""Key of pydantic's context: whether modules of other packages may be imported for the parts they hold."""

P = ParamSpec("P")


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
                    meant = suggestion(str(key), cls.model_fields)
                    raise _unfit(f"there is no key {str(key)!r} here: {meant}")
        return values

    @model_serializer(mode="wrap")
    def _leave_out_later_additions(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        later = {
            name
            for name, field in type(self).model_fields.items()
            if ADDED_LATER in field.metadata and getattr(self, name) == field.get_default()
        }
        return {name: value for name, value in dump(self).items() if name not in later}


class Choice(Settings):
    """A part with its settings; every part has a subclass of its own, made from its constructor.

    Attributes:
        kind: Name of the part: that of its family, or ``package.module:Name``.
    """

    kind: str
    part: ClassVar[type]
    handed: ClassVar[frozenset[str]]

    @model_validator(mode="after")
    def _check_config(self) -> Choice:
        if hasattr(self.part, "Config") or not self.handed:
            try:
                self.make() if not self.handed else self.config()
            except InvalidInput as error:
                raise _unfit(str(error)) from None
        return self

    def config(self) -> object:
        """Returns the part's ``Config`` with these settings.

        Raises:
            InvalidInput: The settings do not go together.
        """
        config: type = self.part.Config  # type: ignore[attr-defined]  # a part's own protocol says which it has
        return config(**{name: value for name, value in self._values() if name in get_type_hints(config)})

    def make(self, **handed: object) -> Any:
        """Returns the part with these settings and with what it takes of what is handed in.

        Raises:
            InvalidInput: The settings do not go together, or not with what is handed in.
        """
        taken = inspect.signature(self.part).parameters
        mine = {name: value for name, value in handed.items() if name in taken}
        if hasattr(self.part, "Config"):
            return self.part(config=self.config(), **mine)
        settings = {
            name: value.make(**handed) if isinstance(value, Choice) else value
            for name, value in self._values()
        }
        # A part may want what is handed in only where a setting of its own is on.
        for name, switch in getattr(self.part, "handed_if", {}).items():
            if not settings[switch]:
                mine.pop(name, None)
        return self.part(**settings, **mine)

    def _values(self) -> list[tuple[str, object]]:
        return [(name, getattr(self, name)) for name in type(self).model_fields if name != "kind"]


@dataclass(frozen=True, eq=False)
class Family:
    """Parts that can stand in one place; also the annotation of that place.

    Attributes:
        name: What one of them is called.
        parts: The parts that come with the package by their kinds.
        handed: Names of the constructor's parameters that are no settings.
        beside: Keys that stand beside a part's settings in a recipe, each with its type and default, ``...``
            where it has none.
    """

    name: str
    parts: Callable[[], Mapping[str, type]]
    handed: frozenset[str] = frozenset()
    beside: Mapping[str, tuple[Any, Any]] | None = None

    def choose(self, part: Callable[P, object], *nothing: P.args, **settings: P.kwargs) -> Choice:
        """Returns the choice of a part with these settings and the defaults of the others.

        Raises:
            ValidationError: A setting is unknown or of another type than the part declares.
        """
        del nothing
        cls = cast(type, part)
        return _choice_type(self, cls, self.kind_of(cls))(**cast(dict[str, Any], settings))

    def read(self, values: object, *, may_import: bool = False) -> Choice:
        """Returns the choice that a mapping with a key ``kind`` describes.

        Args:
            values: ``kind`` and the part's settings by name.
            may_import: Whether the module of a dotted kind may be imported.

        Raises:
            ValidationError: A setting is unknown, missing or of another type.
            PydanticCustomError: There is no such part.
        """
        if isinstance(values, Choice):
            return values
        if not isinstance(values, Mapping):
            raise _unfit(f"a {self.name} is written as a mapping with a key 'kind', not {values!r}")
        if "kind" not in values:
            raise _unfit("needs a key 'kind' that says which one it is")
        kind = str(values["kind"])
        part = self.part_named(kind, may_import=may_import)
        return _choice_type(self, part, kind).model_validate(dict(values), context={MAY_IMPORT: may_import})

    def part_named(self, kind: str, *, may_import: bool = False) -> type:
        """Returns the part of a kind.

        Raises:
            PydanticCustomError: There is none.
        """
        parts = self.parts()
        if kind in parts:
            return parts[kind]
        if is_dotted(kind):
            try:
                return foreign_part(kind, may_import=may_import)
            except InvalidInput as error:
                raise _unfit(str(error)) from None
        raise _unfit(f"there is no kind {kind!r}: {suggestion(kind, parts)}")

    def choice_type(self, kind: str) -> type[Choice]:
        """Returns the type of the choices of a kind that comes with the package, its fields the settings."""
        return _choice_type(self, self.parts()[kind], kind)

    def kind_of(self, part: type) -> str:
        """Returns the name of a part: its kind, or its dotted name where it is of another package.

        Raises:
            InvalidInput: It is of another package and has no name to be imported by.
        """
        for kind, own in self.parts().items():
            if own is part:
                return kind
        return dotted_name(part)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        del source, handler

        def validate(values: object, info: ValidationInfo) -> Choice:
            return self.read(values, may_import=bool((info.context or {}).get(MAY_IMPORT)))

        return core_schema.with_info_plain_validator_function(validate, serialization=_DUMP)


class Section:
    """The annotation of a place in a recipe for a dataclass: its fields are the keys."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        del handler
        keys = settings_model(source)

        def validate(values: object, info: ValidationInfo) -> object:
            if isinstance(values, source):
                return values
            checked = keys.model_validate(values, context=info.context)
            try:
                return source(**{name: getattr(checked, name) for name in keys.model_fields})
            except InvalidInput as error:
                raise _unfit(str(error)) from None

        def dump(value: object, info: core_schema.SerializationInfo) -> object:
            return keys.model_construct(
                **{name: getattr(value, name) for name in keys.model_fields}
            ).model_dump(mode=info.mode)

        return core_schema.with_info_plain_validator_function(
            validate, serialization=core_schema.plain_serializer_function_ser_schema(dump, info_arg=True)
        )


@functools.cache
def _choice_type(family: Family, part: type, kind: str) -> type[Choice]:
    if issubclass(part, Settings):
        return cast("type[Choice]", part)
    fields: dict[str, Any] = {
        "kind": (Literal[kind], kind),
        **(family.beside or {}),
        **_fields(getattr(part, "Config", part), family.handed),
    }
    model: type[Choice] = create_model(
        part.__name__,
        __base__=Choice,
        __doc__=part.__doc__,
        **fields,
    )
    model.part, model.handed = part, family.handed
    return model


def _fields(of: type, handed: frozenset[str]) -> dict[str, Any]:
    """Returns type and default of each parameter of a constructor that is a setting."""
    if is_dataclass(of):
        hints = get_type_hints(of, include_extras=True)
        return {each.name: (hints[each.name], _default(each)) for each in fields(of)}
    hints = get_type_hints(of.__init__, include_extras=True)  # type: ignore[misc]  # the class itself
    settings: dict[str, Any] = {}
    for name, parameter in inspect.signature(of).parameters.items():
        if name in handed:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if "__init__" not in vars(of):
                # Such as torch's own constructor, of a loss without settings.
                continue
            raise InvalidInput(
                f"the constructor of {of.__name__} takes *{name}: a part's settings are parameters with names"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        settings[name] = (hints.get(name, Any), default)
    return settings


def _default(field: Any) -> Any:
    if field.default_factory is not MISSING:
        return Field(default_factory=field.default_factory)
    return ... if field.default is MISSING else field.default


@functools.cache
def settings_model(config: Callable[..., object]) -> type[Settings]:
    """Returns the type that checks the fields of a dataclass, and writes them down."""
    cls = cast(type, config)
    keys = _fields(cls, frozenset())
    return create_model(cls.__name__, __base__=Settings, __doc__=cls.__doc__, **keys)


def marks_of(config: type) -> Mapping[str, tuple[object, ...]]:
    """Returns what stands in the annotation of each field of a dataclass beside its type."""
    hints = get_type_hints(config, include_extras=True)
    return {field.name: get_args(hints[field.name])[1:] for field in fields(config)}


def _dump(choice: BaseModel, info: core_schema.SerializationInfo) -> dict[str, Any]:
    return choice.model_dump(mode=info.mode)


_DUMP = core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True)


def _unfit(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("unfit", "{sentence}", {"sentence": sentence})
