"""The protocol card: everything one has to know of a result before comparing it with another."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from typing import Protocol, runtime_checkable

import numpy as np

from resight._version import __version__
from resight.datasets.dataset import LabelledImages
from resight.models.model import Model, Wrapping

__all__ = ["CONVENTIONS", "Fact", "ProtocolCard", "Version", "make_card", "scales_of", "versions"]

CONVENTIONS = (
    "Scores are inner products of unit descriptors; larger is better.",
    "Equal scores are ordered by the smaller index.",
    "A query in the database is left out of its own answers by its index.",
    "R@K counts every query; one without a positive in the database is a miss.",
    "MAP@R and R-precision leave out queries without a positive; R is how many positives a query has.",
    "NMI and AMI use the arithmetic mean of the entropies, over all images of the split.",
    "Intervals: 95 %, percentile bootstrap over queries, 1000 draws.",
)
"""What the numbers mean where the field's programs differ."""

_PACKAGES = ("numpy", "pillow", "opencv-python-headless", "torch", "torchvision", "timm")


@dataclass(frozen=True, slots=True)
class Version:
    """A program that took part."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something else about how a result came about, such as what was re-ranked.

    Attributes:
        name: One or two words.
        text: What was done, in words that differ whenever results may.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ProtocolCard:
    """How a result came about.

    Attributes:
        benchmark: The set's name.
        folder: Name of the folder its photos lie in.
        split: Which part of it.
        images: How many images the split has.
        classes: How many labels they have; 0 where there are none.
        queries: How many of the images are queries.
        gallery: How many of the images are the database.
        boxes: Whether photos were cropped to their boxes.
        model: What `load_model` takes.
        model_fingerprint: Of the model.
        dim: Length of a descriptor.
        max_side: Long side in pixels to which whole photos were reduced before the model; 0 where the
            descriptors came from a file that does not say.
        scales: At which multiples of that size each photo was described; empty where it is not known.
        selection: How the model was chosen, such as ``validation classes`` or ``not stated``.
        seed: Of k-means and the bootstrap.
        data_fingerprint: Of the split's paths, labels, boxes and roles.
        versions: What it was computed with.
        conventions: What the numbers mean where the field's programs differ.
        facts: What the benchmark's own protocol leaves open, as it was done.
    """

    benchmark: str
    folder: str
    split: str
    images: int
    classes: int
    queries: int
    gallery: int
    boxes: bool
    model: str
    model_fingerprint: str
    dim: int
    max_side: int
    scales: tuple[float, ...]
    selection: str
    seed: int
    data_fingerprint: str
    versions: tuple[Version, ...]
    conventions: tuple[str, ...]
    facts: tuple[Fact, ...] = ()


@runtime_checkable
class _MultiScale(Protocol):
    @property
    def scales(self) -> tuple[float, ...]: ...


def make_card(
    model: Model, benchmark: str, test: LabelledImages, *, selection: str, seed: int, split: str = "test"
) -> ProtocolCard:
    """Returns the card of measuring a model on a labelled set.

    Args:
        model: Describes the photos.
        benchmark: The set's name.
        test: The images measured on.
        selection: How the model was chosen.
        seed: Of k-means and the bootstrap.
        split: Which part of the benchmark the images are.
    """
    queries, gallery = (
        len(test) if mask is None else int(np.count_nonzero(mask)) for mask in (test.queries, test.gallery)
    )
    return ProtocolCard(
        benchmark,
        test.root.name,
        split,
        len(test),
        test.classes,
        queries,
        gallery,
        test.boxes is not None,
        model.name,
        model.fingerprint,
        model.dim,
        model.max_side,
        scales_of(model),
        selection,
        seed,
        test.fingerprint,
        versions(),
        CONVENTIONS,
    )


def scales_of(model: Model) -> tuple[float, ...]:
    """Returns at which multiples of its size a model describes each photo."""
    while isinstance(model, Wrapping):
        model = model.model
    return tuple(model.scales) if isinstance(model, _MultiScale) else (1.0,)


def versions() -> tuple[Version, ...]:
    """Returns this program, Python and the packages that can change a result, as installed here."""
    found = [Version("resight", __version__), Version("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            found.append(Version(package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            # An optional part that is not here took no part.
            continue
    return tuple(found)
