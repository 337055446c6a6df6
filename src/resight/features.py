"""Value objects that travel between the rooms: boxes, local features, what a model says of one photo."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from tokenize import TokenError
from typing import Literal, Self

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from resight.errors import InvalidInput

__all__ = ["Box", "ImageFeatures", "LocalFeatures", "ReceptiveField"]


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-parallel rectangle in an upright photo.

    Coordinates are in pixels and run along pixel edges: the whole of a photo is
    ``Box(0, 0, width, height)``, as in Pillow's ``crop`` and the ``bbx`` of the revisited benchmarks.

    Raises:
        InvalidInput: A coordinate is not finite, or the box is empty.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.corners):
            raise InvalidInput(f"a box needs four finite numbers, not {self.corners}")
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise InvalidInput(f"the box {self} is empty: it must have X0 < X1 and Y0 < Y1")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the box written as ``X0,Y0,X1,Y1``.

        Raises:
            InvalidInput: The text is not four numbers, or the box is empty.
        """
        parts = text.split(",")
        try:
            x0, y0, x1, y1 = (float(part) for part in parts)
        except ValueError:
            raise InvalidInput(f"a box is four numbers X0,Y0,X1,Y1 in pixels, not {text!r}") from None
        return cls(x0, y0, x1, y1)

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """``(x0, y0, x1, y1)``, pixels."""
        return self.x0, self.y0, self.x1, self.y1

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y1 - self.y0

    def clipped(self, width: float, height: float) -> Box:
        """Returns the part of the box inside a photo of that size, in pixels.

        Raises:
            InvalidInput: The box lies outside the photo.
        """
        x0, y0, x1, y1 = max(self.x0, 0.0), max(self.y0, 0.0), min(self.x1, width), min(self.y1, height)
        if x1 <= x0 or y1 <= y0:
            raise InvalidInput(f"the box {self} lies outside the photo of {width:g} x {height:g} pixels")
        return Box(x0, y0, x1, y1)

    def __str__(self) -> str:
        return ",".join(f"{value:g}" for value in self.corners)


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """Keypoints of one photo with a descriptor each, best first.

    Positions are in pixels of the whole upright photo; integer coordinates are pixel centres, as in OpenCV.
    (A box runs along pixel edges: the centre of the first pixel is position 0 and box coordinate 0.5.)

    Attributes:
        positions: float32 ``(n, 2)``, x and y.
        scales: float32 ``(n,)``, the keypoint's diameter in pixels.
        orientations: float32 ``(n,)``, radians in [0, 2π), clockwise on the screen; 0 where there are none.
        scores: float32 ``(n,)``, larger is better.
        descriptors: ``(n, dim)``, uint8 codes or float16 values; or ``(n, bits / 8)`` uint8, packed bits.
        metric: How descriptors are compared. ``"cosine"``: by inner product at unit L2 norm. ``"hamming"``:
            they are bits, packed by ``np.packbits`` with the first bit highest, and the similarity is
            ``1 - 2 * differing / bits``, the cosine of the vectors of +1 and -1 that the bits stand for.
        rounded: Whether a keypoint is written in 6 bytes instead of 14: its position to 1/32 pixel (1/2 in
            the largest photos), its diameter to 2 %, its orientation to 0.7 degrees, its rank as its score.

    Raises:
        InvalidInput: Lengths differ, a number is not finite, or the descriptors' type is another.
    """

    positions: Float32[np.ndarray, "n 2"]
    scales: Float32[np.ndarray, " n"]
    orientations: Float32[np.ndarray, " n"]
    scores: Float32[np.ndarray, " n"]
    descriptors: Shaped[np.ndarray, "n dim"]
    metric: Literal["cosine", "hamming"] = "cosine"
    rounded: bool = False

    def __post_init__(self) -> None:
        n = len(self.positions)
        if self.positions.shape != (n, 2) or self.descriptors.ndim != 2 or len(self.descriptors) != n:
            raise InvalidInput(
                f"local features need positions (n, 2) and descriptors (n, dim), "
                f"got {self.positions.shape} and {self.descriptors.shape}"
            )
        if self.descriptors.dtype not in (np.uint8, np.float16):
            raise InvalidInput(
                f"local descriptors are stored as uint8 or float16, not {self.descriptors.dtype}"
            )
        if self.metric not in ("cosine", "hamming"):
            raise InvalidInput(f"local features are compared by 'cosine' or 'hamming', not {self.metric!r}")
        if self.metric == "hamming" and self.descriptors.dtype != np.uint8:
            raise InvalidInput(
                f"features compared by 'hamming' hold packed bits as uint8, not {self.descriptors.dtype}"
            )
        for name in ("scales", "orientations", "scores"):
            if getattr(self, name).shape != (n,):
                raise InvalidInput(f"{name} must have shape ({n},), not {getattr(self, name).shape}")
        for name in ("positions", "scales", "orientations", "scores", "descriptors"):
            values = getattr(self, name)
            if values.dtype != np.uint8 and not np.isfinite(values).all():
                raise InvalidInput(f"{name} of local features must be finite")

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def has_orientations(self) -> bool:
        """Whether keypoints have orientations of their own."""
        return bool(self.orientations.any())

    @property
    def has_sizes(self) -> bool:
        """Whether keypoints differ in size; those of one size say nothing of how large a thing is shown."""
        return bool(len(self)) and bool(np.ptp(self.scales) > 0)

    def best(self, count: int) -> LocalFeatures:
        """Returns the first ``count`` features."""
        return self.take(slice(count))

    def take(self, rows: slice | Bool[np.ndarray, " n"]) -> LocalFeatures:
        """Returns some of the features, in their order."""
        return LocalFeatures(
            self.positions[rows],
            self.scales[rows],
            self.orientations[rows],
            self.scores[rows],
            self.descriptors[rows],
            self.metric,
            self.rounded,
        )

    def with_descriptors(
        self, descriptors: Shaped[np.ndarray, "n dim"], metric: Literal["cosine", "hamming"]
    ) -> LocalFeatures:
        """Returns the same keypoints with other descriptors.

        Raises:
            InvalidInput: Their number or type is not right.
        """
        return replace(self, descriptors=descriptors, metric=metric)

    def to_bytes(self) -> bytes:
        """Returns the features as ``docs/formats.md`` says: a structured array in the .npy format."""
        # The name says how to compare, so that features compared by cosine keep the format they always had.
        descriptor = _DESCRIPTOR_FIELDS[self.metric]
        field = (descriptor, self.descriptors.dtype.newbyteorder("<"), (self.descriptors.shape[1],))
        if self.rounded:
            rows = _rounded(self, field)
        else:
            halves = [(name, "<f2") for name in ("scale", "orientation", "score")]
            rows = np.empty(len(self), dtype=np.dtype([("position", "<f4", (2,)), *halves, field]))
            rows["position"] = self.positions
            for name in ("scale", "orientation", "score"):
                # A half holds 65504 at most: a larger scale or score is better capped than infinite.
                rows[name] = np.clip(getattr(self, name + "s"), -65504.0, 65504.0)
        rows[descriptor] = self.descriptors
        stream = io.BytesIO()
        np.save(stream, rows, allow_pickle=False)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Returns the features that ``to_bytes`` wrote; scales, orientations and scores come back as halves.

        Raises:
            InvalidInput: The bytes are truncated or something else.
        """
        try:
            # np.load would take zip archives and pickles as well.
            rows = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
            fields = rows.dtype.names or ()
            metric: Literal["cosine", "hamming"] = "hamming" if "bits" in fields else "cosine"
            descriptors = np.ascontiguousarray(rows[_DESCRIPTOR_FIELDS[metric]])
            if "position" not in fields:
                return cls(*_unrounded(rows), descriptors, metric, rounded=True)
            return cls(
                np.ascontiguousarray(rows["position"], dtype=np.float32),
                rows["scale"].astype(np.float32),
                rows["orientation"].astype(np.float32),
                rows["score"].astype(np.float32),
                descriptors,
                metric,
            )
        except InvalidInput:
            raise
        except (
            ValueError,
            EOFError,
            OSError,
            IndexError,
            KeyError,
            TypeError,
            SyntaxError,
            TokenError,
        ) as error:
            raise InvalidInput(f"these {len(data)} bytes are no local features ({error})") from None


_DESCRIPTOR_FIELDS = {"cosine": "descriptor", "hamming": "bits"}

_PLACES = {f"position_{parts}": parts for parts in (32, 16, 8, 4, 2)}
"""Names of rounded positions, and as how many parts of a pixel they count: the finest that 16 bits hold."""
_OCTAVE, _TURN = 16, 256
"""Steps of a rounded diameter over twice its size, and of a rounded orientation over a full turn."""


def _rounded(features: LocalFeatures, descriptor: tuple[str, np.dtype, tuple[int]]) -> np.ndarray:
    """Returns rows of keypoints in 6 bytes each, their descriptors not yet filled in."""
    # Positions begin at -0.5.
    shifted = np.maximum(features.positions.astype(np.float64) + 1.0, 0.0)
    largest = float(shifted.max(initial=1.0))
    name, parts = next(
        ((name, parts) for name, parts in _PLACES.items() if largest * parts < 65535), ("position_2", 2)
    )
    row = np.dtype([(name, "<u2", (2,)), ("octave", "u1"), ("turn", "u1"), descriptor])
    rows = np.empty(len(features), dtype=row)
    rows[name] = np.clip(np.rint(shifted * parts), 0, 65535)
    octaves = _OCTAVE * np.log2(np.maximum(features.scales.astype(np.float64), 1e-3))
    rows["octave"] = np.clip(np.rint(octaves), 0, 255)
    rows["turn"] = np.rint(features.orientations.astype(np.float64) * (_TURN / (2 * np.pi))) % _TURN
    return rows


def _unrounded(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns positions, scales, orientations and scores of rounded rows.

    Raises:
        ValueError: Their positions are of an unknown kind.
    """
    name = next((name for name in rows.dtype.names or () if name in _PLACES), None)
    if name is None:
        raise ValueError(f"no positions among {rows.dtype.names}")
    positions = rows[name].astype(np.float64) / _PLACES[name] - 1.0
    count = len(rows)
    return (
        positions.astype(np.float32),
        np.exp2(rows["octave"] / _OCTAVE).astype(np.float32),
        (rows["turn"] * (2 * np.pi / _TURN)).astype(np.float32),
        (np.arange(count, 0, -1) / max(count, 1)).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """What a model says of one photo.

    Attributes:
        descriptor: float32 ``(dim,)``, unit L2 norm; the inner product of two is their score.
        local: Local features for verification, or ``None`` where the model has none.
        recognisable: Whether the descriptor says anything of the photo. False where the model had nothing to
            describe it by, as where keypoints alone make the descriptor and there are none: such photos all
            have the same one.
    """

    descriptor: Float32[np.ndarray, " dim"]
    local: LocalFeatures | None = None
    recognisable: bool = True


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The pixels that one cell of a feature map sees, in the manner of the authors of DELG.

    Cell ``i``, counted from 0, sees the pixels from ``stride * i - padding`` to
    ``stride * i - padding + size - 1``, both included, along rows as along columns.

    Attributes:
        size: Side of what a cell sees, pixels.
        stride: Pixels between neighbouring cells.
        padding: How many pixels of what the first cell sees lie before the image's first one.
    """

    size: int
    stride: int
    padding: int

    @property
    def first_centre(self) -> float:
        """Where the centre of what the first cell sees lies; integer positions are pixel centres."""
        return (self.size - 1) / 2 - self.padding
