"""Feature maps to one vector an image: SPoC, MAC, GeM and their kin, a function and a module each.

All compute in float32 at least, whatever autocast or the maps' type says: in half precision a third power
overflows from an activation of 40 on. None normalises its result.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.settings.bounds import Number, Positive, checked
from resight.settings.choice import Family

__all__ = [
    "EPSILON",
    "FIXED_GEM",
    "MAC",
    "POOLINGS",
    "RMAC",
    "AverageMax",
    "ClassToken",
    "GeM",
    "Pooling",
    "SPoC",
    "SignedGeM",
    "TrunkAndGeM",
    "TrunkPooling",
    "average_max",
    "gem",
    "mac",
    "rmac",
    "rmac_regions",
    "signed_gem",
    "spoc",
]

EPSILON = 1e-6
"""Smallest activation GeM sees, and what is added to the norms of R-MAC's regions."""

_OVERLAP = 0.4
_LONG_SIDE_STEPS = (2, 3, 4, 5, 6, 7)


def spoc(maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
    """Returns the mean of each channel.

    Babenko and Lempitsky 2015 (sum pooling of convolutional features), without their centre prior.
    """
    return _precise(maps).mean(dim=(-2, -1))


def mac(maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
    """Returns the maximum of each channel.

    Tolias, Sicre and Jégou 2016, section 3 (maximum activations of convolutions). Cells that share the
    maximum share its gradient evenly; the authors' ``max_pool2d`` gives all of it to one of them.
    """
    return _precise(maps).amax(dim=(-2, -1))


def gem(
    maps: Float[Tensor, "batch channels rows cols"], p: Float[Tensor, " exponents"]
) -> Float[Tensor, "batch channels"]:
    """Returns the generalised mean of each channel, ``(mean of max(x, 1e-6)^p)^(1/p)``.

    Radenović, Tolias and Chum 2018, equation 3: p = 1 is the average, p to infinity the maximum. The largest
    activation of a channel is taken out of the power and multiplied back, which changes nothing in exact
    arithmetic and keeps large p from overflowing and small activations from vanishing altogether.

    Args:
        maps: Feature maps.
        p: One exponent, or one a channel.

    Raises:
        InvalidInput: Another number of exponents.
    """
    if p.shape[0] not in (1, maps.shape[1]):
        raise InvalidInput(
            f"GeM of {maps.shape[1]} channels needs 1 or {maps.shape[1]} exponents, got {len(p)}"
        )
    x = _precise(maps).clamp(min=EPSILON)
    # Detached: the result does not depend on this scale, so its gradient through it is zero.
    largest = x.detach().amax(dim=(-2, -1), keepdim=True)
    p = p.to(x.dtype)
    means = (x / largest).pow(p[:, None, None]).mean(dim=(-2, -1))
    return largest[..., 0, 0] * means.pow(1 / p)


def signed_gem(
    maps: Float[Tensor, "batch channels rows cols"], p: Float[Tensor, " exponents"]
) -> Float[Tensor, "batch channels"]:
    """Returns GeM of the positive activations less GeM of the negative ones, `gem` (x) - `gem` (-x).

    For trunks whose maps are negative as often as positive, such as transformers: GeM itself takes
    everything below 1e-6 for 1e-6. Of maps without negative activations it is GeM less 1e-6; p = 1 is the
    average, p to infinity the maximum plus the minimum. Ours, of no paper.

    Args:
        maps: Feature maps.
        p: One exponent, or one a channel.

    Raises:
        InvalidInput: Another number of exponents.
    """
    return gem(maps, p) - gem(-maps, p)


def average_max(maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
    """Returns the mean plus the maximum of each channel.

    The authors' code of Proxy-Anchor: Kim, Kim, Cho and Kwak 2020 (ResNet-50).
    """
    return spoc(maps) + mac(maps)


def rmac(maps: Float[Tensor, "batch channels rows cols"], levels: int) -> Float[Tensor, "batch channels"]:
    """Returns the sum of the unit vectors of maxima over the whole map and over a grid of square regions.

    Tolias, Sicre and Jégou 2016, section 4, gradients at ties as in `mac`, with the whole map as one more
    region, as in the authors' later code. A vector is divided by its norm plus 1e-6.
    """
    x = _precise(maps)
    total = _unit(x.amax(dim=(-2, -1)))
    for row, column, side in rmac_regions(x.shape[-2], x.shape[-1], levels):
        region = x[..., row : row + side, column : column + side]
        total = total + _unit(region.amax(dim=(-2, -1)))
    return total


def rmac_regions(rows: int, cols: int, levels: int) -> list[tuple[int, int, int]]:
    """Returns R-MAC's square regions as (first row, first column, side), level by level.

    Tolias, Sicre and Jégou 2016, section 4: at level l regions of side 2·short/(l+1); along the short side l
    of them, along the long side as many more as bring the overlap of neighbours at level 1 nearest to 40 %,
    2 to 7 in all. Positions are rounded down, exactly: the authors' code rounds in single precision.
    Regions of side 0 on tiny maps are left out.
    """
    short, long = min(rows, cols), max(rows, cols)
    gaps = [(long - short) / (steps - 1) for steps in _LONG_SIDE_STEPS]
    misses = [abs((short * short - short * gap) / (short * short) - _OVERLAP) for gap in gaps]
    extra = misses.index(min(misses)) + 1
    more_rows, more_cols = (extra if rows > cols else 0), (extra if cols > rows else 0)
    regions = []
    for level in range(1, levels + 1):
        side = 2 * short // (level + 1)
        if side == 0:
            continue
        for row in _starts(rows - side, level + more_rows):
            for column in _starts(cols - side, level + more_cols):
                regions.append((row, column, side))
    return regions


@final
class SPoC(nn.Module):
    """Average pooling: `spoc`."""

    kind: ClassVar = "spoc"

    def forward(self, maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
        """Returns `spoc` of the maps."""
        return spoc(maps)


@final
class MAC(nn.Module):
    """Maximum pooling: `mac`."""

    kind: ClassVar = "mac"

    def forward(self, maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
        """Returns `mac` of the maps."""
        return mac(maps)


@final
class AverageMax(nn.Module):
    """Average plus maximum pooling: `average_max`."""

    kind: ClassVar = "average_max"

    def forward(self, maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
        """Returns `average_max` of the maps."""
        return average_max(maps)


@final
class GeM(nn.Module):
    """Generalised mean pooling with an exponent of its own: `gem`.

    The module bounds no exponent; training keeps those that are learned at .1 or more.

    Attributes:
        p: float32 ``(1,)`` or ``(channels,)``; a parameter where it is learned, else a buffer.
    """

    kind: ClassVar = "gem"
    p: Tensor

    @checked
    def __init__(
        self,
        p: Positive = 3.0,
        *,
        channels: int | None = None,
        learnable: bool = True,
        per_channel: bool = False,
    ) -> None:
        """Sets the exponent.

        Args:
            p: The exponent at the start.
            channels: Channels of the maps, needed where each has an exponent.
            learnable: Whether the exponent is learned.
            per_channel: Give each channel an exponent of its own.

        Raises:
            InvalidInput: ``p`` is not positive, or each channel is to have an exponent and there is none.
        """
        super().__init__()
        if per_channel and (channels is None or channels < 1):
            raise InvalidInput(f"GeM with an exponent for each needs at least one channel, not {channels}")
        start = torch.full((channels if channels and per_channel else 1,), float(p))
        if learnable:
            self.p = nn.Parameter(start)
        else:
            self.register_buffer("p", start)

    def forward(self, maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
        """Returns `gem` of the maps."""
        return gem(maps, self.p)


@final
class SignedGeM(nn.Module):
    """Generalised mean pooling of activations of both signs: `signed_gem`.

    Attributes:
        gem: Holds the exponent.
    """

    kind: ClassVar = "signed_gem"

    @checked
    def __init__(
        self,
        p: Positive = 3.0,
        *,
        channels: int | None = None,
        learnable: bool = True,
        per_channel: bool = False,
    ) -> None:
        """Sets the exponent.

        Args:
            p: The exponent at the start.
            channels: Channels of the maps, needed where each has an exponent.
            learnable: Whether the exponent is learned.
            per_channel: Give each channel an exponent of its own.

        Raises:
            InvalidInput: ``p`` is not positive, or each channel is to have an exponent and there is none.
        """
        super().__init__()
        self.gem = GeM(p, channels=channels, learnable=learnable, per_channel=per_channel)

    def forward(self, maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
        """Returns `signed_gem` of the maps."""
        return signed_gem(maps, self.gem.p)


@final
class ClassToken(nn.Module):
    """A transformer's class token in place of a pooled map; of `GeMNet` and `Embedding`.

    The token of the last block, of zero mean and unit variance over its channels: the trunk's own last
    normalisation, whose scale and shift are left out, is no part of its maps.
    """

    kind: ClassVar = "class_token"

    def forward(self, maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
        """Refuses: the token is the trunk's to give, see `resight.networks.global_net.pool`.

        Raises:
            InvalidInput: Always.
        """
        raise InvalidInput(
            f"a class token is no pooling of a map, of {tuple(maps.shape[2:])} cells here: it belongs to no "
            "place, and networks of the kinds gem and embedding alone take it; take signed_gem or spoc"
        )


@final
class TrunkPooling(nn.Module):
    """A whole trunk's own pooling: class token, attention or average; of `GeMNet` and `Embedding`."""

    kind: ClassVar = "trunk"

    def forward(
        self, pooled: Float[Tensor, "batch channels"], maps: Float[Tensor, "batch channels rows cols"]
    ) -> Float[Tensor, "batch channels"]:
        """Returns what the trunk pooled."""
        del maps
        return pooled


@final
class TrunkAndGeM(nn.Module):
    """`TrunkPooling` beside signed GeM of the map, both of unit norm: twice the channels.

    Attributes:
        gem: Holds the exponent.
    """

    kind: ClassVar = "trunk_and_gem"

    @checked
    def __init__(self, p: Positive = 3.0, *, learnable: bool = True) -> None:
        """Sets the exponent.

        Args:
            p: The exponent at the start.
            learnable: Whether the exponent is learned.

        Raises:
            InvalidInput: ``p`` is not positive.
        """
        super().__init__()
        self.gem = GeM(p, learnable=learnable)

    def forward(
        self, pooled: Float[Tensor, "batch channels"], maps: Float[Tensor, "batch channels rows cols"]
    ) -> Float[Tensor, "batch both"]:
        """Returns both, joined."""
        return torch.cat([_unit(_precise(pooled)), _unit(signed_gem(maps, self.gem.p))], dim=1)


@final
class RMAC(nn.Module):
    """Regional maximum pooling: `rmac`.

    Attributes:
        levels: Number of scales of the grid.
    """

    kind: ClassVar = "rmac"

    @checked
    def __init__(self, levels: Number = 3) -> None:
        """Takes the settings.

        Args:
            levels: Number of scales of the grid of regions; 0 for the whole map alone.

        Raises:
            InvalidInput: The number is negative.
        """
        super().__init__()
        self.levels = levels

    def forward(self, maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels"]:
        """Returns `rmac` of the maps."""
        return rmac(maps, self.levels)


Pooling: TypeAlias = (
    SPoC | MAC | AverageMax | GeM | SignedGeM | RMAC | ClassToken | TrunkPooling | TrunkAndGeM
)
"""A pooling of this package."""

POOLINGS = Family(
    "pooling",
    lambda: {each.kind: each for each in get_args(Pooling)},
    frozenset({"channels"}),
)
"""The poolings a network's ``Config`` can name."""

FIXED_GEM = POOLINGS.choose(GeM, learnable=False)
"""GeM whose exponent stays 3."""


def _precise(maps: Tensor) -> Tensor:
    return maps if maps.dtype == torch.float64 else maps.float()


def _unit(vectors: Tensor) -> Tensor:
    return vectors / (torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) + EPSILON)


def _starts(room: int, count: int) -> list[int]:
    """Returns ``count`` positions from 0 to ``room``, evenly spread and rounded down."""
    return [number * room // (count - 1) for number in range(count)] if count > 1 else [0]
