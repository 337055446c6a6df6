"""A filled network as a bundle, and what may be asked of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from resight.models.architectures import GlobalNet
from resight.models.bundle import Bundle
from resight.models.describer import GlobalDescriber
from resight.models.published.checkpoint import Checkpoint

__all__ = ["LONG_SIDE", "Wanted", "make_bundle", "provenance_of"]

LONG_SIDE = 1024
"""Long side of photos in pixels, the size of the revisited benchmarks' photos and of the authors' tests."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a bundle beyond the file.

    Attributes:
        scales: At which a photo is described; the authors' own for ``None``.
        max_side: Long side in pixels to which photos are reduced.
        whitening: Name of a whitening that comes with the file; ``None`` for none.
        licence: Licence of the weights.
    """

    scales: tuple[float, ...] | None = None
    max_side: int = LONG_SIDE
    whitening: str | None = None
    licence: str = "unknown"


def make_bundle(
    net: GlobalNet, checkpoint: Checkpoint, wanted: Wanted, *, family: str, scales: Sequence[float]
) -> Bundle:
    """Returns the network with its preprocessing; mean and std are those its trunk holds.

    Raises:
        InvalidInput: A scale or the long side is not positive, or a weight is no finite number.
    """
    described = GlobalDescriber(
        net,
        name=checkpoint.path,
        max_side=wanted.max_side,
        scales=scales if wanted.scales is None else wanted.scales,
        licence=wanted.licence,
        provenance=provenance_of(checkpoint, family),
        device="cpu",
    )
    return described.to_bundle()


def provenance_of(checkpoint: Checkpoint, family: str) -> str:
    """Returns one line that says which file the weights come from."""
    name = PurePath(checkpoint.path).name
    return f"weights of {name} ({family}; SHA-256 {checkpoint.digest}), converted"
