"""The networks with one descriptor an image, to and from the settings of a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, cast

import numpy as np
from jaxtyping import Shaped
from torch import nn

from resight.errors import InvalidInput
from resight.files.json import JSON
from resight.networks.cgd import CGD
from resight.networks.delg import DELG, Shown, Sum
from resight.networks.dolg import DOLG, FuseAt
from resight.networks.embedding import Embedding
from resight.networks.fusion import Fusion
from resight.networks.gem import GeMNet, Pooling
from resight.networks.pooling import MAC, RMAC, AverageMax, GeM, SPoC
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.strides import Stage

__all__ = ["GlobalNet", "architecture_of", "build", "numbers", "settings_of", "tensors_of"]

GlobalNet: TypeAlias = GeMNet | CGD | Embedding | DELG | DOLG
"""A network whose ``describe_at`` gives one descriptor an image."""

_KNOWN = ("cgd", "delg", "dolg", "embedding", "gem")
# What serves training alone stays in the checkpoint.
_TRAINING_ONLY = ("classifier.", "classifier_norm.")


def architecture_of(net: GlobalNet) -> str:
    """Returns what the bundles of such a network call themselves."""
    match net:
        case GeMNet():
            return "gem"
        case CGD():
            return "cgd"
        case Embedding():
            return "embedding"
        case DELG():
            return "delg"
        case DOLG():
            return "dolg"


def settings_of(net: GlobalNet) -> dict[str, JSON]:
    """Returns everything but the tensors that is needed to build the network again."""
    settings = _describe_trunk(net.trunk)
    match net:
        case GeMNet():
            whitening = net.whitening
            settings["pooling"] = _describe_pooling(net.pooling)
            settings["whitening"] = None if whitening is None else _describe_linear(whitening)
        case CGD():
            settings["configuration"] = net.configuration
            settings["combine"] = net.combine
            settings["learn_exponent"] = any(True for _ in net.poolings.parameters())
        case Embedding():
            settings["pooling"] = _describe_pooling(net.pooling)
            settings["bias"] = net.linear.bias is not None
        case DELG():
            settings |= _describe_delg(net)
        case DOLG():
            settings |= _describe_dolg(net)
    settings["dim"] = net.dim
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
        InvalidInput: The architecture is unknown, or a setting cannot be right.
        UnknownModel: The trunk is unknown.
        KeyError: A setting is missing.
        TypeError: A setting is of another type.
    """
    if architecture not in _KNOWN:
        raise InvalidInput(f"its architecture is {architecture}; accepted are {', '.join(_KNOWN)}")
    trunk = _build_trunk(settings)
    match architecture:
        case "cgd":
            return CGD(
                trunk,
                str(settings["configuration"]),
                _whole(settings["dim"]),
                combine=_combination(settings["combine"]),
                without_stride=None,
                learn_exponent=bool(settings["learn_exponent"]),
            )
        case "embedding":
            pooling = _build_pooling(_mapping(settings["pooling"]))
            return Embedding(trunk, pooling, _whole(settings["dim"]), bias=bool(settings["bias"]))
        case "delg":
            return _build_delg(trunk, settings)
        case "dolg":
            return _build_dolg(trunk, settings)
        case _:
            whitening = None
            if settings["whitening"] is not None:
                layer = _mapping(settings["whitening"])
                inputs, outputs = _whole(layer["inputs"]), _whole(layer["outputs"])
                whitening = nn.Linear(inputs, outputs, bias=bool(layer["bias"]))
            return GeMNet(trunk, _build_pooling(_mapping(settings["pooling"])), whitening)


