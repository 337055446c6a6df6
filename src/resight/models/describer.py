"""A network with one descriptor an image as a model: photos in, descriptors out, to and from a bundle."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from resight import images
from resight.errors import InvalidBundle, InvalidInput, UnknownModel
from resight.features import ImageFeatures
from resight.models.architectures import (
    GlobalNet,
    architecture_of,
    build,
    numbers,
    settings_of,
    tensors_of,
)
from resight.models.bundle import Bundle, Preprocessing
from resight.models.model import Model
from resight.models.preprocess import to_input
from resight.networks.gem import GeMNet

__all__ = ["SCALES", "GlobalDescriber", "exact_arithmetic", "read_net", "whole_bundle"]

SCALES = (1.0, 2**-0.5, 0.5)
"""The scales of the GeM paper's multi-scale descriptors; the other networks are described at one."""

_GPU_BATCH = 8


@final
class GlobalDescriber(Model):
    """A `GeMNet`, `CGD`, `Embedding` or `DOLG` in eval mode with its preprocessing and scales: a `Model`.

    Uses a GPU where there is one. A photo's descriptor does not depend on what else is in its batch.

    Attributes:
        net: The network; changing it after this model was made makes `fingerprint` wrong.
        preprocessing: How photos become its input.
        scales: At which scales of the input a photo is described.
    """

    def __init__(
        self,
        net: GlobalNet,
        *,
        name: str,
        max_side: int = 1024,
        scales: Sequence[float] | None = None,
        licence: str = "unknown",
        provenance: str = "",
        device: str | None = None,
    ) -> None:
        """Takes a network; mean, standard deviation and order of channels are its trunk's.

        Args:
            net: The network; it is set to eval mode and moved to the device.
            name: What `load_model` takes to load this model again.
            max_side: Long side in pixels to which photos are reduced.
            scales: Scales of multi-scale description; `SCALES` for GeM and the photo alone for the others if
                ``None``.
            licence: Licence of the weights.
            provenance: Where they come from.
            device: torch's name of a device; by default the GPU where there is one.

        Raises:
            InvalidInput: No scale, one that is not positive, or ``max_side`` below 1.
        """
        if scales is None:
            scales = SCALES if isinstance(net, GeMNet) else (1.0,)
        if not scales or min(scales) <= 0:
            raise InvalidInput(f"scales must be positive numbers, at least one, not {tuple(scales)}")
        trunk = net.trunk
        self.preprocessing = Preprocessing(max_side, trunk.mean, trunk.std, trunk.channel_order)
        self.scales = tuple(float(scale) for scale in scales)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.net = net.eval().to(self._device)
        self._name, self._licence, self._provenance = name, licence, provenance
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

    def to_bundle(self) -> Bundle:
        """Returns everything that decides this model's descriptors, bit by bit.

        What serves training alone, as the classifier of `CGD`, is left out.
        """
        return Bundle(
            architecture_of(self.net),
            {**settings_of(self.net), "scales": self.scales},
            self.preprocessing,
            self._licence,
            self._provenance,
            tensors_of(self.net),
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle, *, name: str, device: str | None = None) -> GlobalDescriber:
        """Returns the model that `to_bundle` wrote.

        Raises:
            InvalidBundle: Its settings or tensors make no network.
        """
        with whole_bundle(name):
            net = read_net(bundle)
            scales = numbers(bundle.settings["scales"])
            if not scales or min(scales) <= 0:
                raise InvalidInput(f"its scales are {scales}")
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
        with torch.inference_mode(), exact_arithmetic(self._device, self._lock):
            values = to_input(pixels.to(self._device), self.preprocessing)
            output = self.net.describe_at(values, self.scales)
            descriptors = output.descriptor.cpu().numpy()
        # A photo without any response (all-zero maps under MAC) has no direction: give it the one without a
        # preference, so that every descriptor is of unit length.
        descriptors[~descriptors.any(axis=1)] = self.dim**-0.5
        return descriptors


@contextlib.contextmanager
def exact_arithmetic(device: torch.device, lock: threading.Lock) -> Iterator[None]:
    """Keeps a GPU from 19-bit products and from choosing its algorithms by the size of the batch.

    With them one photo's descriptor would differ alone and in a batch. torch keeps these switches for
    the whole process, hence one thread at a time.
    """
    if device.type != "cuda":
        yield
        return
    with lock, torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
        yield


def read_net(bundle: Bundle, *, apart: str | None = None) -> GlobalNet:
    """Returns the network of a bundle with its weights, mean and standard deviation.

    Args:
        bundle: What `GlobalDescriber.to_bundle` or `resight.models.delg_describer.LocalDescriber.to_bundle`
            wrote.
        apart: What the names of tensors begin with that are not the network's.

    Raises:
        KeyError: A setting is missing.
        TypeError: A setting is of another type.
        InvalidInput: A setting cannot be right.
        RuntimeError: A tensor is missing or does not fit.
        UnknownModel: The trunk is unknown.
    """
    net = build(bundle.architecture, bundle.settings)
    order = bundle.preprocessing.channel_order
    if order != net.trunk.channel_order:
        raise InvalidInput(
            f"its architecture is {bundle.architecture} in {order}; its trunk {net.trunk.trunk} "
            f"takes {net.trunk.channel_order}"
        )
    weights = {
        key: torch.tensor(tensor)
        for key, tensor in bundle.tensors.items()
        if apart is None or not key.startswith(apart)
    }
    net.load_state_dict(weights, strict=True)
    net.trunk.mean, net.trunk.std = bundle.preprocessing.mean, bundle.preprocessing.std
    return net


@contextlib.contextmanager
def whole_bundle(name: str) -> Iterator[None]:
    """Turns what a bundle lacks into one sentence.

    Raises:
        InvalidBundle: A setting or tensor is missing or does not fit.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError, UnknownModel) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InvalidBundle(f"the bundle {name} makes no network ({reason})") from None
