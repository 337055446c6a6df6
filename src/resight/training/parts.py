"""What a part of your own must keep to stand in a recipe.

``kind: package.module:Name`` names a class that can be imported. Its settings are the keyword arguments of
its constructor, each with a type, and stand beside ``kind``; a range is part of the type. What the run knows
is handed in to a constructor that has a parameter of that name: see each protocol. A loss, for example::

    >>> from torch import nn
    >>> from resight.settings.bounds import Positive, checked
    >>> class Closeness(nn.Module):
    ...     @checked
    ...     def __init__(self, *, power: Positive = 2.0) -> None:
    ...         super().__init__()
    ...         self.power = power
    ...     def forward(self, descriptors, labels):
    ...         same = labels[:, None] == labels
    ...         return ((descriptors @ descriptors.T - same.float()).abs() ** self.power).mean()
    >>> isinstance(Closeness(), Loss)
    True

A recipe imports the module it names. A bundle holds the names of the network, the pooling and the trunk,
never their code, and reading one imports nothing: ``import package.module`` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, Int64
from torch import Tensor

from resight.datasets.dataset import LabelledImages
from resight.images.augment import (
    CentreCrop,
    LongSide,
    RandomResizedCrop,
    ResizeRandomCrop,
    Stretch,
    Transform,
)
from resight.networks.global_net import GlobalOutput
from resight.settings.choice import Family

__all__ = ["TRANSFORMS", "Dataset", "Loss", "Network", "Pooling", "Sampler", "Transform", "Trunk"]

TRANSFORMS = Family(
    "transform",
    lambda: {
        each.kind: each for each in (ResizeRandomCrop, RandomResizedCrop, Stretch, CentreCrop, LongSide)
    },
)
"""The transforms of `resight.images.augment`; one's own is a `Transform` with the size of its result."""


@runtime_checkable
class Loss(Protocol):
    """A ``torch.nn.Module`` for ``objective.loss``.

    Its parameters and buffers are part of checkpoints, resume bit for bit, and are optimised in a group of
    their own, ``objective.losses.NAME.*``. Handed in: ``classes``, ``dim``, ``seed``, ``generator``. It takes
    a descriptor; a class attribute ``takes = ("logits",)`` names another output of the network.
    """

    def forward(self, descriptors: Float[Tensor, "batch dim"], labels: Int[Tensor, " batch"]) -> Tensor:
        """Returns a scalar: differentiable without valid pairs, the same in any order of the batch."""
        ...


@runtime_checkable
class Pooling(Protocol):
    """A ``torch.nn.Module`` for ``model.pooling``. Handed in: ``channels``."""

    def forward(self, maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
        """Returns a vector an image, finite for all-zero maps, in float32 under autocast."""
        ...


@runtime_checkable
class Trunk(Protocol):
    """A ``torch.nn.Module`` for ``model.trunk.name``; its keyword arguments are ``model.trunk.options``.

    Attributes:
        channels: Channels of each map, shallow to deep.
        strides: Pixels of the image per cell of each map.

    One that takes images of one size declares ``image_size`` too, its rows and columns.
    """

    channels: Sequence[int]
    strides: Sequence[int]

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> tuple[Tensor, ...]:
        """Returns all maps, shallow to deep. ``mean`` and ``std`` are ImageNet's if it has none."""
        ...


@runtime_checkable
class Network(Protocol):
    """A ``torch.nn.Module`` for ``model``, made as ``Name(trunk, config)``.

    ``Name.Config`` is a frozen dataclass of its settings, ``Name.maps`` the number of maps it takes of its
    trunk. Handed in: ``classes``, where a part of the objective takes logits.

    Attributes:
        trunk: The trunk.
        config: The settings, for the bundle.
        dim: Length of a descriptor.
    """

    Config: ClassVar[type]
    maps: ClassVar[int]
    trunk: object
    config: object
    dim: int

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> object:
        """Returns an object with a unit ``descriptor``, and with the outputs that ``Name.outputs`` names."""
        ...

    def describe_at(
        self, images: Float[Tensor, "batch 3 height width"], scales: Sequence[float]
    ) -> GlobalOutput:
        """Returns one unit descriptor an image, joined over several scales of the input."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """What makes up each batch. Handed in: ``labels``, ``photos`` (their number), ``seed``."""

    @property
    def batch(self) -> int:
        """Photos a global batch."""
        ...

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches, in every epoch the same."""
        ...

    def batches(self, epoch: int) -> Int64[np.ndarray, "batches batch"]:
        """Returns the indices of the photos in each batch of an epoch: a function of seed and epoch."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Photos for ``data.benchmark``, made as ``Name(root=...)``.

    It may also have ``validation``, photos that choose the weights, and ``ks``, the K of Recall@K.

    Attributes:
        name: What results call it.
        train: Photos to train on, with labels.
        test: Photos of other classes.
    """

    name: str
    train: LabelledImages
    test: LabelledImages
