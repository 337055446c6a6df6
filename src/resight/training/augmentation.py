"""Augmentation by torchvision's v2 transforms, each photo's chances drawn from a generator of its own.

These transforms draw from torch's global generator, which threads share and a step of the network moves on.
Here every draw is given the photo's generator instead, whatever operation makes it, so that a photo of an
epoch is the same at any number of workers and processes and after a resumption.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from resight.errors import InvalidInput
from resight.files.nearest import suggestion
from resight.images.augment import LongSide, Transform
from resight.networks.trunks._timm import import_transforms
from resight.settings.choice import MAY_IMPORT
from resight.settings.foreign import foreign_part, is_dotted

__all__ = ["Augmented", "Step", "try_steps"]

_SEEDS = 2**32
"""torch's generator of the CPU takes 32 bits of a seed."""


@final
@dataclass(frozen=True, slots=True)
class Step:
    """A transform of photos by its name in ``torchvision.transforms.v2``, or ``package.module:Name``.

    In a recipe its options stand beside ``kind``; options that are transforms themselves, as those of
    ``RandomApply``, are written the same way.

    Attributes:
        kind: The name, such as ``ColorJitter``.
        options: Keyword arguments of its constructor, as the recipe has them.
    """

    kind: str
    options: Mapping[str, object]

    def make(self) -> Callable[[Tensor], Tensor]:
        """Returns the transform: RGB uint8 ``(3, rows, columns)`` in and out.

        Raises:
            InvalidInput: There is no such transform, it has no such option, or it refuses its options.
        """
        return self._made(may_import=False)

    def _made(self, *, may_import: bool) -> Callable[[Tensor], Tensor]:
        part = _part(self.kind, may_import=may_import)
        known = [name for name in inspect.signature(part).parameters if name != "kwargs"]
        for name in self.options:
            if name not in known:
                raise InvalidInput(f"{self.kind} has no option {name!r}: {suggestion(name, known)}")
        options = {name: _option(name, value) for name, value in self.options.items()}
        try:
            made: Callable[[Tensor], Tensor] = part(**options)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{self.kind} cannot be made: {error}") from None
        return made

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Returns how a recipe's value becomes a step, and a step a recipe's value."""
        del source, handler

        def read(values: object, info: ValidationInfo) -> Step:
            try:
                step = values if isinstance(values, Step) else _read(values)
                step._made(may_import=bool((info.context or {}).get(MAY_IMPORT)))
            except InvalidInput as error:
                raise PydanticCustomError("unfit", "{sentence}", {"sentence": str(error)}) from None
            return step

        return core_schema.with_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(_dump)
        )


@final
@dataclass(frozen=True, slots=True, eq=False)
class Augmented(Transform):
    """A transform, and others of torchvision after it.

    Attributes:
        base: Comes first.
        steps: Come after it, in this order.
    """

    base: Transform
    steps: tuple[Callable[[Tensor], Tensor], ...]

    @property
    def draws(self) -> int:
        """Those of the first transform, and the seed of the others' generator."""
        return self.base.draws + 1

    def apply_batch(
        self, pixels: UInt8[np.ndarray, "batch rows columns 3"], numbers: Float64[np.ndarray, "batch draws"]
    ) -> UInt8[np.ndarray, "batch rows columns 3"]:
        """Returns the photos transformed, each by its row of numbers.

        Raises:
            InvalidInput: A step gives something else than RGB uint8, or photos of several sizes.
        """
        whole = self.base.apply_batch(pixels, numbers[:, :-1])
        photos = [self._augmented(photo, number) for photo, number in zip(whole, numbers[:, -1], strict=True)]
        if len({photo.shape for photo in photos}) > 1:
            raise InvalidInput(
                "an augmentation gives photos of several sizes, which packed ones cannot have: leave out "
                "data.packed or that augmentation"
            )
        return np.stack(photos) if photos else whole

    def _augmented(
        self, photo: UInt8[np.ndarray, "rows columns 3"], number: float
    ) -> UInt8[np.ndarray, "rows columns 3"]:
        generator = torch.Generator().manual_seed(int(number * _SEEDS))
        image = torch.from_numpy(np.array(photo.transpose(2, 0, 1), order="C"))
        with torch.no_grad(), _DrawnFrom(generator):
            for step in self.steps:
                image = step(image)
        if not isinstance(image, Tensor) or image.dtype != torch.uint8 or image.ndim != 3 or len(image) != 3:
            got = f"{image.dtype} {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
            raise InvalidInput(f"an augmentation must give RGB uint8 (3, rows, columns), not {got}")
        return np.ascontiguousarray(image.numpy().transpose(1, 2, 0))


def try_steps(steps: Sequence[Step], side: int) -> None:
    """Applies the steps to one grey photo: what cannot augment shows before a training begins.

    Args:
        steps: In their order.
        side: Rows and columns of the photo, pixels.

    Raises:
        InvalidInput: A step fails, or gives something else than a photo.
    """
    photo = np.full((side, side, 3), 128, dtype=np.uint8)
    for step in steps:
        try:
            photo = Augmented(LongSide(max(photo.shape)), (step.make(),)).apply(photo, np.array([0.5]))
        except (RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            size = f"{photo.shape[0]} x {photo.shape[1]}"
            raise InvalidInput(f"{step.kind} cannot be applied to one photo of {size}: {error}") from None


@final
class _DrawnFrom(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no annotation
    """Within it, in this thread, everything random is drawn from one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nor here
        self._generator = generator

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        del types
        options = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded in func.tags:
            if all(argument.name != "generator" for argument in func._schema.arguments):
                name = func._overloadname
                func = getattr(func.overloadpacket, "generator" if name == "default" else f"{name}_generator")
            options["generator"] = self._generator
        return func(*args, **options)


def _transforms() -> ModuleType:
    return import_transforms("augmentation by torchvision's transforms")


def _part(kind: str, *, may_import: bool) -> type:
    if is_dotted(kind):
        return foreign_part(kind, may_import=may_import)
    v2 = _transforms()
    known = {
        name: part
        for name, part in vars(v2).items()
        if isinstance(part, type) and issubclass(part, v2.Transform) and part is not v2.Transform
    }
    if kind not in known:
        raise InvalidInput(f"torchvision has no transform {kind!r}: {suggestion(kind, known)}")
    return known[kind]


def _option(name: str, value: object) -> object:
    if isinstance(value, Step):
        return value.make()
    if name == "interpolation" and isinstance(value, str):
        modes = {mode.value: mode for mode in _transforms().InterpolationMode}
        if value not in modes:
            raise InvalidInput(f"there is no interpolation {value!r}: {suggestion(value, modes)}")
        return modes[value]
    if isinstance(value, tuple) and any(isinstance(each, Step) for each in value):
        return [_option(name, each) for each in value]
    return value


def _read(values: object) -> Step:
    if not isinstance(values, Mapping) or not isinstance(values.get("kind"), str):
        raise InvalidInput(
            f"an augmentation is written as a mapping with a key 'kind', such as ColorJitter, not {values!r}"
        )
    return Step(values["kind"], {name: _nested(value) for name, value in values.items() if name != "kind"})


def _nested(value: object) -> object:
    if isinstance(value, Mapping) and "kind" in value:
        return _read(value)
    return tuple(_nested(each) for each in value) if isinstance(value, list | tuple) else value


def _dump(value: object) -> object:
    if isinstance(value, Step):
        return {"kind": value.kind, **{name: _dump(each) for name, each in value.options.items()}}
    return [_dump(each) for each in value] if isinstance(value, tuple) else value
