"""What the networks of `paired_experiments.py` begin with: random weights, or those of ImageNet.

From ImageNet the first blocks of ``efficientnet-lite0`` stay as they are, so that what they say of a photo is
computed once: of the test photo, and of `VIEWS` random crops of a training photo, mirrored half of the time.
A batch shows each of its photos in one of these views. In the studies by labels the last block learns, on a
map of stride 16: conv5 keeps its resolution, as CGD has it. In those of places, where losses act on the map
in the middle of the trunk, the last four of seven blocks learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from experiment_runs import Values
from torch import Tensor, nn

from resight.images.augment import Transform
from resight.networks import TrunkConfig
from resight.networks.trunks.backbone import Backbone
from resight.training.network import Network
from resight.training.packed import PackedImages

VIEWS = 4
_BATCH = 64
_ALL_BUT_LAST = 6


@dataclass(frozen=True, slots=True)
class Start:
    """What networks begin with, and what goes with it.

    Attributes:
        trunk: The trunk of a recipe.
        side: Of a training crop and of a test photo; DELG and DOLG learn from crops of three quarters of it
            and are measured at ``packed``.
        packed: Of the photo that a crop is taken from.
        batch_norm: Of a recipe's training.
        precision: Of a recipe's training, and of the descriptors that are measured.
        frozen: Blocks of the trunk that stay as they are in the studies by labels, and in those of places.
        rates: Learning rates that are tried on classes held out; the only one is not tried.
    """

    trunk: Values
    side: int
    packed: int
    rates: tuple[float, ...]
    batch_norm: str = "train"
    precision: str = "bf16"
    frozen: tuple[int, int] = (0, 0)

    def sides(self, *, of_places: bool) -> tuple[int, int]:
        """Returns the sides of a test photo and of a training crop."""
        return (self.packed, self.side * 3 // 4) if of_places else (self.side, self.side)


STARTS = {
    # timm's smallest residual network: 0.4 million weights, a quarter of the time of ResNet-10-t. At its own
    # stride of 32 a photo would have four cells, and all poolings of four numbers are alike.
    "scratch": Start({"name": "test_resnet", "pretrained": False, "output_stride": 16}, 64, 72, (1e-3,)),
    "imagenet": Start(
        {"name": "efficientnet-lite0"},
        96,
        108,
        (1e-4, 3e-4, 1e-3, 3e-3),
        batch_norm="frozen",
        # Twice as fast here as bfloat16: most of the last blocks are convolutions by channel.
        precision="fp32",
        frozen=(6, 3),
    ),
}


@final
class FrozenMaps:
    """Photos as the frozen blocks show them, in the place of pixels."""

    parallel = False

    def __init__(self, shown: np.ndarray, views: np.ndarray, rows: np.ndarray) -> None:
        """Takes the maps ``(photos, rows, columns, channels)``, those of the views, and the photos' rows."""
        self._shown, self._views, self._rows = shown, views, rows

    def transformed(self, indices: np.ndarray, transform: Transform, numbers: np.ndarray) -> list[Tensor]:
        """Returns the maps of the whole photos, or of the views that the numbers choose."""
        rows = self._rows[indices]
        if not transform.draws:
            return [torch.from_numpy(self._shown[rows])]
        return [torch.from_numpy(self._views[rows, (numbers[:, 0] * VIEWS).astype(np.int64)])]


def maps_of(
    packed: PackedImages, blocks: int, test: Transform, train: Transform, learned: int, file: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the maps of all photos and of the views of the first ``learned``, float16; kept in a file."""
    if not file.exists():
        stage = "conv5" if blocks == _ALL_BUT_LAST else None
        trunk = TrunkConfig("efficientnet-lite0").build(without_stride=stage).eval()
        numbers = np.random.default_rng(0).random((learned, VIEWS, train.draws))
        shown = _through(trunk, blocks, packed.pixels, test, np.zeros((len(packed), 0)))
        views = [
            _through(trunk, blocks, packed.pixels[:learned], train, numbers[:, each]) for each in range(VIEWS)
        ]
        np.savez(file, shown=shown, views=np.stack(views, axis=1))
    found = np.load(file)
    return found["shown"], found["views"]


def _through(
    trunk: Backbone, blocks: int, pixels: np.ndarray, transform: Transform, numbers: np.ndarray
) -> np.ndarray:
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (trunk.mean, trunk.std))
    steps = [trunk.net.get_submodule(name) for name in frozen_steps(blocks)]
    found = []
    with torch.inference_mode():
        for start in range(0, len(pixels), _BATCH):
            part = slice(start, start + _BATCH)
            x = torch.tensor(transform.apply_batch(pixels[part], numbers[part])).permute(0, 3, 1, 2)
            x = ((x / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
            for step in steps:
                x = step(x)
            found.append(x.permute(0, 2, 3, 1).half().numpy())
    return np.concatenate(found)


def frozen_steps(blocks: int) -> Sequence[str]:
    """Returns the names of the trunk's frozen parts, in the order of the data."""
    return ("conv_stem", "bn1", *(f"blocks.{number}" for number in range(blocks)))


def take_maps(network: Network, blocks: int) -> None:
    """Leaves the frozen blocks out of a network, in place: it takes their maps for photos."""
    trunk = network.model.trunk
    for name in frozen_steps(blocks):
        trunk.net.set_submodule(name, nn.Identity())
    # Cells of a map stand for pixels now: the deepest map must not be larger than what comes in.
    stride = 16 if blocks == _ALL_BUT_LAST else 8
    trunk.strides = tuple(each // stride for each in trunk.strides)
    # Maps are not normalised: divided by 255 and by its inverse they stay as they are.
    network.mean, network.std = torch.zeros(1), torch.full((1,), 1 / 255)