def numbers(value: JSON) -> list[float]:
    """Returns a setting that is a list of numbers.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
        raise TypeError(f"expected a list of numbers, not {value!r}")
    return value


def _describe_trunk(trunk: Backbone) -> dict[str, JSON]:
    settings: dict[str, JSON] = {
        "trunk": trunk.trunk,
        "trunk_options": trunk.options,
        "trunk_output_stride": trunk.output_stride,
    }
    # Only where they are not as usual, so that the fingerprints of bundles without them stay what they are.
    if trunk.without_stride is not None:
        settings["trunk_without_stride"] = trunk.without_stride
    if trunk.deepest != -1:
        settings["trunk_deepest"] = trunk.deepest
    if len(trunk.maps) > 1:
        settings["trunk_maps"] = trunk.maps
    return settings


def _build_trunk(settings: Mapping[str, JSON]) -> Backbone:
    stride = settings["trunk_output_stride"]
    maps = settings.get("trunk_maps", [settings.get("trunk_deepest", -1)])
    return Backbone(
        str(settings["trunk"]),
        out_indices=[_whole(number) for number in _list(maps)],
        output_stride=None if stride is None else _whole(stride),
        without_stride=_stage(settings.get("trunk_without_stride")),
        options=_mapping(settings["trunk_options"]),
    )


def _describe_delg(net: DELG) -> dict[str, JSON]:
    return {
        "pooling": _describe_pooling(net.pooling),
        "local_dim": net.local_dim,
        "attention_dim": net.attention.hidden.out_channels,
        "autoencoder": net.autoencoder is not None,
        "attention_input": net.attention_input,
        "attention_target": net.attention_target,
        "attention_pooling": net.attention_pooling,
        "normalise_target": net.normalise_target,
        "stop_gradient": net.stop_gradient,
        "subsample": net.subsample,
    }


def _build_delg(trunk: Backbone, settings: Mapping[str, JSON]) -> DELG:
    return DELG(
        trunk,
        _whole(settings["dim"]),
        local_dim=_whole(settings["local_dim"]),
        attention_dim=_whole(settings["attention_dim"]),
        pooling=_build_pooling(_mapping(settings["pooling"])),
        autoencoder=bool(settings["autoencoder"]),
        # The network names the words it takes.
        attention_input=cast("Shown", settings["attention_input"]),
        attention_target=cast("Shown", settings["attention_target"]),
        attention_pooling=cast("Sum", settings["attention_pooling"]),
        normalise_target=bool(settings["normalise_target"]),
        stop_gradient=bool(settings["stop_gradient"]),
        subsample=bool(settings["subsample"]),
    )


def _describe_dolg(net: DOLG) -> dict[str, JSON]:
    return {
        "pooling": _describe_pooling(net.pooling),
        "global_dim": net.global_dim,
        "local_branch": bool(net.branches),
        "multi_atrous": net.multi_atrous,
        "dilations": net.dilations,
        "self_attention": net.self_attention,
        "fusion": net.fusion,
        "fuse_at": net.fuse_at,
    }


def _build_dolg(trunk: Backbone, settings: Mapping[str, JSON]) -> DOLG:
    return DOLG(
        trunk,
        _whole(settings["dim"]),
        global_dim=_whole(settings["global_dim"]),
        pooling=_build_pooling(_mapping(settings["pooling"])),
        local_branch=bool(settings["local_branch"]),
        multi_atrous=bool(settings["multi_atrous"]),
        dilations=[_whole(each) for each in _list(settings["dilations"])],
        self_attention=bool(settings["self_attention"]),
        fusion=cast("Fusion", settings["fusion"]),
        fuse_at=cast("FuseAt", settings["fuse_at"]),
    )


def _describe_linear(layer: nn.Linear) -> dict[str, JSON]:
    return {"inputs": layer.in_features, "outputs": layer.out_features, "bias": layer.bias is not None}


def _describe_pooling(pooling: Pooling) -> dict[str, JSON]:
    match pooling:
        case SPoC():
            return {"kind": "spoc"}
        case MAC():
            return {"kind": "mac"}
        case AverageMax():
            return {"kind": "average_max"}
        case RMAC():
            return {"kind": "rmac", "levels": pooling.levels}
        case GeM():
            p = [float(each) for each in pooling.p.detach().cpu()]
            return {"kind": "gem", "p": p, "learnable": isinstance(pooling.p, nn.Parameter)}


def _build_pooling(settings: Mapping[str, JSON]) -> Pooling:
    match settings["kind"]:
        case "spoc":
            return SPoC()
        case "mac":
            return MAC()
        case "average_max":
            return AverageMax()
        case "rmac":
            return RMAC(_whole(settings["levels"]))
        case "gem":
            count = len(numbers(settings["p"]))
            return GeM(channels=count if count > 1 else None, learnable=bool(settings["learnable"]))
        case other:
            raise InvalidInput(
                f"it names the pooling {other!r}; accepted are spoc, mac, average_max, rmac and gem"
            )


def _stage(value: JSON) -> Stage | None:
    match value:
        case None | "conv4" | "conv5":
            return value
        case other:
            raise InvalidInput(
                f"its trunk is without the stride of {other!r}; accepted are conv4, conv5 and null"
            )


def _combination(value: JSON) -> Literal["concatenate", "sum"]:
    match value:
        case "concatenate" | "sum":
            return value
        case other:
            raise InvalidInput(f"it combines its branches by {other!r}; accepted are concatenate and sum")


def _mapping(value: JSON) -> Mapping[str, JSON]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, not {value!r}")
    return value


def _list(value: JSON) -> list[JSON]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"expected a list, not {value!r}")
    return list(value)


def _whole(value: JSON) -> int:
    if not isinstance(value, int):
        raise TypeError(f"expected a whole number, not {value!r}")
    return value
