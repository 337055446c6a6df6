"""Batches of tuples: a query, its positive and the negatives that the network takes for it.

Radenović, Tolias and Chum, TPAMI 2018, as their code has it (cnnimageretrieval-pytorch, ``traindataset.py``):
before each epoch pairs and a pool of photos are drawn, the network describes both, and the hardest photos of
other clusters become negatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float32, Int64

from resight.errors import InvalidInput
from resight.settings.bounds import Count, Number, checked
from resight.sfm.mining import hard_negatives

__all__ = ["Describe", "TupleSampler"]

Describe = Callable[[Int64[np.ndarray, " n"]], Float32[np.ndarray, "n dim"]]
"""Returns the descriptors of photos, in their order."""

# Keeps these numbers apart from others drawn with the same seed and epoch.
_STREAM = 0x7B1E5
_RANDOM_DIM = 16
"""Dimensions in which photos lie at random where negatives are not mined: each query has its own order."""


@final
class TupleSampler:
    """Tuples of a query, a positive and mined negatives; all tuples of an epoch from one mining.

    A batch holds its tuples one after the other, each as query, positive, negatives. An epoch has
    ``min(queries, pairs) // tuples`` batches, at least one.

    Args:
        labels: int64 ``(photos,)``, the cluster of each photo.
        pairs: int64 ``(pairs, 2)``, queries and positives, rows of photos.
        tuples: Tuples a batch, of all processes together.
        negatives: Of each tuple, each of another cluster.
        queries: Pairs an epoch, drawn without putting back; all of them where there are fewer.
        pool: Photos an epoch among which negatives are looked for; all of them where there are fewer.
        random_negatives: Negatives are drawn from the pool instead of mined, to see what mining adds.
        seed: Draws pairs and pool.

    Raises:
        InvalidInput: There are fewer pairs than a batch holds, or a number is out of range.
    """

    kind: ClassVar = "tuples"
    lays_tuples: ClassVar = True

    @checked
    def __init__(
        self,
        labels: Int64[np.ndarray, " photos"],
        pairs: Int64[np.ndarray, "pairs 2"] | None,
        tuples: Count = 5,
        negatives: Count = 5,
        queries: Count = 2000,
        pool: Count = 20000,
        seed: Number = 0,
        *,
        random_negatives: bool = False,
    ) -> None:
        if pairs is None:
            raise InvalidInput(
                "the sampler tuples needs pairs of a query and a positive, and this set has labels alone: "
                "take data.benchmark=tuples with a folder of resight tuples, or another sampler"
            )
        if len(pairs) < tuples:
            raise InvalidInput(
                f"{len(pairs)} pairs do not fill a batch of {tuples} tuples: take a smaller batch"
            )
        self._labels, self._pairs = labels, pairs
        self.tuples, self.negatives, self.seed = tuples, negatives, seed
        self.queries, self.pool = min(queries, len(pairs)), min(pool, len(labels))
        self.random_negatives = random_negatives
        self.tuple_size = 2 + negatives
        self._mined: tuple[int, Int64[np.ndarray, "batches batch"]] | None = None

    @property
    def batch(self) -> int:
        """Photos a batch."""
        return self.tuples * self.tuple_size

    @property
    def batches_per_epoch(self) -> int:
        """``min(queries, pairs) // tuples``."""
        return self.queries // self.tuples

    def batches(self, epoch: int) -> Int64[np.ndarray, "batches batch"]:
        """Returns the rows of the photos of each batch of an epoch that was mined, or restored, before."""
        if self._mined is None or self._mined[0] != epoch:
            raise InvalidInput(f"the tuples of epoch {epoch} are not mined yet")
        return self._mined[1]

    def mine(self, epoch: int, describe: Describe) -> None:
        """Draws the pairs and the pool of an epoch and finds the negatives.

        Args:
            epoch: Counted from 0.
            describe: By the network as it is now.

        Raises:
            InvalidInput: The pool shows too few clusters.
        """
        rng = np.random.default_rng([_STREAM, self.seed, epoch])
        pairs = self._pairs[rng.permutation(len(self._pairs))[: self.batches_per_epoch * self.tuples]]
        pool = rng.permutation(len(self._labels))[: self.pool]
        # Every photo once, however often it is a query.
        queries, place = np.unique(pairs[:, 0], return_inverse=True)
        photos = np.concatenate([queries, pool])
        if self.random_negatives:
            described = rng.standard_normal((len(photos), _RANDOM_DIM), dtype=np.float32)
        else:
            described = describe(photos)
        rows = hard_negatives(
            described[: len(queries)],
            self._labels[queries],
            described[len(queries) :],
            self._labels[pool],
            self.negatives,
        )
        negatives = pool[rows][place.reshape(-1)]
        tuples = np.concatenate([pairs, negatives], axis=1)
        self._mined = (epoch, tuples.reshape(self.batches_per_epoch, self.batch))

    def state(self) -> tuple[int, Int64[np.ndarray, "batches batch"]] | None:
        """Returns the epoch mined last and its batches, for a checkpoint."""
        return self._mined

    def restore(self, epoch: int, batches: Int64[np.ndarray, "batches batch"]) -> None:
        """Takes back what `state` gave."""
        self._mined = (epoch, batches)
