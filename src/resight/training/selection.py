"""Measuring a network while it trains, to keep the best of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
import torch.distributed as distributed
from torch import Tensor

from resight.datasets.dataset import LabelledImages
from resight.evaluation.measures.labels import evaluate_labels
from resight.files import in_threads
from resight.images.augment import Transform
from resight.training.images import SelectionSettings
from resight.training.loading import Photos, in_order
from resight.training.network import Network

__all__ = ["Selector"]

_BATCH = 128
_KEPT_BYTES = 1 << 29
_KS = (1, 2, 4, 8)


@final
class Selector:
    """Measures a network on the images that choose its weights.

    Attributes:
        on: ``validation`` or ``test``; ``last`` where nothing is measured.
        metric: Name of the value that is compared.
    """

    def __init__(
        self,
        settings: SelectionSettings,
        images: LabelledImages | None,
        photos: Photos | None,
        transform: Transform,
        *,
        scales: Sequence[float],
        rank: int,
        world: int,
        device: torch.device,
    ) -> None:
        """Takes the images, and the scales of the finished model; each process describes its share."""
        self.on, self.metric = settings.on, settings.metric
        self._every = settings.every
        self._images, self._photos, self._transform = images, photos, transform
        self._world, self._device, self._scales = world, device, tuple(scales)
        count = 0 if images is None else len(images)
        share = -(-count // world)
        self._mine = np.arange(rank * share, min((rank + 1) * share, count))
        # The test transform gives the same every time, so its results are held as far as memory allows.
        self._kept: dict[int, list[Tensor]] = {}
        self._kept_bytes = 0

    def due(self, epoch: int, *, epochs: int) -> bool:
        """Returns whether to measure after so many epochs."""
        return self._images is not None and (epoch % self._every == 0 or epoch == epochs)

    def measure(self, network: Network) -> dict[str, float]:
        """Returns the metrics by name, the same on every process; the network is left in eval mode.

        Raises:
            InvalidInput: There is nothing to measure on.
            UnreadableImage: A file is missing or broken.
        """
        images = self._images
        if images is None:
            return {}
        network.eval()
        mine = [self._describe(network, start) for start in range(0, len(self._mine), _BATCH)]
        dim = network.model.dim
        described = torch.cat(mine) if mine else torch.empty(0, dim, device=self._device)
        everything = self._gathered(described, len(images))
        measured: list[Any] = [None]
        if everything is not None:
            result = evaluate_labels(
                everything.cpu().numpy(),
                images.labels,
                queries=images.queries,
                gallery=images.gallery,
                ks=_KS,
            )
            measured = [
                {
                    "map_at_r": result.map_at_r,
                    "r_precision": result.r_precision,
                    **{f"recall_at_{k}": value for k, value in result.recall},
                }
            ]
        if self._world > 1:
            distributed.broadcast_object_list(measured, src=0)
        return dict(measured[0])

    def _describe(self, network: Network, start: int) -> Tensor:
        groups, order = in_order(self._transformed(start), self._device)
        return network.describe(groups, order, scales=self._scales)

    def _transformed(self, start: int) -> list[Tensor]:
        if start in self._kept:
            return self._kept[start]
        photos = self._photos
        if photos is None:
            return []
        nothing = np.zeros((1, self._transform.draws))

        def transformed(row: int) -> Tensor:
            (pixels,) = photos.transformed(self._mine[row : row + 1], self._transform, nothing)
            return pixels

        stop = min(start + _BATCH, len(self._mine))
        pixels = list(in_threads(transformed, range(start, stop)))
        self._kept_bytes += sum(each.numel() for each in pixels)
        if self._kept_bytes < _KEPT_BYTES:
            self._kept[start] = pixels
        return pixels

    def _gathered(self, described: Tensor, count: int) -> Tensor | None:
        """Returns all descriptors in order in the first process, ``None`` in the others."""
        if self._world == 1:
            return described
        share = -(-count // self._world)
        padded = torch.zeros(share, described.shape[1], device=described.device)
        padded[: len(described)] = described
        parts = [torch.empty_like(padded) for _ in range(self._world)]
        distributed.all_gather(parts, padded)
        return torch.cat(parts)[:count] if distributed.get_rank() == 0 else None
