"""What a labelled set is: photos with labels, and a benchmark of two of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Int64

from resight import images
from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box

__all__ = ["Benchmark", "LabelledImages", "Split", "halves", "labelled", "shared_classes", "validation_split"]

Split: TypeAlias = Literal["test", "validation"]
"""Which photos of a benchmark are measured."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImages:
    """Photos with labels, in a fixed order.

    Attributes:
        name: What messages and result files call it, such as ``cub200 train``.
        root: The folder that ``paths`` are relative to.
        paths: One a photo, with ``/`` between folders.
        labels: int64 ``(n,)``: 0 to C-1, each of them at least once.
        label_names: One a label, as the set itself calls it.
        boxes: The part of each photo that shows the thing, in pixels of the upright photo (None: the whole);
            None: photos are read whole. Where there are boxes, they are cropped to.
        queries: bool ``(n,)``, which photos are queries; None: all.
        gallery: bool ``(n,)``, which photos are answers; None: all. Where a photo is both, its own index is
            no answer to it.

    Raises:
        InvalidInput: Lengths differ, or the labels are not 0 to C-1 without gaps.
    """

    name: str
    root: Path
    paths: tuple[str, ...]
    labels: Int64[np.ndarray, " n"]
    label_names: tuple[str, ...]
    boxes: tuple[Box | None, ...] | None = None
    queries: Bool[np.ndarray, " n"] | None = None
    gallery: Bool[np.ndarray, " n"] | None = None

    def __post_init__(self) -> None:
        n = len(self.paths)
        if not n:
            raise InvalidInput(f"{self.name} holds no photos")
        if self.labels.dtype != np.int64 or self.labels.shape != (n,):
            raise InvalidInput(
                f"{self.name} needs one int64 label for each of {n} photos, "
                f"not {self.labels.dtype} {self.labels.shape}"
            )
        if not np.array_equal(np.unique(self.labels), np.arange(self.classes)):
            raise InvalidInput(
                f"the labels of {self.name} must be 0 to {self.classes - 1} (one a label name) without gaps"
            )
        if self.boxes is not None and len(self.boxes) != n:
            raise InvalidInput(f"{self.name} has {n} photos, but {len(self.boxes)} boxes")
        for name, flags in (("queries", self.queries), ("gallery", self.gallery)):
            if flags is not None and (flags.dtype != np.bool_ or flags.shape != (n,)):
                raise InvalidInput(
                    f"{name} of {self.name} must be bool ({n},), not {flags.dtype} {flags.shape}"
                )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return len(self.label_names)

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with any path, label, box or flag, or with the order.

        Neither the root nor the photos' own bytes enter: the same lists anywhere have the same fingerprint.
        """
        flags = [None if part is None else part.tolist() for part in (self.queries, self.gallery)]
        boxes = None if self.boxes is None else [box and box.corners for box in self.boxes]
        content = [self.paths, self.labels.tolist(), self.label_names, boxes, *flags]
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()

    def subset(self, indices: Int64[np.ndarray, " m"], *, name: str | None = None) -> LabelledImages:
        """Returns those photos in that order; their labels are numbered anew, in the order of the old ones.

        Raises:
            InvalidInput: No index, or one outside 0 to n-1.
        """
        if not len(indices) or indices.min() < 0 or indices.max() >= len(self):
            raise InvalidInput(f"a subset of {self.name} needs indices from 0 to {len(self) - 1}")
        remaining, labels = np.unique(self.labels[indices], return_inverse=True)
        return LabelledImages(
            name or self.name,
            self.root,
            tuple(self.paths[index] for index in indices),
            labels.astype(np.int64),
            tuple(self.label_names[label] for label in remaining),
            None if self.boxes is None else tuple(self.boxes[index] for index in indices),
            None if self.queries is None else self.queries[indices],
            None if self.gallery is None else self.gallery[indices],
        )

    def photo(self, index: int) -> images.Photo:
        """Returns one photo at full size, RGB uint8 and upright, cropped to its box where there are boxes.

        Raises:
            UnreadableImage: The file is missing or broken, or its box lies outside of it.
        """
        path = self.root / self.paths[index]
        try:
            return images.read(path, box=None if self.boxes is None else self.boxes[index])
        except InvalidInput as error:
            raise UnreadableImage(path, str(error)) from None


@dataclass(frozen=True, slots=True, eq=False)
class Benchmark:
    """What to train on, what to be measured on, and at which ranks.

    Attributes:
        name: As in ``resight evaluate MODEL NAME``.
        train: For training and, split by classes, for choosing settings.
        test: For the final figures alone; in the official sets none of its classes is in ``train``.
        ks: The K of Recall@K that the field reports for it.
        validation: For choosing settings and weights, of classes of ``train`` or of others; None where the
            set has no such photos, and some classes of ``train`` are held out instead.
        files: The lists it was read from; none where folders say the labels.
        pairs: int64 ``(m, 2)``, rows of ``train``: queries and their positives, for losses over tuples; None
            where photos of one class are all that is known to match.
        split_rule: Which classes are for testing, in words, where the set itself does not say; else empty.
    """

    name: str
    train: LabelledImages
    test: LabelledImages
    ks: tuple[int, ...]
    validation: LabelledImages | None = None
    files: tuple[Path, ...] = ()
    pairs: Int64[np.ndarray, "pairs 2"] | None = None
    split_rule: str = ""

    @property
    def parts(self) -> tuple[LabelledImages, ...]:
        """Training photos, validation photos where there are any, and test photos."""
        middle = () if self.validation is None else (self.validation,)
        return (self.train, *middle, self.test)

    def measured(self, split: Split) -> LabelledImages:
        """Returns the photos of a split.

        Raises:
            InvalidInput: The set has no validation photos.
        """
        if split == "test":
            return self.test
        if self.validation is None:
            raise InvalidInput(f"{self.name} has no validation photos of its own: measure the split test")
        return self.validation

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits over all its sets."""
        return hashlib.sha256("".join(part.fingerprint for part in self.parts).encode()).hexdigest()


