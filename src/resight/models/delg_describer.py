"""DELG as a model: photos in, descriptors and keypoints out, to and from a bundle."""

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
from resight.models.codec_bundle import CODEC_TENSORS, AnyCodec, codec_settings, codec_tensors, read_codec
from resight.models.describer import exact_arithmetic, read_net, whole_bundle
from resight.models.keypoints import LEAST_SIDE, LocalMaps, LocalSettings, keypoints_of
from resight.models.model import Model
from resight.models.preprocess import to_input
from resight.networks.delg import DELG, DELGOutput
from resight.networks.trunks.receptive_field import receptive_field

__all__ = ["LocalDescriber", "LocalSettings"]


@final
class LocalDescriber(Model):
    """A `DELG` in eval mode with its preprocessing, sizes and codec: a `Model` with attended local features.

    One pass over the sizes of a photo serves both: the global descriptor is the unit sum of those of some of
    them, the keypoints are the places of highest attention in all of the others' maps. Uses a GPU where there
    is one. Photos are described one by one: the same photo gives the same features whatever else is asked
    for.

    Attributes:
        net: The network; changing it after this model was made makes `fingerprint` wrong.
        preprocessing: How photos become its input.
        settings: Sizes, and which keypoints are kept.
        local_field: What a cell of the attention map sees at scale 1.
        local_codec: How local features are stored; ``None`` for as float16.
    """

    def __init__(
        self,
        net: DELG,
        *,
        name: str,
        max_side: int = 1024,
        settings: LocalSettings | None = None,
        codec: AnyCodec | None = None,
        licence: str = "unknown",
        provenance: str = "",
        device: str | None = None,
    ) -> None:
        """Takes a network; mean, standard deviation and order of channels are its trunk's.

        Args:
            net: The network; it is set to eval mode and moved to the device.
            name: What `load_model` takes to load this model again.
            max_side: Long side in pixels to which photos are reduced; that is scale 1.
            settings: Sizes, and which keypoints are kept; the paper's if ``None``.
            codec: How local features are stored.
            licence: Licence of the weights.
            provenance: Where they come from.
            device: torch's name of a device; by default the GPU where there is one.

        Raises:
            InvalidInput: ``max_side`` is below 1, the trunk's maps have no receptive field, or the codec is
                for descriptors of another length.
        """
        if codec is not None and codec.dim != net.local_dim:
            raise InvalidInput(
                f"the codec {codec.name} takes local descriptors of {codec.dim} numbers and the network "
                f"gives {net.local_dim}: fit one for it"
            )
        trunk = net.trunk
        self.preprocessing = Preprocessing(max_side, trunk.mean, trunk.std, trunk.channel_order)
        self.settings = settings if settings is not None else LocalSettings()
        self.local_codec = codec
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.net = net.eval().to(self._device)
        seen = receptive_field(trunk, 0)
        # A cell of a map of which every other row and column is left out sees what its own cell saw.
        self.local_field = replace(seen, stride=seen.stride * (net.local_stride // trunk.strides[0]))
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
    def scales(self) -> tuple[float, ...]:
        """At which scales the global descriptor describes a photo, as the other models call it."""
        return self.settings.global_scales

    @property
    def batch_size(self) -> int:
        """One: the sizes of one photo are work enough for a GPU, and memory enough for a CPU."""
        return 1

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns descriptor and keypoints of each photo, in pixels of the whole upright photo.

        A photo with less than 10 pixels on a side at every size has no keypoints.
        """
        return [self._features(photo) for photo in photos]

    def attention(self, photo: Photo) -> Float32[np.ndarray, "rows columns"]:
        """Returns the attention at scale 1; `local_field` says where its cells lie in the photo."""
        with torch.inference_mode(), exact_arithmetic(self._device, self._lock):
            return _values(self.net.maps_at(self._input(photo)).attention[0, 0])

    def to_bundle(self) -> Bundle:
        """Returns everything that decides this model's features and how they are stored, bit by bit.

        What serves training alone, the classifier, is left out.
        """
        settings: dict[str, JSON] = {**settings_of(self.net), "local": asdict(self.settings)}
        tensors = tensors_of(self.net)
        if self.local_codec is not None:
            settings["local_codec"] = codec_settings(self.local_codec)
            tensors |= codec_tensors(self.local_codec)
        return Bundle(
            architecture_of(self.net),
            settings,
            self.preprocessing,
            self._licence,
            self._provenance,
            tensors,
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle, *, name: str, device: str | None = None) -> LocalDescriber:
        """Returns the model that `to_bundle` wrote.

        A bundle that says nothing of keypoints, written for the global descriptor alone, gets the paper's
        settings for them.

        Raises:
            InvalidBundle: Its settings or tensors make no network.
        """
        with whole_bundle(name):
            net = read_net(bundle, apart=CODEC_TENSORS)
            if not isinstance(net, DELG):
                raise InvalidInput(f"it holds a network of kind {bundle.architecture}, not delg")
            return cls(
                net,
                name=name,
                max_side=bundle.preprocessing.max_side,
                settings=_local_settings(bundle.settings),
                codec=read_codec(bundle),
                licence=bundle.licence,
                provenance=bundle.provenance,
                device=device,
            )

    def _features(self, photo: Photo) -> ImageFeatures:
        maps: list[LocalMaps] = []
        total = np.zeros(self.dim, dtype=np.float32)
        with torch.inference_mode(), exact_arithmetic(self._device, self._lock):
            image = self._input(photo)
            # By size, not by scale: two scales that a bundle rounded differently are one pass.
            summed = Counter(_size(image, scale) for scale in self.settings.global_scales)
            wanted = {_size(image, scale) for scale in self.settings.scales}
            wanted = {size for size in wanted if min(size) >= LEAST_SIDE}
            for height, width in sorted({*summed, *wanted}):
                said = self.net.maps_at(_resized(image, height, width))
                if times := summed[height, width]:
                    total += times * _values(said.descriptor[0])
                if (height, width) in wanted:
                    maps.append(_local_maps(said, height, width))
        norm = float(np.linalg.norm(total))
        # A photo without any response has no direction: it gets the one without a preference.
        descriptor = total / norm if norm > 0 else np.full(self.dim, self.dim**-0.5)
        local = keypoints_of(maps, photo, self.local_field, self.settings, dim=self.net.local_dim)
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


def _local_maps(said: DELGOutput, height: int, width: int) -> LocalMaps:
    return LocalMaps(_values(said.attention[0, 0]), _values(said.local[0]), width, height)


def _values(tensor: Tensor) -> Float32[np.ndarray, "*shape"]:
    return tensor.float().cpu().numpy()


def _local_settings(bundled: Mapping[str, JSON]) -> LocalSettings:
    if "local" not in bundled:
        return LocalSettings(global_scales=tuple(numbers(bundled["scales"])))
    settings = bundled["local"]
    if not isinstance(settings, Mapping):
        raise TypeError(f"local must be an object, not {settings!r}")
    count = settings["max_features"]
    if not isinstance(count, int):
        raise TypeError(f"max_features must be a whole number, not {count!r}")
    return LocalSettings(
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
