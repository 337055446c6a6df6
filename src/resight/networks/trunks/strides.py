"""Taking the down-sampling out of one stage of a trunk, with every weight left as it is.

Jun, Ko, Kim, Kim and Kim, "Combination of Multiple Global Descriptors for Image Retrieval", 2019, section
3: without the last down-sampling a photo of 224 pixels ends in 14 x 14 cells instead of 7 x 7. Strides are
set to one and nothing is dilated, unlike with the ``output_stride`` of timm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from resight.errors import InvalidInput

__all__ = ["STAGES", "Stage", "Tap", "remove_stride_"]

Stage: TypeAlias = Literal["conv4", "conv5"]
"""A stage by its name in the ResNet paper: conv4 goes from stride 8 to 16, conv5 from 16 to 32."""

STAGES: dict[Stage, int] = {"conv4": 16, "conv5": 32}
"""The stride after each stage in an unchanged trunk."""

_PROBE_PIXELS = 64


@dataclass(frozen=True, slots=True)
class Tap:
    """Where a feature map leaves a trunk.

    Attributes:
        module: Name of the module that makes it.
        channels: Its channels.
        stride: Pixels of the image per cell.
    """

    module: str
    channels: int
    stride: int


def remove_stride_(
    net: nn.Module, taps: Sequence[Tap], stage: Stage, *, trunk: str, size: tuple[int, int] | None = None
) -> None:
    """Sets the strides of one stage to one, in place: its map gets the rows and columns of its input.

    Convolutions and overlapping poolings keep their kernels; a pooling without overlap becomes the identity.
    Containers keep their own ``stride``: ShuffleNet's blocks choose their form by it.

    Args:
        net: The trunk.
        taps: All maps of the trunk, shallow to deep, with their strides before the change.
        stage: Which stage.
        trunk: Name of the trunk, for the messages.
        size: Rows and columns of the images it takes, where it takes one size only.

    Raises:
        InvalidInput: The trunk has no such stage, or its down-sampling is of another kind.
    """
    step = STAGES[stage]
    deep = next((number for number, tap in enumerate(taps) if tap.stride == step), 0)
    if deep == 0 or taps[deep - 1].stride * 2 != step:
        raise _refusal(trunk, stage, f"its maps have the strides {[tap.stride for tap in taps]}")
    modules = dict(net.named_modules())
    before, after = (_resolve(tap.module, modules, trunk, stage) for tap in taps[deep - 1 : deep + 1])
    names = list(modules)
    within = names[_last_below(before, names) + 1 : _last_below(after, names) + 1]
    strided = [name for name in within if _is_strided(modules[name])]
    if not strided:
        raise _refusal(trunk, stage, "nothing in that stage has a stride")
    for name in strided:
        net.set_submodule(name, _without_stride(modules[name], trunk, stage))
    rows = _cells(net, (before, after), size or (_PROBE_PIXELS, _PROBE_PIXELS))
    if rows is None or rows[0] != rows[1]:
        raise _refusal(trunk, stage, "its map does not get the size of the stage before")


def _without_stride(module: nn.Module, trunk: str, stage: Stage) -> nn.Module:
    match module:
        case nn.Conv2d():
            module.stride = (1, 1)
        case nn.MaxPool2d() | nn.AvgPool2d() if _pair(module.kernel_size) == _pair(module.stride):
            return nn.Identity()
        case nn.MaxPool2d():
            rows, columns = _pair(module.kernel_size)
            module.stride, module.padding, module.ceil_mode = 1, (rows // 2, columns // 2), False
        case _:
            raise _refusal(trunk, stage, f"it is made by a {type(module).__name__}")
    return module


def _is_strided(module: nn.Module) -> bool:
    stride = getattr(module, "stride", 1)
    return not list(module.children()) and stride is not None and _pair(stride) != (1, 1)


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _resolve(name: str, modules: dict[str, nn.Module], trunk: str, stage: Stage) -> str:
    # timm flattens nested modules where it returns features: "features.29" becomes "features_29".
    for candidate in (name, name.replace(".", "_")):
        if candidate in modules:
            return candidate
    raise _refusal(trunk, stage, f"it has no module {name}")


def _last_below(name: str, names: Sequence[str]) -> int:
    below = [number for number, each in enumerate(names) if each == name or each.startswith(f"{name}.")]
    return below[-1]


def _cells(
    net: nn.Module, names: tuple[str, str], size: tuple[int, int]
) -> tuple[torch.Size, torch.Size] | None:
    """Returns rows and columns of the outputs of two modules; ``None`` where one is not called."""
    shapes: dict[str, torch.Size] = {}
    handles = []
    for name in names:

        def note(_: nn.Module, __: object, output: object, name: str = name) -> None:
            if isinstance(output, Tensor):
                shapes[name] = output.shape[2:]

        handles.append(net.get_submodule(name).register_forward_hook(note))
    training = {module: module.training for module in net.modules()}
    weight = next(net.parameters())
    try:
        with torch.inference_mode():
            net.eval()(torch.zeros(1, 3, *size, dtype=weight.dtype, device=weight.device))
    finally:
        for handle in handles:
            handle.remove()
        for module, was in training.items():
            module.training = was
    return (shapes[names[0]], shapes[names[1]]) if len(shapes) == 2 else None


def _refusal(trunk: str, stage: Stage, reason: str) -> InvalidInput:
    return InvalidInput(
        f"the down-sampling of {stage} of the trunk {trunk} cannot be removed: {reason}; choose another "
        f"trunk, another of the stages {', '.join(STAGES)}, or without_stride=None"
    )
