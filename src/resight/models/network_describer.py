"""A network with one descriptor an image as a describer, to and from a bundle."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from resight import images
from resight.errors import InvalidInput
from resight.features import ImageFeatures
from resight.files.json import JSON
from resight.images.resize import reduce
from resight.models.architectures import (
    GlobalNet,
    architecture_of,
    build,
    numbers,
    settings_of,
    tensors_of,
)
from resight.models.bundle import Bundle, Preprocessing
from resight.models.describer import Traits
from resight.models.foreign_bundle import bounded_network, check_settings
from resight.models.parts import whole_network
from resight.models.preprocess import to_input
from resight.models.runtimes import Run
from resight.models.working_memory import WorkingMemory
from resight.networks.gem import GeMNet
from resight.networks.super_global import (
    SuperGlobalConfig,
    check_super_global,
    describe_super_global,
    raise_activations_,
)
from resight.networks.trunks.backbone import Backbone
from resight.settings.stored import read_config, stored_settings

__all__ = ["SCALES", "NetworkDescriber", "check_scales", "exact_arithmetic", "pooling_in", "read_net"]

SCALES = (1.0, 2**-0.5, 0.5)
"""The scales of the GeM paper's multi-scale descriptors; the other networks are described at one."""

_GPU_BATCH = 8


@final
class NetworkDescriber:
    """A `GeMNet`, `CGD`, `Embedding` or `DOLG` in eval mode with its preprocessing and scales: a `Describer`.

    Uses a GPU where there is one. A photo's descriptor does not depend on what else is in its batch. For a
    trunk that takes one size, photos are stretched to it.

    Attributes:
        net: The network; changing it afterwards makes a model's fingerprint wrong.
        preprocessing: How photos become its input.
        super_global: How SuperGlobal describes with it; ``None`` for the network's own way.
    """

    def __init__(
        self,
        net: GlobalNet,
        *,
        max_side: int = 1024,
        scales: Sequence[float] | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        super_global: SuperGlobalConfig | None = None,
    ) -> None:
        """Takes a network; mean, standard deviation and order of channels are its trunk's.

        Args:
            net: The network; it is set to eval mode and moved to the device.
            max_side: Long side in pixels to which photos are reduced.
            scales: Scales of multi-scale description; by default `SCALES` for GeM, and the photo alone for
                the others and for trunks that take one size.
            device: torch's name of a device; the GPU where there is one by default.
            batch_size: Photos described together; by default eight on a GPU and one on a CPU, where a batch
                gains nothing and takes memory.
            super_global: Describe as SuperGlobal does, for convolutional networks; its ReLUP changes the
                network. By default the network's own way.

        Raises:
            InvalidInput: No scale, one that is not positive, several for a trunk that takes one size, or
                ``max_side`` below 1, or the network cannot be described so.
        """
        trunk = net.trunk
        if super_global is not None:
            check_super_global(net, super_global)
            if super_global.relup:
                raise_activations_(trunk, super_global.relup)
        self.super_global = super_global
        if scales is None:
            scales = SCALES if isinstance(net, GeMNet) and trunk.image_size is None else (1.0,)
        if not scales or min(scales) <= 0:
            raise InvalidInput(f"scales must be positive numbers, at least one, not {tuple(scales)}")
        check_scales(trunk, scales)
        self.preprocessing = Preprocessing(max_side, trunk.mean, trunk.std, trunk.channel_order)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.net = net.eval().to(self._device)
        usual_batch = _GPU_BATCH if self._device.type == "cuda" else 1
        self._traits = Traits(
            architecture_of(net),
            dim=net.dim,
            max_side=max_side,
            batch_size=usual_batch if batch_size is None else batch_size,
            scales=tuple(float(scale) for scale in scales),
            pooling=pooling_in(settings_of(net)),
            memory=WorkingMemory(
                net,
                lambda image: net.describe_at(image, (1.0,)),
                device=self._device,
                size=trunk.image_size,
                largest_scale=max(scales),
            ),
        )
        self._lock = threading.Lock()
        self._run: Run | None = None

    @property
    def traits(self) -> Traits:
        """What it is."""
        return self._traits

    def extract(self, photos: Sequence[images.Photo]) -> list[ImageFeatures]:
        """Returns the descriptor of each photo; photos of equal size go through the network together."""
        shown = [self._shown(photo.pixels) for photo in photos]
        by_size: dict[tuple[int, ...], list[int]] = {}
        for number, pixels in enumerate(shown):
            by_size.setdefault(pixels.shape, []).append(number)
        descriptors = np.zeros((len(photos), self._traits.dim), dtype=np.float32)
        batch_size = self._traits.batch_size
        for members in by_size.values():
            for start in range(0, len(members), batch_size):
                batch = members[start : start + batch_size]
                together = np.stack([shown[number] for number in batch])
                descriptors[batch] = self._describe_pixels(torch.from_numpy(together))
        return [ImageFeatures(descriptor) for descriptor in descriptors]

    def through(self, run: Run) -> NetworkDescriber:
        """Returns the same describer whose descriptors come from another runtime.

        Args:
            run: RGB bytes ``(1, rows, columns, 3)`` to the descriptor, before any whitening.
        """
        other = copy.copy(self)
        other._run = run
        return other

    def to_bundle(self) -> Bundle:
        """Returns everything that decides the descriptors, bit by bit.

        What serves training alone, as the classifier of `CGD`, is left out.

        Raises:
            InvalidInput: The trunk was built with options that no bundle may hold, see `check_settings`.
        """
        settings = {**settings_of(self.net), "scales": self._traits.scales}
        if self.super_global is not None:
            settings["super_global"] = stored_settings(self.super_global)
        check_settings(self._traits.kind, settings)
        return Bundle(self._traits.kind, settings, self.preprocessing, "", "", tensors_of(self.net))

    @classmethod
    def from_bundle(cls, bundle: Bundle, *, name: str, device: str | None = None) -> NetworkDescriber:
        """Returns the describer that `to_bundle` wrote.

        Raises:
            InvalidBundle: Its settings or tensors make no network.
        """
        with whole_network(name):
            net = read_net(bundle)
            scales = numbers(bundle.settings["scales"])
            if not scales or min(scales) <= 0:
                raise InvalidInput(f"its scales are {scales}")
            stored = bundle.settings.get("super_global")
            super_global = None if stored is None else read_config(SuperGlobalConfig, stored)
            max_side = bundle.preprocessing.max_side
            return cls(net, max_side=max_side, scales=scales, device=device, super_global=super_global)

    def _shown(self, pixels: UInt8[np.ndarray, "rows columns 3"]) -> UInt8[np.ndarray, "rows_ columns_ 3"]:
        size = self.net.trunk.image_size
        if size is None or pixels.shape[:2] == size:
            return pixels
        height, width = pixels.shape[:2]
        image = reduce(Image.fromarray(pixels), (size[1], size[0]), (0, 0, width, height))
        return np.asarray(image)

    def _describe_pixels(self, pixels: Tensor) -> Float32[np.ndarray, "batch dim"]:
        if self._run is not None:
            return np.concatenate([self._run(one[None].numpy())[0] for one in pixels])
        with torch.inference_mode(), exact_arithmetic(self._device, self._lock):
            values = to_input(pixels.to(self._device), self.preprocessing)
            descriptors = _describe_at(self.net, values, self._traits.scales, self.super_global).cpu().numpy()
        # A photo without any response (all-zero maps under MAC) has no direction: give it the one without a
        # preference, so that every descriptor is of unit length.
        descriptors[~descriptors.any(axis=1)] = self._traits.dim**-0.5
        return descriptors


