"""DELG as a describer: photos to descriptors and keypoints, to and from a bundle."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import final

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
from resight.models.keypoints import LEAST_SIDE, KeypointConfig, LocalMaps, keypoints_of
from resight.models.network_describer import exact_arithmetic, pooling_in, read_net
from resight.models.parts import whole_network
from resight.models.preprocess import to_input
from resight.networks.delg import DELG, DELGOutput
from resight.networks.trunks.receptive_field import receptive_field

__all__ = ["DELGDescriber"]


@final
class DELGDescriber:
    """A `DELG` in eval mode with its preprocessing and sizes: a `Describer` with attended local features.

    One pass over the sizes of a photo serves both: the global descriptor is the unit sum of those of some of
    them, the keypoints are the places of highest attention in all of the others' maps. Uses a GPU where there
    is one. Photos are described one by one.

    Attributes:
        net: The network; changing it afterwards makes a model's fingerprint wrong.
        preprocessing: How photos become its input.
        config: Sizes, and which keypoints are kept.
    """

    def __init__(
        self,
        net: DELG,
        *,
        max_side: int = 1024,
        config: KeypointConfig | None = None,
        device: str | None = None,
    ) -> None:
        """Takes a network; mean, standard deviation and order of channels are its trunk's.

        Args:
            net: The network; it is set to eval mode and moved to the device.
            max_side: Long side in pixels to which photos are reduced; that is scale 1.
            config: Sizes, and which keypoints are kept; the paper's by default.
            device: torch's name of a device; the GPU where there is one by default.

        Raises:
            InvalidInput: ``max_side`` is below 1, or the trunk's maps have no receptive field.
        """
        trunk = net.trunk
        self.preprocessing = Preprocessing(max_side, trunk.mean, trunk.std, trunk.channel_order)
        self.config = KeypointConfig() if config is None else config
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.net = net.eval().to(self._device)
        field = receptive_field(trunk, 0)
        # Leaving out every other row and column doubles the stride; what a remaining cell sees stays.
        self._field = replace(field, stride=field.stride * (net.local_stride // trunk.strides[0]))
        self._traits = Traits(
            architecture_of(net),
            dim=net.dim,
            max_side=max_side,
            scales=self.config.global_scales,
            pooling=pooling_in(settings_of(net)),
            local=LocalSource("delg", net.local_dim, "float16", Attention(self._field, self._attention)),
        )
        self._lock = threading.Lock()

    @property
    def traits(self) -> Traits:
        """What it is."""
        return self._traits

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns descriptor and keypoints of each photo, in pixels of the whole upright photo.

        A photo with less than 10 pixels on a side at every size has no keypoints.
        """
        return [self._features(photo) for photo in photos]

    def to_bundle(self) -> Bundle:
        """Returns everything that decides the features, bit by bit.

        What serves training alone, the classifier, is left out.
        """
        settings: dict[str, JSON] = {**settings_of(self.net), "local": asdict(self.config)}
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
            config = _keypoint_config(bundle.settings)
            return cls(net, max_side=bundle.preprocessing.max_side, config=config, device=device)

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
            summed = Counter(_size(image, scale) for scale in self.config.global_scales)
            local_sizes = {_size(image, scale) for scale in self.config.scales}
            local_sizes = {size for size in local_sizes if min(size) >= LEAST_SIDE}
            for height, width in sorted({*summed, *local_sizes}):
                output = self.net.maps_at(_resized(image, height, width))
                if times := summed[height, width]:
                    total += times * _values(output.descriptor[0])
                if (height, width) in local_sizes:
                    maps.append(_local_maps(output, height, width))
        norm = float(np.linalg.norm(total))
        # A photo without any response has no direction: it gets the one without a preference.
        descriptor = total / norm if norm > 0 else np.full(self._traits.dim, self._traits.dim**-0.5)
        local = keypoints_of(maps, photo, self._field, self.config, dim=self.net.local_dim)
        return ImageFeatures(descriptor.astype(np.float32), local)

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


def _keypoint_config(bundled: Mapping[str, JSON]) -> KeypointConfig:
    if "local" not in bundled:
        return KeypointConfig(global_scales=tuple(numbers(bundled["scales"])))
    settings = bundled["local"]
    if not isinstance(settings, Mapping):
        raise TypeError(f"local must be an object, not {settings!r}")
    count = settings["max_features"]
    if not isinstance(count, int):
        raise TypeError(f"max_features must be a whole number, not {count!r}")
    return KeypointConfig(
        tuple(numbers(settings["scales"])),
        tuple(numbers(settings["global_scales"])),
        count,
        _number_or_none(settings["threshold"]),
        _number_or_none(settings["quantile"]),
    )


def _number_or_none(value: JSON) -> float | None:
    if value is not None and not isinstance(value, int | float):
        raise TypeError(f"expected a number or null, not {value!r}")
    return value
