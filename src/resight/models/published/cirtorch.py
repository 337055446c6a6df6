"""cnnimageretrieval-pytorch: Radenović, Tolias and Chum, TPAMI 2018 (see `resight.networks.gem`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from resight.errors import InvalidInput
from resight.models.network_describer import SCALES
from resight.models.published.checkpoint import Checkpoint
from resight.models.published.conversion import Conversion, ConversionConfig, describer_of, model_of_file
from resight.models.published.matching import COUNTERS_MISSING, TRUNK, fill
from resight.models.whitening import Whitening
from resight.networks.gem import GeMNet, GeMNetConfig
from resight.networks.pooling import POOLINGS, GeM
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.named import TrunkConfig
from resight.settings.choice import Choice

__all__ = ["END_TO_END_SCALES", "FAMILY", "convert"]

FAMILY = "cirtorch"
"""Name of the family."""

END_TO_END_SCALES = (1.0, 2**0.5, 2**-0.5)
"""The authors' scales of networks with a whitening layer."""

# Number of a ResNet's part in the authors' sequence of all but its last two.
_RESNET = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
_LAYERS = {"pooling": "pool", "whitening": "whiten"}
_RESNETS = tuple(f"resnet{depth}" for depth in (18, 34, 50, 101, 152))
_VGGS = tuple(f"vgg{depth}" for depth in (11, 13, 16, 19))
_ACCEPTED = ("alexnet", *_VGGS, *_RESNETS)
_POOLINGS = ("mac", "spoc", "gem", "gemmp", "rmac")
_WITHOUT = {
    "local_whitening": "whitens every location before it pools",
    "regional": "pools regions and whitens each of them",
}


@dataclass(frozen=True, slots=True)
class _Meta:
    """What the file says of its network."""

    architecture: str
    pooling: str
    whitening: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    whitenings: Mapping[str, object]


def convert(checkpoint: Checkpoint, config: ConversionConfig) -> Conversion:
    """Returns the network as a bundle of the architecture ``gem``, whitened where that is asked for.

    Raises:
        InvalidInput: The file describes a network that has no counterpart here, or a tensor is missing,
            unknown or of another shape (it is named), or it carries no such whitening.
    """
    meta = _read_meta(checkpoint)
    trunk = _build_trunk(meta)
    channels = trunk.channels[-1]
    dim = _outputs(checkpoint, channels) if meta.whitening else None
    net = GeMNet(trunk, GeMNetConfig(_pooling_of(meta.pooling), dim))
    filled = fill(net, checkpoint, _naming(meta.architecture), family=FAMILY, left_out={})
    scales = END_TO_END_SCALES if meta.whitening else SCALES
    describer = describer_of(net, config, scales=scales)
    model = model_of_file(describer, checkpoint, config, family=FAMILY)
    remarks = [COUNTERS_MISSING] if filled.counters_missing else []
    if config.whitening is not None:
        count = len(describer.traits.scales)
        model = model.whitened(_whitening(checkpoint, meta, config.whitening, scales=count))
    elif meta.whitenings:
        remarks.append(
            f"It carries whitenings from {', '.join(meta.whitenings)}, none of which is applied: name one to "
            "have it put behind the network."
        )
    return Conversion(FAMILY, model.to_bundle(), filled.matches, (), tuple(remarks))


def _read_meta(checkpoint: Checkpoint) -> _Meta:
    meta = checkpoint.meta or {}
    architecture, pooling = meta.get("architecture"), meta.get("pooling")
    if architecture not in _ACCEPTED or pooling not in _POOLINGS:
        raise InvalidInput(
            f"the checkpoint {checkpoint.path} describes {architecture!r} with the pooling {pooling!r}; "
            f"accepted are {', '.join(_ACCEPTED)} with {', '.join(_POOLINGS)}"
        )
    for name, what in _WITHOUT.items():
        if meta.get(name, False):
            raise InvalidInput(
                f"the checkpoint {checkpoint.path} holds a network that {what} ({name}), and there is no "
                "such network here: give one without"
            )
    whitenings = meta.get("Lw", {})
    return _Meta(
        str(architecture),
        str(pooling),
        bool(meta.get("whitening", False)),
        _three(meta, "mean", checkpoint),
        _three(meta, "std", checkpoint),
        {str(name): each for name, each in whitenings.items()} if isinstance(whitenings, Mapping) else {},
    )


def _three(meta: Mapping[str, object], name: str, checkpoint: Checkpoint) -> tuple[float, float, float]:
    value = meta.get(name)
    values = value if isinstance(value, Sequence) else ()
    if len(values) != 3 or not all(isinstance(each, int | float) and math.isfinite(each) for each in values):
        raise InvalidInput(
            f"the checkpoint {checkpoint.path} needs three numbers as the {name} of its pixels, not {value!r}"
        )
    red, green, blue = (float(each) for each in values)
    return red, green, blue


def _build_trunk(meta: _Meta) -> Backbone:
    # The VGGs and AlexNet end before their last pooling.
    if meta.architecture in _VGGS:
        trunk = Backbone(f"{meta.architecture}.tv_in1k", out_indices=(-2,))
    elif meta.architecture in _RESNETS:
        trunk = TrunkConfig(f"{meta.architecture}.tv_in1k", pretrained=False).build()
    else:
        trunk = TrunkConfig(meta.architecture, pretrained=False).build()
    trunk.mean, trunk.std = meta.mean, meta.std
    return trunk


def _pooling_of(name: str) -> Choice:
    match name:
        case "gemmp":
            return POOLINGS.choose(GeM, per_channel=True)
        case _:
            return POOLINGS.read({"kind": name})


def _outputs(checkpoint: Checkpoint, channels: int) -> int:
    weight = checkpoint.tensors.get("whiten.weight")
    return channels if weight is None or weight.ndim == 0 else weight.shape[0]


def _naming(architecture: str) -> Callable[[str], str]:
    """Returns what turns our names into the authors', for one architecture."""

    def source_of(name: str) -> str:
        if not name.startswith(TRUNK):
            layer, _, tensor = name.partition(".")
            return f"{_LAYERS[layer]}.{tensor}"
        own = name.removeprefix(TRUNK)
        if architecture in _RESNETS:
            part, _, rest = own.partition(".")
            return f"features.{_RESNET[part]}.{rest}"
        # timm writes an underscore for the first point.
        return own.replace("features_", "features.")

    return source_of


def _whitening(checkpoint: Checkpoint, meta: _Meta, name: str, *, scales: int) -> Whitening:
    """Returns one of the file's whitenings, that for one scale or that for several."""
    kind, where = ("ms", "several scales") if scales > 1 else ("ss", "one scale")
    both = meta.whitenings.get(name)
    parts = both.get(kind) if isinstance(both, Mapping) else None
    if not isinstance(parts, Mapping) or "m" not in parts or "P" not in parts:
        known = ", ".join(meta.whitenings) or "none at all"
        raise InvalidInput(
            f"the checkpoint {checkpoint.path} carries no whitening {name!r} for {where}: it carries {known}"
        )
    mean, matrix = _array(parts["m"]).reshape(-1), _array(parts["P"])
    return Whitening(mean, matrix, "learned", 0, f"learned by the authors on {name}, {where}")


def _array(value: object) -> Float64[np.ndarray, "..."]:
    if isinstance(value, Tensor):
        value = value.numpy()
    if not isinstance(value, np.ndarray):
        raise InvalidInput(f"a whitening needs arrays, not a {type(value).__name__}")
    return value.astype(np.float64)
