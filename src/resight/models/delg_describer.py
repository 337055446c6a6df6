"""DELG as a describer: photos to descriptors and keypoints, to and from a bundle."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import cast, final

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from resight.errors import InvalidInput
from resight.features import ImageFeatures
from resight.files.json import JSON
from resight.images import Photo
from resight.models.architectures import architecture_of, numbers, settings_of, tensors_of
from resight.models.bundle import Bundle, Preprocessing
from resight.models.describer import Attention, LocalSource, Traits
from resight.models.keypoints import LEAST_SIDE, KeypointConfig, LocalMaps, check_scales, keypoints_of
from resight.models.network_describer import exact_arithmetic, pooling_in, read_net
from resight.models.parts import whole_network
from resight.models.preprocess import to_input
from resight.models.runtimes import Run
from resight.models.working_memory import WorkingMemory
from resight.networks.delg import DELG, DELGOutput
from resight.networks.trunks.receptive_field import receptive_field
from resight.settings.stored import read_config

__all__ = ["PAPER_SCALES", "DELGDescriber"]

PAPER_SCALES = (2**-0.5, 1.0, 2**0.5)
"""The authors' scales of the global descriptor."""


@final
class DELGDescriber:
    """A `DELG` in eval mode with its preprocessing and sizes: a `Describer` with attended local features.

    One pass over the sizes of a photo serves both: the global descriptor is the unit sum of those of some of
    them, the keypoints are the places of highest attention in all of the others' maps. Uses a GPU where there
    is one. Photos are described one by one.

    Attributes:
        net: The network; changing it afterwards makes a model's fingerprint wrong.
        preprocessing: How photos become its input.
        keypoints: Sizes of the local features, and which cells become keypoints.
    """

    def __init__(
        self,
        net: DELG,
        *,
        max_side: int = 1024,
        scales: Sequence[float] = PAPER_SCALES,
        keypoints: KeypointConfig | None = None,
        device: str | None = None,
    ) -> None:
        """Takes a network; mean, standard deviation and order of channels are its trunk's.

        Args:
            net: The network; it is set to eval mode and moved to the device.
            max_side: Long side in pixels to which photos are reduced; that is scale 1.
            scales: Scales at which the global descriptor is computed; those of them are summed.
            keypoints: Sizes of the local features, and which cells become keypoints; the paper's by default.
            device: torch's name of a device; the GPU where there is one by default.

        Raises:
            InvalidInput: ``max_side`` is below 1, a scale is not positive or comes twice, or the trunk's maps
                have no receptive field.
        """
        check_scales(tuple(scales))
        trunk = net.trunk
        self.preprocessing = Preprocessing(max_side, trunk.mean, trunk.std, trunk.channel_order)
        self.keypoints = KeypointConfig() if keypoints is None else keypoints
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.net = net.eval().to(self._device)
        field = receptive_field(trunk, 0)
        # Leaving out every other row and column doubles the stride; what a remaining cell sees stays.
        self._field = replace(field, stride=field.stride * (net.local_stride // trunk.strides[0]))
        self._traits = Traits(
            architecture_of(net),
            dim=net.dim,
            max_side=max_side,
            scales=tuple(float(scale) for scale in scales),
            pooling=pooling_in(settings_of(net)),
            local=LocalSource("delg", net.local_dim, "float16", Attention(self._field, self._attention)),
            memory=WorkingMemory(
                net,
                net.maps_at,
                device=self._device,
                largest_scale=max(*scales, *self.keypoints.scales),
            ),
        )
        self._lock = threading.Lock()
        self._run: Run | None = None

    @property
    def traits(self) -> Traits:
        """What it is."""
        return self._traits

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns descriptor and keypoints of each photo, in pixels of the whole upright photo.

        A photo with less than 10 pixels on a side at every size has no keypoints.
        """
        return [self._features(photo) for photo in photos]

    def through(self, run: Run) -> DELGDescriber:
        """Returns the same describer whose maps come from another runtime.

        Args:
            run: A normalised image ``(1, 3, rows, columns)`` to descriptor, attention and local descriptors.
        """
        other = copy.copy(self)
        other._run = run
        return other

    def to_bundle(self) -> Bundle:
        """Returns everything that decides the features, bit by bit.

        What serves training alone, the classifier, is left out.
        """
        local: dict[str, JSON] = {**asdict(self.keypoints), "global_scales": self._traits.scales}
        settings: dict[str, JSON] = {**settings_of(self.net), "local": local}
        return Bundle(self._traits.kind, settings, self.preprocessing, "", "", tensors_of(self.net))

    @classmethod
    def from_bundle(cls, bundle: Bundle, *, name: str, device: str | None = None) -> DELGDescriber:
        """Returns the describer that `to_bundle` wrote.

        A bundle that says nothing of keypoints, written for the global descriptor alone, gets the paper's
        settings for them.

        Raises:
            InvalidBundle: Its settings or tensors make no network.
        """
        with whole_network(name):
            net = read_net(bundle)
            if not isinstance(net, DELG):
                raise InvalidInput(f"it holds a network of kind {bundle.architecture}, not delg")
            side, local = bundle.preprocessing.max_side, bundle.settings.get("local")
            if local is None:
                return cls(net, max_side=side, scales=numbers(bundle.settings["scales"]), device=device)
            keypoints = read_config(KeypointConfig, local)
            scales = numbers(cast("Mapping[str, JSON]", local)["global_scales"])
            return cls(net, max_side=side, scales=scales, keypoints=keypoints, device=device)

    def _attention(self, photo: Photo) -> Float32[np.ndarray, "rows columns"]:
        """Returns the attention at scale 1."""
        with torch.inference_mode(), exact_arithmetic(self._device, self._lock):
            return _values(self.net.maps_at(self._input(photo)).attention[0, 0])

    def _features(self, photo: Photo) -> ImageFeatures:
        maps: list[LocalMaps] = []
        total = np.zeros(self._traits.dim, dtype=np.float32)
        with torch.inference_mode(), exact_arithmetic(self._device, self._lock):
            image = self._input(photo)
            # By size, not by scale: two scales that a bundle rounded differently are one pass.
            summed = Counter(_size(image, scale) for scale in self._traits.scales)
            local_sizes = {_size(image, scale) for scale in self.keypoints.scales}
            local_sizes = {size for size in local_sizes if min(size) >= LEAST_SIDE}
            for height, width in sorted({*summed, *local_sizes}):
                output = self._maps_at(_resized(image, height, width))
                if times := summed[height, width]:
                    total += times * _values(output.descriptor[0])
                if (height, width) in local_sizes:
                    maps.append(_local_maps(output, height, width))
        norm = float(np.linalg.norm(total))
        # A photo without any response has no direction: it gets the one without a preference.
        descriptor = total / norm if norm > 0 else np.full(self._traits.dim, self._traits.dim**-0.5)
        local = keypoints_of(maps, photo, self._field, self.keypoints, dim=self.net.local_dim)
        return ImageFeatures(descriptor.astype(np.float32), local)

    def _maps_at(self, image: Tensor) -> DELGOutput:
        if self._run is None:
            return self.net.maps_at(image)
        descriptor, attention, local = (torch.from_numpy(each) for each in self._run(image.numpy()))
        return DELGOutput(descriptor, attention, local, None, None)

    def _input(self, photo: Photo) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(photo.pixels))[None]
        return to_input(pixels.to(self._device), self.preprocessing)


def _size(image: Tensor, scale: float) -> tuple[int, int]:
    """Returns rows and columns of an image at a scale, rounded, at least 1."""
    height, width = (max(1, round(side * scale)) for side in image.shape[2:])
    return height, width


def _resized(image: Tensor, height: int, width: int) -> Tensor:
    if (height, width) == tuple(image.shape[2:]):
        return image
    # Bilinear without averaging, as in the authors' code and in DELG.describe_at.
    return torch.nn.functional.interpolate(image, (height, width), mode="bilinear", align_corners=False)


def _local_maps(output: DELGOutput, height: int, width: int) -> LocalMaps:
    return LocalMaps(_values(output.attention[0, 0]), _values(output.local[0]), width, height)


def _values(tensor: Tensor) -> Float32[np.ndarray, "*shape"]:
    return tensor.float().cpu().numpy()
