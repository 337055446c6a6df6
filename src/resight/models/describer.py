"""What turns photos into descriptors: the part of a model that an implementation brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float32

from resight.features import ImageFeatures, LocalFeatures, ReceptiveField
from resight.images import Photo
from resight.models.bundle import Bundle

__all__ = ["Attention", "Describer", "LocalSource", "Traits"]


@dataclass(frozen=True, slots=True)
class Attention:
    """The map of how much each place of a photo matters to a model; its keypoints lie where that is high.

    Attributes:
        field: What a cell of the map sees of the photo as it is shown to the model.
        map_of: Returns the map of a photo, float32 ``(rows, columns)``, at the size at which the photo is
            shown; not negative.
    """

    field: ReceptiveField
    map_of: Callable[[Photo], Float32[np.ndarray, "rows columns"]]


@dataclass(frozen=True, slots=True)
class LocalSource:
    """Where local features come from, and what they are before a codec stores them.

    Attributes:
        kind: ``sift``, ``delg`` or another word.
        dim: Numbers of a local descriptor.
        dtype: Their type. A codec of the bundle takes float16; uint8 values are codes already.
        attention: The map that keypoints are taken from, or ``None`` where there is none.
        mirrored: Returns the features of a photo with left and right exchanged, from its features as they
            are compared and its width in pixels; ``None`` where only the photo itself can tell.
    """

    kind: str
    dim: int
    dtype: Literal["uint8", "float16"]
    attention: Attention | None = None
    mirrored: Callable[[LocalFeatures, float], LocalFeatures] | None = None


@dataclass(frozen=True, slots=True)
class Traits:
    """What a describer is, before it has seen a photo.

    Attributes:
        kind: Its architecture in a bundle: ``sift``, ``gem``, ``delg`` or another word.
        dim: Length of a descriptor.
        max_side: Long side in pixels at which whole photos are shown to it; smaller ones are not enlarged.
        batch_size: Photos it describes together; 1 where it gains nothing by that.
        scales: Multiples of that size at which the global descriptor looks at each photo.
        pooling: How features become one descriptor, ``gem`` for example; empty where there is no word for it.
        local: Its local features, or ``None`` where it has none.
        fingerprint: Hexadecimal digits that differ whenever its features could, for a describer that cannot
            be written to a bundle; ``None`` for one that can.
        turned: Returns vectors ``(4, dim)`` by which a photo turned by no, one, two and three quarters is
            searched for, from its features as they are compared and the long side in pixels of the whole
            photo; ``None`` where only the photo itself can tell.
        memory: Returns the bytes that describing a photo of these rows and columns, as it is shown, takes in
            main memory beside the model, by estimate; ``None`` where that is little.
        from_keypoints: Whether keypoints alone make the descriptor: then ``turned`` returns descriptors, and
            that of a part of a photo follows from the keypoints in it.
    """

    kind: str
    dim: int
    max_side: int
    batch_size: int = 1
    scales: tuple[float, ...] = (1.0,)
    pooling: str = ""
    local: LocalSource | None = None
    fingerprint: str | None = None
    turned: Callable[[LocalFeatures, float], Float32[np.ndarray, "4 dim"] | None] | None = None
    from_keypoints: bool = False
    memory: Callable[[int, int], float] | None = None


class Describer(Protocol):
    """Photos to global descriptors of unit L2 norm, and to local features where it has them.

    `resight.models.Model` adds everything else: name, whitening, codec, fingerprint.
    """

    @property
    def traits(self) -> Traits:
        """What it is."""

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns the features of each photo, keypoints in pixels of the whole upright photo.

        Safe to call from several threads at once. A photo's features do not depend on the others.
        """

    def to_bundle(self) -> Bundle | None:
        """Returns all that decides its features, without licence and provenance.

        ``None`` for a describer that cannot be written to a file.
        """
