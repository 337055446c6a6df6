"""The frozen trunks that have a name: facts about them, from ``trunks.json``, and a name's way to a model."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from resight._lazy import lacks
from resight.files.json import JSON
from resight.networks.trunks._timm import TORCH

if TYPE_CHECKING:
    from resight.networks.gem import GeMNet

__all__ = ["SUFFIXES", "Trunk", "build_net", "find_trunk", "has_weights", "trunks"]

SUFFIXES: Mapping[str, Literal["patches", "both"]] = MappingProxyType({"-gem": "patches", "-both": "both"})
"""What may follow the name of a transformer: GeM of its patches, and that beside its own pooling."""

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class Trunk:
    """A trunk of timm that is used as it is: dimension, size and licence are timm's, compared in the tests.

    Attributes:
        name: What people type.
        timm: timm's name.
        about: What it is, in a few words.
        pooling: ``gem`` pools the last map of a convolutional network by GeM with p = 3; ``trunk`` is the
            pooling of the trunk's authors, class token, attention pooling or average; ``patches`` is signed
            GeM of its last map after the last normalisation; ``both`` joins the last two.
        max_side: Long side of photos in pixels.
        dim: Length of a descriptor.
        megabytes: Size of the weights, 10^6 bytes.
        licence: Of the weights, as timm states it.
        options: Further arguments of timm.
        published: Figures of retrieval with it frozen, and who measured them; ``None`` where none is known.
    """

    name: str
    timm: str
    about: str
    pooling: Literal["gem", "trunk", "patches", "both"]
    max_side: int
    dim: int
    megabytes: float
    licence: str
    options: Mapping[str, JSON] = field(default_factory=dict)
    published: str | None = None

    @property
    def summary(self) -> str:
        """What it is, in a few words, with its pooling."""
        words = {
            "gem": f"GeM over {self.about}",
            "trunk": f"{self.about}, own pooling",
            "patches": f"{self.about}, GeM of patches",
            "both": f"{self.about}, own pooling and GeM of patches",
        }
        return words[self.pooling]


@functools.cache
def trunks() -> Mapping[str, Trunk]:
    """Returns the trunks by name, classic ones first."""
    rows = json.loads(Path(__file__).with_name("trunks.json").read_text(encoding="utf-8"))
    return MappingProxyType({row["name"]: Trunk(**row) for row in rows})


def find_trunk(name: str) -> Trunk | None:
    """Returns the trunk of a name, possibly with one of `SUFFIXES`; ``None`` where there is none."""
    if name in trunks():
        return trunks()[name]
    for suffix, pooling in SUFFIXES.items():
        trunk = trunks().get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if trunk is not None and trunk.pooling == "trunk":
            dim = trunk.dim * (2 if pooling == "both" else 1)
            # The published figure is that of the trunk's own pooling.
            return replace(trunk, name=name, pooling=pooling, dim=dim, published=None)
    return None


def has_weights(trunk: Trunk) -> bool:
    """Returns whether its weights are in the local cache of the hub; no server is asked."""
    if lacks(TORCH):
        return False
    # Of the hub's library alone: listing models imports no torch.
    from resight.networks.trunks._hub import cached_file

    return cached_file(f"timm/{trunk.timm}", _WEIGHT_FILES) is not None


def build_net(trunk: Trunk, *, download: bool) -> GeMNet:
    """Returns the network with the published weights, for any pooling but ``gem``.

    Args:
        trunk: The trunk.
        download: Whether the weights may be fetched; else they must be in the local cache.

    Raises:
        WeightsUnavailable: The weights are not here and cannot be fetched.
        MissingExtra: torch or timm is not installed.
    """
    from resight.networks.gem import GeMNet, GeMNetConfig
    from resight.networks.pooling import POOLINGS, SignedGeM, TrunkAndGeM, TrunkPooling
    from resight.networks.trunks.backbone import Backbone

    poolings = {"trunk": TrunkPooling, "patches": SignedGeM, "both": TrunkAndGeM}
    backbone = Backbone(
        trunk.timm,
        pretrained=True,
        download=download,
        out_indices=(-1,),
        options=trunk.options,
        whole=True,
    )
    return GeMNet(backbone, GeMNetConfig(POOLINGS.choose(poolings[trunk.pooling])))
