"""What a builder of a trunk hands to `Backbone`: the network and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.files.json import JSON
from resight.networks.trunks.strides import Tap

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Chain", "TrunkNet", "choose", "refuse_timm_options"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's pixels in R, G, B of 0..1."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Their standard deviation."""


@dataclass(frozen=True, slots=True, eq=False)
class TrunkNet:
    """A network that gives feature maps, and what is known of it.

    Attributes:
        net: Images to feature maps, shallow to deep.
        name: Name of the trunk without its source.
        taps: All maps the trunk has, shallow to deep.
        chosen: Which of them are wanted, numbers into ``taps``.
        picks: Which of the maps that ``net`` gives these are, numbers into them.
        mean: What is subtracted from each channel of 0..1, in ``channel_order``.
        std: What divides it then.
        channel_order: Order of the channels in its input.
        licence: Licence of its published weights.
        options: Arguments with which it was built.
        image_size: Rows and columns of the only size it takes; ``None`` where it takes any.
        whole_cells: Whether it takes whole cells only.
        signed: Whether it is a transformer or its like, whose maps are negative as often as positive.
        has_class_token: Whether it has one.
        channels_last: Whether its maps are ``(batch, rows, columns, channels)``.
    """

    net: nn.Module
    name: str
    taps: tuple[Tap, ...]
    chosen: tuple[int, ...]
    picks: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: Literal["RGB", "BGR"] = "RGB"
    licence: str = "unknown"
    options: Mapping[str, JSON] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    whole_cells: bool = False
    signed: bool = False
    has_class_token: bool = False
    channels_last: bool = False


@final
class Chain(nn.Module):
    """Modules one after the other; some of their outputs are the feature maps."""

    def __init__(
        self, parts: Mapping[str, nn.Module], steps: Sequence[str], taps: Sequence[Tap], smallest: int
    ) -> None:
        """Takes the modules.

        Args:
            parts: Modules by name.
            steps: Names of those that follow each other, ``block.0`` for one within a part.
            taps: Which of the steps give a map.
            smallest: Rows and columns to which smaller images are padded with zero.
        """
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self._steps = tuple(steps)
        self._taps = frozenset(tap.module for tap in taps)
        self._smallest = smallest

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> tuple[Tensor, ...]:
        """Returns the maps of the taps, shallow to deep."""
        down, right = (max(0, self._smallest - size) for size in images.shape[2:])
        # Zero is the mean colour.
        x = nn.functional.pad(images, (0, right, 0, down)) if down or right else images
        maps = []
        for step in self._steps:
            x = self.get_submodule(step)(x)
            if step in self._taps:
                maps.append(x)
        return tuple(maps)


def choose(trunk: str, taps: Sequence[Tap], out_indices: Sequence[int] | None) -> tuple[int, ...]:
    """Returns the numbers of the wanted maps, counted from the shallowest; all of them for ``None``.

    Raises:
        InvalidInput: There is no such map.
    """
    count = len(taps)
    wanted = range(count) if out_indices is None else out_indices
    if not wanted or not all(-count <= index < count for index in wanted):
        raise InvalidInput(
            f"the trunk {trunk} gives no feature maps with out_indices={tuple(wanted)}: it has {count}"
        )
    return tuple(index % count for index in wanted)


def refuse_timm_options(trunk: str, output_stride: int | None, options: Mapping[str, JSON] | None) -> None:
    """Returns if nothing was asked for that only timm's trunks have.

    Raises:
        InvalidInput: An output stride or options.
    """
    if output_stride is not None or options:
        raise InvalidInput(
            f"the trunk {trunk} gives no feature maps with output_stride={output_stride} and options "
            f"{dict(options or {})}: only timm's trunks have these; see without_stride"
        )
