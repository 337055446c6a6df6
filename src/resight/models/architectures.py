"""The networks with one descriptor an image, to and from the settings of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, cast

import numpy as np
from jaxtyping import Shaped
from pydantic_core import PydanticCustomError
from torch import nn

from resight.errors import InvalidInput
from resight.files.json import JSON
from resight.networks.cgd import CGD
from resight.networks.delg import DELG
from resight.networks.dolg import DOLG
from resight.networks.embedding import Embedding
from resight.networks.family import NETWORKS
from resight.networks.gem import GeMNet
from resight.networks.pooling import GeM
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.strides import Stage
from resight.settings.foreign import dotted_name, is_dotted
from resight.settings.marks import ADDED_LATER
from resight.settings.stored import read_config, stored_settings

__all__ = ["GlobalNet", "architecture_of", "build", "numbers", "settings_of", "tensors_of"]

GlobalNet: TypeAlias = GeMNet | CGD | Embedding | DELG | DOLG
"""A network whose ``describe_at`` gives one descriptor an image."""

# What serves training alone stays in the checkpoint.
_TRAINING_ONLY = ("classifier.", "classifier_norm.")


@dataclass(frozen=True, slots=True)
class _Trunk:
    """The settings of a trunk as a bundle holds them."""

    trunk: str
    trunk_options: dict[str, Any]
    trunk_output_stride: int | None
    trunk_without_stride: Annotated[Stage | None, ADDED_LATER] = None
    trunk_deepest: Annotated[int, ADDED_LATER] = -1
    trunk_maps: Annotated[tuple[int, ...], ADDED_LATER] = ()
    trunk_whole: Annotated[bool, ADDED_LATER] = False


@dataclass(frozen=True, slots=True)
class _GeM:
    """GeM as a bundle holds it: with its present exponents."""

    kind: str
    p: tuple[float, ...]
    learnable: bool


@dataclass(frozen=True, slots=True)
class _Linear:
    """A linear layer as a bundle holds it."""

    inputs: int
    outputs: int
    bias: bool


def architecture_of(net: GlobalNet) -> str:
    """Returns what the bundles of such a network call themselves: its kind, or its dotted name.

    Raises:
        InvalidInput: It is a class of another package that a bundle could not name.
    """
    return NETWORKS.kind_of(type(net))


def settings_of(net: GlobalNet) -> dict[str, JSON]:
    """Returns everything but the tensors that is needed to build the network again.

    Raises:
        InvalidInput: A part is a class of another package that a bundle could not name.
    """
    trunk = net.trunk
    if is_dotted(trunk.trunk):
        dotted_name(type(trunk.net))
    stored = _Trunk(
        trunk.trunk,
        dict(trunk.options),
        trunk.output_stride,
        trunk.without_stride,
        trunk.deepest,
        trunk.maps if len(trunk.maps) > 1 else (),
        trunk.whole,
    )
    settings = stored_settings(stored) | stored_settings(net.config)
    if not isinstance(net, CGD):
        settings["pooling"] = _stored_pooling(net)
    if isinstance(net, GeMNet):
        layer = net.whitening
        settings["dim"] = net.dim
        settings["whitening"] = None
        if layer is not None:
            sizes = _Linear(layer.in_features, layer.out_features, layer.bias is not None)
            settings["whitening"] = stored_settings(sizes)
    return settings


def tensors_of(net: GlobalNet) -> dict[str, Shaped[np.ndarray, "*shape"]]:
    """Returns the tensors that decide descriptors, by name."""
    return {
        name: tensor.cpu().numpy()
        for name, tensor in net.state_dict().items()
        if not name.startswith(_TRAINING_ONLY)
    }


def build(architecture: str, settings: Mapping[str, JSON]) -> GlobalNet:
    """Returns a network with random weights from its settings.

    Raises:
        InvalidInput: The architecture or a part is unknown or code that is not imported, or a setting is
            missing or cannot be right.
        UnknownModel: The trunk is unknown.
    """
    try:
        part: Any = NETWORKS.part_named(architecture)
    except PydanticCustomError as error:
        raise InvalidInput(f"its architecture is {architecture}: {error}") from None
    stored = read_config(_Trunk, settings)
    trunk = Backbone(
        stored.trunk,
        out_indices=stored.trunk_maps or (stored.trunk_deepest,),
        output_stride=stored.trunk_output_stride,
        without_stride=stored.trunk_without_stride,
        options=stored.trunk_options,
        whole=stored.trunk_whole,
    )
    values = dict(settings)
    pooling = values.get("pooling")
    if isinstance(pooling, Mapping) and pooling.get("kind") == "gem":
        gem = read_config(_GeM, pooling)
        values["pooling"] = {"kind": "gem", "learnable": gem.learnable, "per_channel": len(gem.p) > 1}
    if part is not GeMNet:
        return cast(GlobalNet, part(trunk, read_config(part.Config, values)))
    whitening = values.get("whitening")
    layer = None if whitening is None else read_config(_Linear, whitening)
    values["dim"] = None if layer is None else layer.outputs
    net = GeMNet(trunk, read_config(GeMNet.Config, values))
    if layer is not None and not layer.bias:
        net.whitening = nn.Linear(layer.inputs, layer.outputs, bias=False)
    return net


def numbers(value: JSON) -> list[float]:
    """Returns a setting that is a list of numbers.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
        raise TypeError(f"expected a list of numbers, not {value!r}")
    return value


def _stored_pooling(net: GeMNet | Embedding | DELG | DOLG) -> JSON:
    choice, pooling = net.config.pooling, net.pooling
    if isinstance(pooling, GeM):
        p = tuple(float(each) for each in pooling.p.detach().cpu())
        return stored_settings(_GeM("gem", p, isinstance(pooling.p, nn.Parameter)))
    if is_dotted(choice.kind):
        dotted_name(choice.part)
    return cast(JSON, choice.model_dump(mode="json"))
