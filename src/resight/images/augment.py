"""The papers' transforms of photos for training and testing, each a dataclass of its settings.

Every transform takes RGB uint8 ``(rows, columns, 3)`` and returns RGB uint8. Its randomness is a row of
``draws`` numbers in [0, 1): ``transform(pixels, rng)`` draws them from a generator, and a trainer draws them
for its whole global batch at once, ``rng.random((batch, transform.draws))``, so that each photo gets the
same numbers at any number of processes. ``apply_batch`` gives, bit for bit, what ``apply`` gives for each
photo, and is the fast way for photos of one size, such as packed ones.

Sizes are settings; ``paper_transforms`` keeps a paper's proportions at any of them. Resizing is the
bilinear filter that widens when it reduces (torchvision over Pillow), as SoftTriple's code has it; CGD's
authors resize by another library, with small differences in the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from resight.errors import InvalidInput
from resight.images.resize import fit

__all__ = [
    "CentreCrop",
    "LongSide",
    "RandomResizedCrop",
    "ResizeRandomCrop",
    "Stretch",
    "Transform",
    "Transforms",
    "paper_transforms",
]

Pixels = UInt8[np.ndarray, "rows columns 3"]
Batch = UInt8[np.ndarray, "batch rows columns 3"]

# Of torchvision's RandomResizedCrop: after so many crops that do not fit, the middle is taken.
_TRIES = 10


class Transform(Protocol):
    """A transform of photos to what a network is shown."""

    __slots__ = ()

    @property
    def draws(self) -> int:
        """How many random numbers one photo needs; 0 where nothing is random."""
        return 0

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Returns the photo transformed by the next ``draws`` numbers of the generator."""
        return self.apply(pixels, rng.random(self.draws))

    def apply(self, pixels: Pixels, numbers: Float64[np.ndarray, " draws"]) -> Pixels:
        """Returns the photo transformed by random numbers in [0, 1)."""
        return self.apply_batch(pixels[None], numbers[None])[0]

    def apply_batch(self, pixels: Batch, numbers: Float64[np.ndarray, "batch draws"]) -> Batch:
        """Returns photos of one size transformed, each by its row of numbers."""
        ...


@dataclass(frozen=True, slots=True)
class Stretch(Transform):
    """The whole photo at ``size`` by ``size``, its proportions lost: CGD's test transform.

    Attributes:
        size: Rows and columns of the result, pixels.

    Raises:
        InvalidInput: ``size`` is below 1.
    """

    kind: ClassVar = "stretch"

    size: int = 224

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.size)

    def apply_batch(self, pixels: Batch, numbers: Float64[np.ndarray, "batch draws"]) -> Batch:
        """Returns the photos at ``size`` by ``size``; unchanged where they have that size."""
        del numbers
        if pixels.shape[1:3] == (self.size, self.size):
            return np.asarray(pixels)
        return _stacked([_resized(photo, self.size, self.size) for photo in pixels], self.size)


@dataclass(frozen=True, slots=True)
class ResizeRandomCrop(Transform):
    """The whole photo at ``resize`` by ``resize``, a random part of ``size``, mirrored half of the time.

    CGD's training transform: 252, 224. Photos packed at ``resize`` are not resized again.

    Attributes:
        size: Rows and columns of the result, pixels.
        resize: Rows and columns of the whole photo before the crop, pixels, at least ``size``.
        mirror: Probability of mirroring left and right.

    Raises:
        InvalidInput: A setting is out of range.
    """

    kind: ClassVar = "resize_random_crop"

    size: int = 224
    resize: int = 252
    mirror: float = 0.5

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.resize)
        _check_probability(self.mirror)

    @property
    def draws(self) -> int:
        """Row, column, mirror."""
        return 3

    def apply_batch(self, pixels: Batch, numbers: Float64[np.ndarray, "batch draws"]) -> Batch:
        """Returns the crops at the rows and columns that the numbers choose."""
        corners = (numbers[:, :2] * (self.resize - self.size + 1)).astype(np.int64)
        out = _empty(len(pixels), self.size)
        for place, (photo, (top, left)) in enumerate(zip(pixels, corners, strict=True)):
            whole = _resized(photo, self.resize, self.resize)
            part = whole[top : top + self.size, left : left + self.size]
            _copy(part, out[place], mirrored=numbers[place, 2] < self.mirror)
        return out


