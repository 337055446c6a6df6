"""Measuring a network while it trains, to keep the best of it."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch.distributed as distributed

from resight.datasets.dataset import LabelledImages
from resight.evaluation.measures.labels import evaluate_labels
from resight.training.describing import Describing
from resight.training.images import SelectionSettings
from resight.training.network import Network

__all__ = ["Selector"]

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
        describing: Describing | None,
        *,
        rank: int,
        world: int,
    ) -> None:
        """Takes the images and what describes them, both or none; the first process measures."""
        self.on, self.metric = settings.on, settings.metric
        self._every = settings.every
        self._images, self._describing = images, describing
        self._rank, self._world = rank, world

    def due(self, epoch: int, *, epochs: int) -> bool:
        """Returns whether to measure after so many epochs."""
        return self._images is not None and (epoch % self._every == 0 or epoch == epochs)

    def measure(self, network: Network) -> dict[str, float]:
        """Returns the metrics by name, the same on every process; the network is left in eval mode.

        Raises:
            InvalidInput: There is nothing to measure on.
            UnreadableImage: A file is missing or broken.
        """
        images, describing = self._images, self._describing
        if images is None or describing is None:
            return {}
        described = describing.describe(network, np.arange(len(images)))
        measured: list[Any] = [None]
        if self._rank == 0:
            result = evaluate_labels(
                described.cpu().numpy(),
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
