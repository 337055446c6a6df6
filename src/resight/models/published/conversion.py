"""What a conversion takes, the model it makes of a filled network, and what it says of every tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from resight.models.architectures import GlobalNet
from resight.models.bundle import Bundle
from resight.models.describer import Describer
from resight.models.model import Model
from resight.models.network_describer import NetworkDescriber
from resight.models.published.checkpoint import Checkpoint
from resight.networks.super_global import SuperGlobalConfig

__all__ = ["LONG_SIDE", "Conversion", "ConversionConfig", "LeftOut", "Match", "describer_of", "model_of_file"]

LONG_SIDE = 1024
"""Long side of photos in pixels, the size of the revisited benchmarks' photos and of the authors' tests."""


@dataclass(frozen=True, slots=True)
class ConversionConfig:
    """Settings of a bundle that the authors' file does not hold.

    Attributes:
        scales: Scales at which a photo is described; the authors' own for ``None``.
        max_side: Long side in pixels to which photos are reduced.
        whitening: Name of a whitening that comes with the file; ``None`` for none.
        licence: Licence of the weights.
        super_global: Describe as SuperGlobal does; ``None`` for the authors' own way.
    """

    scales: tuple[float, ...] | None = None
    max_side: int = LONG_SIDE
    whitening: str | None = None
    licence: str = "unknown"
    super_global: SuperGlobalConfig | None = None


def describer_of(net: GlobalNet, config: ConversionConfig, *, scales: Sequence[float]) -> NetworkDescriber:
    """Returns the network with its preprocessing; mean and std are those its trunk holds.

    Args:
        net: The filled network.
        config: Scales and size.
        scales: The authors' own, for a configuration without scales.

    Raises:
        InvalidInput: A scale or the long side is not positive.
    """
    own = scales if config.scales is None else config.scales
    return NetworkDescriber(
        net, max_side=config.max_side, scales=own, device="cpu", super_global=config.super_global
    )


def model_of_file(
    describer: Describer, checkpoint: Checkpoint, config: ConversionConfig, *, family: str
) -> Model:
    """Returns the model of an authors' file; its provenance is one line that names the file."""
    name = PurePath(checkpoint.path).name
    return Model(
        describer,
        name=checkpoint.path,
        licence=config.licence,
        provenance=f"weights of {name} ({family}; SHA-256 {checkpoint.digest}), converted",
    )


@dataclass(frozen=True, slots=True)
class Match:
    """A tensor of the authors' file and what it became.

    Attributes:
        source: Its name in the authors' file.
        target: Its name in our network.
        shape: Its shape, the same in both.
    """

    source: str
    target: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A tensor of the authors' file that our network has no place for.

    Attributes:
        source: Its name in the authors' file.
        shape: Its shape.
        reason: Why it is not needed for descriptors, or cannot be expressed.
    """

    source: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """The authors' file as a bundle, and how it came about.

    Attributes:
        family: Whose files these are, one of `resight.models.published.FAMILIES`.
        bundle: The model.
        matches: Every tensor that was taken over, in the order of the authors' file.
        left_out: Every tensor that was not.
        remarks: What else one must know, sentences.
    """

    family: str
    bundle: Bundle
    matches: tuple[Match, ...]
    left_out: tuple[LeftOut, ...]
    remarks: tuple[str, ...]