@dataclass(frozen=True, slots=True)
class RandomResizedCrop(Transform):
    """A part of random area and proportions, brought to ``size`` by ``size``, mirrored half of the time.

    SoftTriple's training transform, by torchvision's rule: up to ten times an area (a uniform share of the
    photo's) and a proportion of width to height (log-uniform) are drawn until the part fits; else the
    largest middle part of allowed proportions is taken.

    Attributes:
        size: Rows and columns of the result, pixels.
        least_area: The smallest share of the photo's area; the largest is all of it.
        ratio: The largest proportion of the long side to the short one.
        mirror: Probability of mirroring left and right.

    Raises:
        InvalidInput: A setting is out of range.
    """

    kind: ClassVar = "random_resized_crop"

    size: int = 224
    least_area: float = 0.08
    ratio: float = 4 / 3
    mirror: float = 0.5

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.size)
        _check_probability(self.mirror)
        if not 0.0 < self.least_area <= 1.0 or not 1.0 <= self.ratio < math.inf:
            raise InvalidInput(
                f"a random crop needs a least area in (0, 1] and a ratio from 1, "
                f"not {self.least_area} and {self.ratio}"
            )

    @property
    def draws(self) -> int:
        """Ten areas, ten proportions, row, column, mirror."""
        return 2 * _TRIES + 3

    def apply_batch(self, pixels: Batch, numbers: Float64[np.ndarray, "batch draws"]) -> Batch:
        """Returns the parts of the areas, proportions and places that the numbers choose."""
        out = _empty(len(pixels), self.size)
        rows, columns = pixels.shape[1:3]
        parts = self._parts(rows, columns, numbers).tolist()
        mirrored = numbers[:, -1] < self.mirror
        for place, (top, left, height, width) in enumerate(parts):
            part = pixels[place, top : top + height, left : left + width]
            _copy(_resized(part, self.size, self.size), out[place], mirrored=mirrored[place])
        return out

    def _parts(self, rows: int, columns: int, numbers: Float64[np.ndarray, "batch draws"]) -> np.ndarray:
        """Returns top, left, height and width of each part, int64 ``(batch, 4)``."""
        area = rows * columns * (self.least_area + (1.0 - self.least_area) * numbers[:, :_TRIES])
        # log-uniform between 1/ratio and ratio
        proportion = self.ratio ** (2.0 * numbers[:, _TRIES : 2 * _TRIES] - 1.0)
        widths = np.rint(np.sqrt(area * proportion)).astype(np.int64)
        heights = np.rint(np.sqrt(area / proportion)).astype(np.int64)
        fits = (widths > 0) & (widths <= columns) & (heights > 0) & (heights <= rows)
        at = np.arange(len(numbers)), fits.argmax(axis=1)
        fitting = fits[at]
        middle_width = min(columns, round(rows * self.ratio))
        middle_height = min(rows, round(columns * self.ratio))
        width = np.where(fitting, widths[at], middle_width)
        height = np.where(fitting, heights[at], middle_height)
        top = np.where(fitting, numbers[:, -3] * (rows - height + 1), (rows - height) // 2)
        left = np.where(fitting, numbers[:, -2] * (columns - width + 1), (columns - width) // 2)
        return np.stack([top.astype(np.int64), left.astype(np.int64), height, width], axis=1)


@dataclass(frozen=True, slots=True)
class CentreCrop(Transform):
    """The photo with its short side at ``resize``, of which the middle ``size`` by ``size``.

    The test transform of SoftTriple and most of metric learning: 256, 224.

    Attributes:
        size: Rows and columns of the result, pixels.
        resize: Short side of the photo before the crop, pixels, at least ``size``.

    Raises:
        InvalidInput: A setting is out of range.
    """

    kind: ClassVar = "centre_crop"

    size: int = 224
    resize: int = 256

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.resize)

    def apply_batch(self, pixels: Batch, numbers: Float64[np.ndarray, "batch draws"]) -> Batch:
        """Returns the middle of each photo."""
        del numbers
        return _stacked([self._middle(photo) for photo in pixels], self.size)

    def _middle(self, pixels: Pixels) -> Pixels:
        rows, columns = pixels.shape[:2]
        short = min(rows, columns)
        # The long side is cut off, not rounded, as torchvision does.
        height, width = (self.resize * side // short for side in (rows, columns))
        whole = _resized(pixels, height, width)
        # Half a pixel goes to the even side, as Python rounds.
        top, left = round((height - self.size) / 2), round((width - self.size) / 2)
        return np.ascontiguousarray(whole[top : top + self.size, left : left + self.size])


@dataclass(frozen=True, slots=True)
class LongSide(Transform):
    """The whole photo in its proportions, the long side at most ``size``, never enlarged: GeM's transform.

    Photos of different sizes keep different sizes. The filter is Lanczos, as in cirtorch.

    Attributes:
        size: Rows or columns of the result at most, pixels.

    Raises:
        InvalidInput: ``size`` is below 1.
    """

    kind: ClassVar = "long_side"

    size: int = 1024

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.size)

    def apply_batch(self, pixels: Batch, numbers: Float64[np.ndarray, "batch draws"]) -> Batch:
        """Returns the photos with their long side at most ``size``; unchanged where they fit."""
        del numbers
        if max(pixels.shape[1:3]) <= self.size:
            return np.asarray(pixels)
        return np.stack([fit(photo, self.size) for photo in pixels])


@dataclass(frozen=True, slots=True)
class Transforms:
    """The transforms of one model.

    Attributes:
        train: For training.
        test: For validation, testing and use.
    """

    train: Transform
    test: Transform


def paper_transforms(paper: str, size: int) -> Transforms:
    """Returns the transforms of a paper in its proportions.

    * ``cgd``: stretched to 9/8 of the size (252 for 224), random crop, mirror; test stretched to the size.
    * ``softtriple``: random resized crop, mirror; test: short side at 8/7 of the size (256 for 224), middle.
    * ``gem``: long side at most the size, and nothing else, in both.

    Raises:
        InvalidInput: No such paper, or ``size`` is below 1.
    """
    if paper == "cgd":
        return Transforms(ResizeRandomCrop(size, round(size * 9 / 8)), Stretch(size))
    if paper == "softtriple":
        return Transforms(RandomResizedCrop(size), CentreCrop(size, round(size * 8 / 7)))
    if paper == "gem":
        return Transforms(LongSide(size), LongSide(size))
    raise InvalidInput(f"there are no transforms of {paper!r}; there are cgd, softtriple and gem")


def _resized(pixels: Pixels, rows: int, columns: int) -> Pixels:
    """Returns the photo at that size by the bilinear filter, which widens where it reduces.

    What is enlarged in both directions goes to OpenCV's variant that gives the same bits on every machine:
    a quarter of the time (crops of 60 to 80 pixels: 28 and 117 microseconds), and within two of 255 levels
    of Pillow.
    """
    if pixels.shape[:2] == (rows, columns):
        return pixels
    if pixels.shape[0] <= rows and pixels.shape[1] <= columns:
        import cv2

        return cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_LINEAR_EXACT)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))


def _copy(part: Pixels, into: Pixels, *, mirrored: bool) -> None:
    if mirrored:
        import cv2

        # numpy copies backwards pixel by pixel: six times slower.
        cv2.flip(part, 1, dst=into)
    else:
        into[:] = part


def _empty(batch: int, size: int) -> Batch:
    return np.empty((batch, size, size, 3), dtype=np.uint8)


def _stacked(photos: list[Pixels], size: int) -> Batch:
    return np.stack(photos) if photos else _empty(0, size)


def _check_sizes(size: int, resize: int) -> None:
    if not 1 <= size <= resize:
        raise InvalidInput(
            f"a transform needs a size from 1 pixel, at most that before, not {size} of {resize}"
        )


def _check_probability(mirror: float) -> None:
    if not 0.0 <= mirror <= 1.0:
        raise InvalidInput(f"mirror is a probability, not {mirror}")