def _describe_at(
    net: GlobalNet, values: Tensor, scales: Sequence[float], super_global: SuperGlobalConfig | None
) -> Tensor:
    if super_global is None:
        return net.describe_at(values, scales).descriptor
    return describe_super_global(net, values, scales, super_global).descriptor


def check_scales(trunk: Backbone, scales: Sequence[float]) -> None:
    """Returns if a trunk can be shown photos at these scales.

    Raises:
        InvalidInput: It takes one size only, and there is another scale than 1.
    """
    if trunk.image_size is not None and tuple(scales) != (1.0,):
        rows, columns = trunk.image_size
        raise InvalidInput(
            f"the trunk {trunk.trunk} takes photos of {rows} x {columns} pixels only, and so no scales but "
            f"(1.0,), not {tuple(scales)}"
        )


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


def read_net(bundle: Bundle) -> GlobalNet:
    """Returns the network of a bundle with its weights, mean and standard deviation.

    Raises:
        KeyError: A setting is missing.
        TypeError: A setting is of another type.
        InvalidInput: A setting cannot be right.
        RuntimeError: A tensor is missing or does not fit.
        UnknownModel: The trunk is unknown.
    """
    check_settings(bundle.architecture, bundle.settings)
    sizes = [tensor.size for tensor in bundle.tensors.values()]
    with bounded_network(sum(sizes), len(sizes)):
        net = build(bundle.architecture, bundle.settings)
    order = bundle.preprocessing.channel_order
    if order != net.trunk.channel_order:
        raise InvalidInput(
            f"its architecture is {bundle.architecture} in {order}; its trunk {net.trunk.trunk} "
            f"takes {net.trunk.channel_order}"
        )
    weights = {key: torch.tensor(tensor) for key, tensor in bundle.tensors.items()}
    net.load_state_dict(weights, strict=True)
    net.trunk.mean, net.trunk.std = bundle.preprocessing.mean, bundle.preprocessing.std
    return net


def pooling_in(settings: Mapping[str, JSON]) -> str:
    """Returns the word for a network's pooling: its kind, or the letters of CGD's branches."""
    pooling = settings.get("pooling")
    return str(pooling["kind"] if isinstance(pooling, Mapping) else settings.get("configuration", ""))