def halves(classes: Sequence[str], why: str) -> tuple[set[str], str]:
    """Returns the classes for training of a set that does not say, and the rule in words.

    As CUB-200-2011 and Cars196 are used in the field: the first half of the classes in their order (the
    larger half of an odd number) is for training, the rest for testing.
    """
    first = set(classes[: (len(classes) + 1) // 2])
    tested = len(classes) - len(first)
    return first, f"{why}: the last {tested:,} of {len(classes):,} classes are measured, the others train"


def shared_classes(one: LabelledImages, other: LabelledImages) -> int:
    """Returns how many classes of one set, by their names, another has too."""
    return len(set(one.label_names) & set(other.label_names))


def labelled(
    name: str,
    root: Path,
    paths: Sequence[str],
    keys: Sequence[Hashable],
    *,
    names: dict[Hashable, str] | None = None,
    boxes: Sequence[Box | None] | None = None,
    queries: Sequence[bool] | None = None,
    gallery: Sequence[bool] | None = None,
) -> LabelledImages:
    """Returns a set whose labels are the sorted distinct ``keys``, numbered from 0.

    Args:
        name: What messages call it.
        root: The folder that the paths are relative to.
        paths: One a photo.
        keys: The label of each photo as the set's own files have it: all numbers or all text.
        names: The name of each key; its text by default.
        boxes: One a photo.
        queries: One flag a photo.
        gallery: One flag a photo.

    Raises:
        InvalidInput: There are no photos, or the lengths differ.
    """
    distinct = sorted(set(keys))  # type: ignore[type-var]  # all numbers or all text: comparable
    number = {key: label for label, key in enumerate(distinct)}
    return LabelledImages(
        name,
        root,
        tuple(paths),
        np.array([number[key] for key in keys], dtype=np.int64),
        tuple(str(key) if names is None else names[key] for key in distinct),
        None if boxes is None else tuple(boxes),
        None if queries is None else np.array(queries, dtype=np.bool_),
        None if gallery is None else np.array(gallery, dtype=np.bool_),
    )


def validation_split(
    images: LabelledImages, *, share: float = 0.2, seed: int
) -> tuple[LabelledImages, LabelledImages]:
    """Returns the photos to train on and those to choose settings on; no class is in both.

    Of C classes ``round(share * C)`` are drawn for validation, at least one, and at least one is left.
    Photos keep their order.

    Args:
        images: The training classes of a benchmark (never its test classes).
        share: The part of the classes, between 0 and 1.
        seed: Decides which; 0 or more.

    Raises:
        InvalidInput: There are fewer than two classes, or ``share`` or ``seed`` is out of range.
    """
    if not 0.0 < share < 1.0 or seed < 0:
        raise InvalidInput(
            f"a validation split needs a share between 0 and 1 and a seed from 0, not {share} and {seed}"
        )
    if images.classes < 2:
        raise InvalidInput(f"{images.name} has one class, and a split by classes needs two or more")
    count = min(max(1, round(share * images.classes)), images.classes - 1)
    drawn = np.random.default_rng(seed).choice(images.classes, count, replace=False)
    held_out = np.isin(images.labels, drawn)
    return (
        images.subset(np.flatnonzero(~held_out), name=f"{images.name} without validation classes"),
        images.subset(np.flatnonzero(held_out), name=f"{images.name} validation classes"),
    )
