"""A GeM network as a model: photos in, descriptors out, and to and from a bundle."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from resight import images
from resight.errors import InvalidBundle, InvalidInput, UnknownModel
from resight.features import Box, ImageFeatures
from resight.models.backbone import Backbone
from resight.models.bundle import JSON, Bundle, Preprocessing
from resight.models.gem import GeMNet, Pooling
from resight.models.model import describe_paths
from resight.models.pooling import MAC, RMAC, GeM, SPoC

__all__ = ["ARCHITECTURE", "SCALES", "GeMDescriber"]

ARCHITECTURE = "gem"
"""What the bundles of this model call themselves."""

SCALES = (1.0, 2**-0.5, 0.5)
"""The scales of the paper's multi-scale descriptors."""

_GPU_BATCH = 8


@final
class GeMDescriber:
    """A `GeMNet` in eval mode with its preprocessing and scales: a `Model`.

    Uses a GPU where there is one. A photo's descriptor does not depend on what else is in its batch.

    Attributes:
        net: The network; changing it after this model was made makes `fingerprint` wrong.
        preprocessing: How photos become its input.
        scales: At which scales of the input a photo is described.
    """

    def __init__(
        self,
        net: GeMNet,
        *,
        name: str,
        max_side: int = 1024,
        scales: Sequence[float] = SCALES,
        licence: str = "unknown",
        provenance: str = "",
        device: str | None = None,
    ) -> None:
        """Takes a network; mean and standard deviation are its trunk's.

        Args:
            net: The network; it is set to eval mode and moved to the device.
            name: What `load_model` takes to load this model again.
            max_side: Long side in pixels to which photos are reduced.
            scales: Scales of multi-scale description.
            licence: Licence of the weights.
            provenance: Where they come from.
            device: torch's name of a device; by default the GPU where there is one.

        Raises:
            InvalidInput: No scale, one that is not positive, or ``max_side`` below 1.
        """
        if not scales or min(scales) <= 0:
            raise InvalidInput(f"scales must be positive numbers, at least one, not {tuple(scales)}")
        self.preprocessing = Preprocessing(max_side, net.trunk.mean, net.trunk.std)
        self.scales = tuple(float(scale) for scale in scales)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.net = net.eval().to(self._device)
        self._name, self._licence, self._provenance = name, licence, provenance
        self._mean = torch.tensor(self.preprocessing.mean, device=self._device).view(3, 1, 1)
        self._std = torch.tensor(self.preprocessing.std, device=self._device).view(3, 1, 1)
        self._lock = threading.Lock()
        self._fingerprint = self.to_bundle().fingerprint

    @property
    def name(self) -> str:
        """What `load_model` takes to load this model again."""
        return self._name

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return self.net.dim

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the bundle this model makes."""
        return self._fingerprint

    @property
    def max_side(self) -> int:
        """Long side in pixels to which photos are reduced."""
        return self.preprocessing.max_side

    @property
    def batch_size(self) -> int:
        """Eight on a GPU; one on a CPU, where a batch gains nothing and takes memory."""
        return _GPU_BATCH if self._device.type == "cuda" else 1

    def extract(self, photos: Sequence[images.Photo]) -> list[ImageFeatures]:
        """Returns the descriptor of each photo; photos of equal size go through the network together."""
        by_size: dict[tuple[int, ...], list[int]] = {}
        for number, photo in enumerate(photos):
            by_size.setdefault(photo.pixels.shape, []).append(number)
        descriptors = np.zeros((len(photos), self.dim), dtype=np.float32)
        for members in by_size.values():
            for start in range(0, len(members), self.batch_size):
                chosen = members[start : start + self.batch_size]
                pixels = np.stack([photos[number].pixels for number in chosen])
                descriptors[chosen] = self._describe_pixels(torch.from_numpy(pixels))
        return [ImageFeatures(descriptor) for descriptor in descriptors]

    def describe(
        self, paths: Sequence[str | Path], *, boxes: Sequence[Box | None] | None = None
    ) -> Float32[np.ndarray, "n dim"]:
        """Returns one descriptor a file, of unit L2 norm; a box restricts a photo to a part of it.

        Raises:
            UnreadableImage: A file is no image.
        """
        return describe_paths(self, paths, boxes)

    def to_bundle(self) -> Bundle:
        """Returns everything that decides this model's descriptors, bit by bit."""
        settings: dict[str, JSON] = {
            "trunk": self.net.trunk.trunk,
            "trunk_options": self.net.trunk.options,
            "trunk_output_stride": self.net.trunk.output_stride,
            "pooling": _describe_pooling(self.net.pooling),
            "whitening": (
                None
                if self.net.whitening is None
                else {
                    "inputs": self.net.whitening.in_features,
                    "outputs": self.net.whitening.out_features,
                    "bias": self.net.whitening.bias is not None,
                }
            ),
            "dim": self.dim,
            "scales": self.scales,
        }
        tensors = {name: tensor.cpu().numpy() for name, tensor in self.net.state_dict().items()}
        return Bundle(ARCHITECTURE, settings, self.preprocessing, self._licence, self._provenance, tensors)

    @classmethod
    def from_bundle(cls, bundle: Bundle, *, name: str, device: str | None = None) -> GeMDescriber:
        """Returns the model that `to_bundle` wrote.

        Raises:
            InvalidBundle: Its settings or tensors make no GeM network.
        """
        try:
            net = _build(bundle)
            weights = {key: torch.tensor(tensor) for key, tensor in bundle.tensors.items()}
            net.load_state_dict(weights, strict=True)
            scales = _items(bundle.settings["scales"])
            if not scales or min(scales) <= 0:
                raise InvalidInput(f"its scales are {scales}")
        except (KeyError, TypeError, ValueError, RuntimeError, UnknownModel) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise InvalidBundle(f"the bundle {name} makes no GeM network ({reason})") from None
        net.trunk.mean, net.trunk.std = bundle.preprocessing.mean, bundle.preprocessing.std
        return cls(
            net,
            name=name,
            max_side=bundle.preprocessing.max_side,
            scales=scales,
            licence=bundle.licence,
            provenance=bundle.provenance,
            device=device,
        )

    def _describe_pixels(self, pixels: Tensor) -> Float32[np.ndarray, "batch dim"]:
        with torch.inference_mode(), self._exact_arithmetic():
            values = pixels.to(self._device).permute(0, 3, 1, 2).float() / 255
            output = self.net.describe_at((values - self._mean) / self._std, self.scales)
            descriptors = output.descriptor.cpu().numpy()
        # A photo without any response (all-zero maps under MAC) has no direction: give it the one without a
        # preference, so that every descriptor is of unit length.
        descriptors[~descriptors.any(axis=1)] = self.dim**-0.5
        return descriptors

    @contextlib.contextmanager
    def _exact_arithmetic(self) -> Iterator[None]:
        """Keeps a GPU from 19-bit products and from choosing its algorithms by the size of the batch.

        With them one photo's descriptor would differ alone and in a batch. torch keeps these switches for
        the whole process, hence one thread at a time.
        """
        if self._device.type != "cuda":
            yield
            return
        with self._lock, torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
            yield


