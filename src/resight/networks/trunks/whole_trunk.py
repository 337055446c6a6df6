"""A trunk of timm with its last normalisation and its own pooling, which feature maps leave out."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Whole", "read_whole", "whole_trunk"]


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """What a whole trunk says of images.

    Attributes:
        pooled: Its own descriptor: class token, attention pooling or average, as its authors pool.
        maps: The last map after the last normalisation.
    """

    pooled: Float[Tensor, "batch channels"]
    maps: Float[Tensor, "batch channels rows cols"]


@functools.cache
def whole_trunk() -> type[nn.Module]:
    """Returns the class by which timm wraps a trunk as feature maps and keeps all of it."""
    from timm.models._features import FeatureGetterNet

    class WholeTrunk(FeatureGetterNet):
        def __init__(self, model: nn.Module, **settings: Any) -> None:
            kept = {name: settings[name] for name in ("out_indices", "output_fmt") if name in settings}
            super().__init__(model, **kept, norm=True, prune=False)

    return WholeTrunk


def read_whole(net: nn.Module, images: Float[Tensor, "batch 3 height width"], *, stride: int) -> Whole:
    """Returns pooled descriptor and map of images in one pass through a whole trunk.

    Args:
        net: The trunk.
        images: For a trunk of tokens, of whole cells.
        stride: Pixels of a cell.
    """
    model: Any = net.get_submodule("model")
    features = model.forward_features(images)
    pooled = model.forward_head(features, pre_logits=True)
    if features.ndim == 4:
        return Whole(pooled, features)
    patches = features[:, model.num_prefix_tokens :].transpose(1, 2)
    return Whole(pooled, patches.unflatten(2, [side // stride for side in images.shape[2:]]))
