"""A filled network as a bundle, and what may be asked of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from resight.models.architectures import GlobalNet
from resight.models.describer import Describer
from resight.models.model import Model
from resight.models.network_describer import NetworkDescriber
from resight.models.published.checkpoint import Checkpoint

__all__ = ["LONG_SIDE", "Wanted", "described", "model_of_file"]

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


def described(net: GlobalNet, wanted: Wanted, *, scales: Sequence[float]) -> NetworkDescriber:
    """Returns the network with its preprocessing; mean and std are those its trunk holds.

    Args:
        net: The filled network.
        wanted: What is asked of the bundle.
        scales: The authors' own.

    Raises:
        InvalidInput: A scale or the long side is not positive.
    """
    own = scales if wanted.scales is None else wanted.scales
    return NetworkDescriber(net, max_side=wanted.max_side, scales=own, device="cpu")


def model_of_file(describer: Describer, checkpoint: Checkpoint, wanted: Wanted, *, family: str) -> Model:
    """Returns the model of an authors' file; its provenance is one line that names the file."""
    name = PurePath(checkpoint.path).name
    return Model(
        describer,
        name=checkpoint.path,
        licence=wanted.licence,
        provenance=f"weights of {name} ({family}; SHA-256 {checkpoint.digest}), converted",
    )
