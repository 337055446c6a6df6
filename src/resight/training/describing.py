"""The network's descriptors of photos, between two steps of training; and the negatives found by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
import torch
import torch.distributed as distributed
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from resight.files import in_threads
from resight.images.augment import Transform
from resight.training.loading import Photos, in_order
from resight.training.network import Network
from resight.training.tuple_sampler import TupleSampler

__all__ = ["Describing", "Mining"]

_BATCH = 128
_CHUNK = 16


@final
class Describing:
    """Describes photos on all processes, each its share, photos of one size together."""

    def __init__(self, *, rank: int, world: int, device: torch.device, workers: int) -> None:
        """Takes the place of this process among all, its device, and its threads for reading."""
        self._rank, self._world, self._device, self._workers = rank, world, device, workers

    def describe(
        self, network: Network, count: int, transformed: Callable[[range], list[Tensor]], *, threads: bool
    ) -> Float[Tensor, "photos dim"]:
        """Returns the descriptors of so many photos, in order, the same on every process.

        The network is left in eval mode.

        Args:
            network: Describes.
            count: Photos.
            transformed: Returns the pixels of a run of them, uint8, each alone or all in one tensor.
            threads: Whether ``transformed`` may be called from several threads and gains by it.

        Raises:
            UnreadableImage: A file is missing or broken.
        """
        network.eval()
        share = -(-count // self._world)
        mine = range(self._rank * share, min((self._rank + 1) * share, count))
        chunks = [mine[start : start + _CHUNK] for start in range(0, len(mine), _CHUNK)]
        read = in_threads(transformed, chunks, workers=self._workers) if threads else map(transformed, chunks)
        described, waiting = [], list[Tensor]()
        for pixels in read:
            waiting += [row[None] for each in pixels for row in each]
            if len(waiting) >= _BATCH:
                described.append(network.describe(*in_order(waiting, self._device)))
                waiting = []
        if waiting:
            described.append(network.describe(*in_order(waiting, self._device)))
        rows = torch.cat(described) if described else torch.empty(0, network.model.dim, device=self._device)
        return self._gathered(rows, share)[:count]

    def _gathered(self, rows: Tensor, share: int) -> Tensor:
        if self._world == 1:
            return rows
        padded = torch.zeros(share, rows.shape[1], device=rows.device)
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(self._world)]
        distributed.all_gather(parts, padded)
        return torch.cat(parts)


@final
class Mining:
    """Finds the negatives of a tuple sampler by the network as it is."""

    def __init__(
        self, sampler: TupleSampler, photos: Photos, transform: Transform, describing: Describing
    ) -> None:
        """Takes the sampler, the training photos, and how they are shown: as test photos are."""
        self.sampler = sampler
        self._photos, self._transform, self._describing = photos, transform, describing

    def mine(self, epoch: int, network: Network) -> None:
        """Lays out the tuples of an epoch, unless they are laid out; the network is left in eval mode.

        Raises:
            InvalidInput: The pool shows too few clusters.
            UnreadableImage: A file is missing or broken.
        """
        mined = self.sampler.state()
        if mined is None or mined[0] != epoch:
            self.sampler.mine(epoch, lambda rows: self._describe(network, rows))

    def _describe(self, network: Network, rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        def transformed(part: range) -> list[Tensor]:
            numbers = np.zeros((len(part), self._transform.draws))
            return self._photos.transformed(rows[part.start : part.stop], self._transform, numbers)

        described = self._describing.describe(network, len(rows), transformed, threads=self._photos.parallel)
        return described.cpu().numpy()
