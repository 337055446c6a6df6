"""The network's descriptors of photos, between two steps of training; and the negatives found by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
import torch.distributed as distributed
from jaxtyping import Float, Int64
from torch import Tensor

from resight.files import in_threads
from resight.images.augment import Transform
from resight.training.loading import Photos, in_order
from resight.training.network import Network
from resight.training.tuple_sampler import TupleSampler

__all__ = ["Describing", "Mining"]

_BATCH = 128


@final
class Describing:
    """Describes photos as they are shown in a test, on all processes, each its share."""

    def __init__(
        self,
        photos: Photos,
        transform: Transform,
        *,
        scales: Sequence[float] = (1.0,),
        rank: int,
        world: int,
        device: torch.device,
        keep_bytes: int = 0,
    ) -> None:
        """Takes the photos and how they are shown.

        Args:
            photos: Where pixels come from.
            transform: Of the test, without chance.
            scales: Scales whose descriptors are joined into the one of a photo.
            rank: Of this process.
            world: Number of processes.
            device: Of this process.
            keep_bytes: Pixels held for the next call, where the same photos are described again and again.
        """
        self._photos, self._transform, self._scales = photos, transform, tuple(scales)
        self._rank, self._world, self._device = rank, world, device
        self._kept: dict[bytes, list[Tensor]] = {}
        self._room = keep_bytes

    def describe(self, network: Network, rows: Int64[np.ndarray, " photos"]) -> Float[Tensor, "photos dim"]:
        """Returns the descriptors of photos, in their order, the same on every process.

        The network is left in eval mode.

        Raises:
            UnreadableImage: A file is missing or broken.
        """
        network.eval()
        share = -(-len(rows) // self._world)
        mine = rows[self._rank * share : (self._rank + 1) * share]
        described = [
            network.describe(*in_order(self._shown(batch), self._device), scales=self._scales)
            for batch in (mine[start : start + _BATCH] for start in range(0, len(mine), _BATCH))
        ]
        own = torch.cat(described) if described else torch.empty(0, network.model.dim, device=self._device)
        return self._gathered(own, share)[: len(rows)]

    def _shown(self, rows: Int64[np.ndarray, " photos"]) -> list[Tensor]:
        key = rows.tobytes()
        if key in self._kept:
            return self._kept[key]
        nothing = np.zeros((1, self._transform.draws))

        def transformed(row: int) -> Tensor:
            (pixels,) = self._photos.transformed(np.array([row]), self._transform, nothing)
            return pixels

        numbers = rows.tolist()
        pixels = list(
            in_threads(transformed, numbers) if self._photos.parallel else map(transformed, numbers)
        )
        self._room -= sum(each.numel() for each in pixels)
        if self._room > 0:
            self._kept[key] = pixels
        return pixels

    def _gathered(self, own: Tensor, share: int) -> Tensor:
        if self._world == 1:
            return own
        padded = torch.zeros(share, own.shape[1], device=own.device)
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in range(self._world)]
        distributed.all_gather(parts, padded)
        return torch.cat(parts)


@final
class Mining:
    """Finds the negatives of a tuple sampler by the network as it is."""

    def __init__(self, sampler: TupleSampler, describing: Describing) -> None:
        """Takes the sampler, and what describes its photos."""
        self.sampler = sampler
        self._describing = describing

    def mine(self, epoch: int, network: Network) -> None:
        """Lays out the tuples of an epoch, unless they are laid out; the network is left in eval mode.

        Raises:
            InvalidInput: The pool shows too few clusters.
            UnreadableImage: A file is missing or broken.
        """
        mined = self.sampler.state()
        if mined is None or mined[0] != epoch:
            self.sampler.mine(epoch, lambda rows: self._describing.describe(network, rows).cpu().numpy())