def _describe_pooling(pooling: Pooling) -> dict[str, JSON]:
    match pooling:
        case SPoC():
            return {"kind": "spoc"}
        case MAC():
            return {"kind": "mac"}
        case RMAC():
            return {"kind": "rmac", "levels": pooling.levels}
        case GeM():
            p = [float(each) for each in pooling.p.detach().cpu()]
            return {"kind": "gem", "p": p, "learnable": isinstance(pooling.p, nn.Parameter)}


def _build(bundle: Bundle) -> GeMNet:
    settings = bundle.settings
    if bundle.architecture != ARCHITECTURE or bundle.preprocessing.channel_order != "RGB":
        raise InvalidInput(
            f"its architecture is {bundle.architecture} in {bundle.preprocessing.channel_order}; "
            f"accepted is {ARCHITECTURE} in RGB"
        )
    stride = settings["trunk_output_stride"]
    trunk = Backbone(
        str(settings["trunk"]),
        out_indices=(-1,),
        output_stride=None if stride is None else _whole(stride),
        options=_mapping(settings["trunk_options"]),
    )
    whitening = None
    if settings["whitening"] is not None:
        layer = _mapping(settings["whitening"])
        whitening = nn.Linear(_whole(layer["inputs"]), _whole(layer["outputs"]), bias=bool(layer["bias"]))
    return GeMNet(trunk, _build_pooling(_mapping(settings["pooling"])), whitening)


def _build_pooling(settings: Mapping[str, JSON]) -> Pooling:
    match settings["kind"]:
        case "spoc":
            return SPoC()
        case "mac":
            return MAC()
        case "rmac":
            return RMAC(_whole(settings["levels"]))
        case "gem":
            count = len(_items(settings["p"]))
            return GeM(channels=count if count > 1 else None, learnable=bool(settings["learnable"]))
        case other:
            raise InvalidInput(f"it names the pooling {other!r}; accepted are spoc, mac, rmac and gem")


def _mapping(value: JSON) -> Mapping[str, JSON]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, not {value!r}")
    return value


def _items(value: JSON) -> list[float]:
    if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
        raise TypeError(f"expected a list of numbers, not {value!r}")
    return value


def _whole(value: JSON) -> int:
    if not isinstance(value, int):
        raise TypeError(f"expected a whole number, not {value!r}")
    return value
