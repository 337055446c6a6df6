"""Which photos make up each batch: functions of a seed and the epoch, whatever the number of processes.

A sampler lays out the *global* batches; a process takes its part of every row. Nothing is remembered from
one epoch to the next, so that a resumed run meets the batches an uninterrupted one would have met.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Protocol, final

import numpy as np
from jaxtyping import Int64

from resight.errors import InvalidInput
from resight.settings.bounds import Count, Number, checked
from resight.settings.choice import Family
from resight.training.tuple_sampler import TupleSampler

__all__ = ["SAMPLERS", "ClassBalancedSampler", "MPerClassSampler", "PlainSampler", "Sampler"]

# Keeps the samplers' numbers apart from others drawn with the same seed and epoch.
_STREAM = 0x5A3B1E


class Sampler(Protocol):
    """Lays out the batches of an epoch."""

    @property
    def batch(self) -> int:
        """Photos a global batch."""
        ...

    @property
    def batches_per_epoch(self) -> int:
        """How many batches ``batches`` returns, in every epoch the same."""
        ...

    def batches(self, epoch: int) -> Int64[np.ndarray, "batches batch"]:
        """Returns the indices of the photos in each global batch of an epoch (counted from 0)."""
        ...


@final
class PlainSampler:
    """Every photo once an epoch in random order; the last batch is filled up with those that came first.

    An epoch has ``ceil(photos / batch)`` batches, all whole: up to ``batch - 1`` photos are seen twice in it,
    none twice in a batch.

    Args:
        photos: How many there are.
        batch: Photos a batch, of all processes together.
        seed: Draws the order.

    Raises:
        InvalidInput: There are fewer photos than a batch has, or a number is out of range.
    """

    kind: ClassVar = "plain"

    @checked
    def __init__(self, photos: int, batch: Count, seed: Number = 0) -> None:
        _check(photos, batch)
        self.photos, self.batch, self.seed = photos, batch, seed

    @property
    def batches_per_epoch(self) -> int:
        """``ceil(photos / batch)``."""
        return -(-self.photos // self.batch)

    def batches(self, epoch: int) -> Int64[np.ndarray, "batches batch"]:
        """Returns the indices of the photos in each batch of an epoch (counted from 0)."""
        order = _generator(self.seed, epoch).permutation(self.photos)
        return np.resize(order, (self.batches_per_epoch, self.batch))


@final
class ClassBalancedSampler:
    """Every class equally often, whatever its size.

    Over an epoch the draws of any two classes differ by one at most. Within a class its photos come in
    shuffled rounds: none comes again before all of them came. An epoch has ``photos // batch`` batches, at
    least one; a batch may hold several photos of a class, and where a class is small one photo twice.

    Args:
        labels: int64 ``(photos,)``.
        batch: Photos a batch, of all processes together.
        seed: Draws the order.

    Raises:
        InvalidInput: There are no photos, or a number is out of range.
    """

    kind: ClassVar = "class_balanced"

    @checked
    def __init__(self, labels: Int64[np.ndarray, " photos"], batch: Count, seed: Number = 0) -> None:
        _check(max(len(labels), batch if len(labels) else 0), batch)
        self.batch, self.seed = batch, seed
        self.photos = len(labels)
        self._members = _by_class(labels)

    @property
    def batches_per_epoch(self) -> int:
        """``photos // batch``, at least 1."""
        return max(1, self.photos // self.batch)

    def batches(self, epoch: int) -> Int64[np.ndarray, "batches batch"]:
        """Returns the indices of the photos in each batch of an epoch (counted from 0)."""
        rng = _generator(self.seed, epoch)
        draws = self.batches_per_epoch * self.batch
        classes = len(self._members)
        rounds = -(-draws // classes)
        order = np.concatenate([rng.permutation(classes) for _ in range(rounds)])[:draws]
        chosen = np.empty(draws, dtype=np.int64)
        # The places of each class in the order, class after class.
        places = np.split(
            np.argsort(order, kind="stable"), np.cumsum(np.bincount(order, minlength=classes))[:-1]
        )
        for members, at in zip(self._members, places, strict=True):
            shuffles = -(-len(at) // len(members))
            photos = [rng.permutation(members) for _ in range(shuffles)]
            if photos:
                chosen[at] = np.concatenate(photos)[: len(at)]
        return chosen.reshape(self.batches_per_epoch, self.batch)


@final
class MPerClassSampler:
    """Batches of ``batch / per_class`` different classes with ``per_class`` photos each.

    Classes come in shuffled rounds: none comes again before all of them came, save that no class comes twice
    in a batch. So do the photos of a class. A class with fewer than ``per_class`` photos is handled as
    ``few`` says: ``repeat`` takes all its photos and repeats them as evenly as can be (its pairs are then
    partly of a photo with itself, in two crops); ``skip`` leaves the class out. An epoch has
    ``photos // batch`` batches, at least one, of the photos that are not left out. The photos of a class
    stand together in a batch.

    Args:
        labels: int64 ``(photos,)``.
        batch: Photos a batch, of all processes together, a multiple of ``per_class``.
        per_class: Photos a class in a batch.
        seed: Draws the order.
        few: What becomes of classes with fewer photos: ``repeat`` or ``skip``.

    Raises:
        InvalidInput: There are fewer classes than a batch needs, the batch is no multiple of ``per_class``,
            or a number is out of range.
    """

    kind: ClassVar = "m_per_class"

    @checked
    def __init__(
        self,
        labels: Int64[np.ndarray, " photos"],
        batch: Count,
        per_class: Count = 4,
        seed: Number = 0,
        *,
        few: Literal["repeat", "skip"] = "repeat",
    ) -> None:
        if batch % per_class:
            raise InvalidInput(
                f"a batch of {batch} photos cannot hold {per_class} of each class: "
                f"take a batch that is a multiple of them"
            )
        _check(max(len(labels), batch if len(labels) else 0), batch)
        least = per_class if few == "skip" else 1
        self._members = [members for members in _by_class(labels) if len(members) >= least]
        self.photos = sum(len(members) for members in self._members)
        self.batch, self.per_class, self.seed = batch, per_class, seed
        if len(self._members) < batch // per_class:
            having = f" with at least {per_class} photos" if few == "skip" else ""
            raise InvalidInput(
                f"a batch of {batch} photos with {per_class} of each class needs {batch // per_class} classes"
                f"{having}, and there are {len(self._members)}: take a smaller batch or more of each class"
            )

    @property
    def batches_per_epoch(self) -> int:
        """``photos // batch``, at least 1, without the photos of classes left out."""
        return max(1, self.photos // self.batch)

    def batches(self, epoch: int) -> Int64[np.ndarray, "batches batch"]:
        """Returns the indices of the photos in each batch of an epoch (counted from 0)."""
        rng = _generator(self.seed, epoch)
        classes = _rounds(np.arange(len(self._members)), self.batch // self.per_class, rng)
        photos: dict[int, Iterator[list[int]]] = {}
        chosen = np.empty(
            (self.batches_per_epoch, self.batch // self.per_class, self.per_class), dtype=np.int64
        )
        for row in chosen:
            for place, label in enumerate(next(classes)):
                if label not in photos:
                    photos[label] = _rounds(self._members[label], self.per_class, rng)
                row[place] = next(photos[label])
        return chosen.reshape(len(chosen), self.batch)


SAMPLERS = Family(
    "sampler",
    lambda: {
        each.kind: each for each in (PlainSampler, ClassBalancedSampler, MPerClassSampler, TupleSampler)
    },
    frozenset({"photos", "labels", "pairs", "seed"}),
)
"""The samplers a recipe can name."""


def _rounds(members: Int64[np.ndarray, " n"], count: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Yields hands of ``count``, dealt in shuffled rounds; within a hand no member more often than it must.

    A hand that a round's end cuts through is completed from the next round with members it does not hold.
    """
    whole, rest = divmod(count, len(members))
    deck: list[int] = []
    while True:
        hand = members.tolist() * whole
        dealt, deck = deck[:rest], deck[rest:]
        if len(dealt) < rest:
            held = set(dealt)
            shuffled = rng.permutation(members).tolist()
            fresh = [member for member in shuffled if member not in held][: rest - len(dealt)]
            taken = set(fresh)
            dealt += fresh
            deck = [member for member in shuffled if member not in taken]
        yield hand + dealt


def _by_class(labels: Int64[np.ndarray, " photos"]) -> list[Int64[np.ndarray, " members"]]:
    """Returns the indices of each label's photos, in the order of the labels."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order])) + 1
    return np.split(order, starts)


def _generator(seed: int, epoch: int) -> np.random.Generator:
    if epoch < 0:
        raise InvalidInput(f"epochs are counted from 0, not {epoch}")
    return np.random.default_rng([_STREAM, seed, epoch])


def _check(photos: int, batch: int) -> None:
    if photos < batch:
        raise InvalidInput(f"{photos} photos do not fill a batch of {batch}: take a smaller batch")
