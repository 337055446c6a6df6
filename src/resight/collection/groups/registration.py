"""Are two photos one picture? Laid over each other by the transform, their pixels must agree.

Views of one thing from different places have as many inliers as copies; what tells them apart is the picture
itself. The transform is fitted closely, then by the pixels (ECC: G. Evangelidis and E. Psarakis, Parametric
image alignment using enhanced correlation coefficient maximization, PAMI 2008). Where anything is to be seen,
small windows of both are compared by their normalised correlation, which takes no notice of brightness,
contrast and colour. Parallax, another moment or another text leaves windows that do not agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from resight.collection.groups.lines import SAME_WORDS, between_lines
from resight.images import Photo
from resight.search.geometry.config import VerificationConfig
from resight.search.geometry.fitting import apply, grow

__all__ = ["COMPARED", "Registration", "Thumbnail", "register"]

SIDE = 512
"""Long side in pixels of the photos that are compared."""
COMPARED = 288
"""Long side in pixels at most at which the overlap is compared."""
CLOSE = 3.0
"""Pixels of a photo of 640 within which the inliers of a close fit lie."""
WINDOW = 9
"""Pixels of a side of a window."""
VISIBLE = 5.0
"""Standard deviation of 256 levels from which a window shows anything."""
AGREES, EXACT = 0.6, 0.9
"""Correlation from which two windows agree, and from which they are the same but for noise."""
HOPELESS = 0.25
"""Share of agreeing windows before the fit by pixels below which that is not tried: other pictures. Of 627
pairs of a made set that geometry did not refuse, none of the 55 below reached .4 by it."""
FITS, FITS_EXACTLY = 0.98, 0.95
"""Agreement and exactness from which that fit has nothing to add: it takes a third of the time."""
VIEWS = 0.35
"""Share of agreeing windows after that fit below which no more is asked: no edit leaves so little."""
FLAT, CLIPPED = 0.25, 20
"""Share of a picture taken for flat, and levels from black and white within which noise is cut off."""
NOISE = 2.0
"""So much of the variance of noise in flat parts is no sharpness: there is more of it elsewhere. Of 60
pictures with noise of 10 to 50 levels all count as sharper than the picture itself at 0, 16 at 1, none at 2;
of 60 blurred ones none at 0 and 1, two at 2."""
RIM, RIM_POINTS, STEP = 0.04, 48, 10.0
"""Share of the short side within which steps at the rim are looked for, points of each side, least step."""


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A photo as it is compared.

    Attributes:
        pixels: RGB uint8, at most `SIDE` pixels long.
        width: Of the whole photo, pixels.
        height: Of the whole photo, pixels.
        sharpness: Of its grey levels, by `_sharpness`.
    """

    pixels: UInt8[np.ndarray, "rows columns 3"]
    width: int
    height: int
    sharpness: float

    @classmethod
    def of(cls, photo: Photo) -> Thumbnail:
        """Returns a photo that was read with a long side of at most `SIDE`."""
        grey = cv2.cvtColor(photo.pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return cls(photo.pixels, photo.width, photo.height, _sharpness(grey))

    @property
    def scaled(self) -> Float64[np.ndarray, "3 3"]:
        """Pixels of the whole photo to those of this one."""
        rows, columns = self.pixels.shape[:2]
        return _resized(columns / self.width, rows / self.height)


def _sharpness(grey: Float32[np.ndarray, "rows columns"]) -> float:
    """Returns the variance of the Laplacian less what noise gives; larger is sharper.

    Noise is what the Laplacian has where the picture, blurred, is flattest and neither black nor white, which
    would cut it off. Its variance is the square of the median magnitude over .6745, as of a normal
    distribution (F. Hampel, The influence curve and its role in robust estimation, JASA 1974).
    """
    laplacian = cv2.Laplacian(grey, cv2.CV_32F)
    some = laplacian[::4, ::4]
    smooth = cv2.resize(grey, some.shape[::-1], interpolation=cv2.INTER_AREA)
    slopes = [cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((1, 0), (0, 1))]
    steepness = cv2.blur(slopes[0] ** 2 + slopes[1] ** 2, (5, 5))
    clear = (smooth > CLIPPED) & (smooth < 255 - CLIPPED)
    if np.count_nonzero(clear) < FLAT * clear.size / 2:
        clear[:] = True
    flat = clear & (steepness <= np.quantile(steepness[clear], FLAT))
    deviation = float(np.median(np.abs(some[flat]))) / 0.6745
    return float(laplacian.var()) - NOISE * deviation**2


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """What two photos have in common once one is laid over the other.

    Attributes:
        transform: Pixels of the first photo to those of the second, as the pixels fit best.
        agreement: Share of the windows that show anything in either photo, in which both agree; of print with
            other words on the same lines, of those between the lines.
        exactness: Share of these in which both are the same but for noise. Under a caption and around it the
            two differ: what agrees is exact.
        covered: Share of the overlap whose windows do not agree, such as a caption; NaN, as are those below,
            where hardly anything agrees.
        recoloured: Root mean square of the difference of mean colours where they agree, 0 to 1.
        faded: Standard deviation of the second photo's grey levels in the overlap, that of the first being 1.
        first_framed: Share of the first photo's rim, on its two smoothest sides, at which the second shows
            a step: a border, a page around it. NaN where it goes on beyond fewer than three sides.
        second_framed: The same of the second photo's rim.
    """

    transform: Float64[np.ndarray, "3 3"]
    agreement: float
    exactness: float
    covered: float = math.nan
    recoloured: float = math.nan
    faded: float = math.nan
    first_framed: float = math.nan
    second_framed: float = math.nan


def register(
    first: Thumbnail,
    second: Thumbnail,
    points: tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "n 2"]],
    transform: Float64[np.ndarray, "3 3"],
) -> Registration | None:
    """Returns how two photos agree, or None where too little of them lies over each other to say.

    Args:
        first: One photo.
        second: The other.
        points: The same places in both, pixels of the whole photos.
        transform: Pixels of the first to those of the second; may mirror.
    """
    fitted = _close(points, transform)
    frame = _Frame.of(first, second, fitted)
    if frame is None:
        return None
    one, other = frame.shown(first, np.eye(3)), frame.shown(second, fitted)
    windows = _Windows.of(one, other)
    if windows is None or windows.agreement < HOPELESS:
        return None
    fits = windows.agreement >= FITS and windows.exactness >= FITS_EXACTLY
    moved = None if fits else _aligned(one, other)
    if moved is not None:
        # The frame's own pixels, moved before the second photo is looked up.
        better = fitted @ frame.origin @ moved @ np.linalg.inv(frame.origin)
        shown = frame.shown(second, better)
        compared = _Windows.of(one, shown)
        if compared is not None and compared.agreement > windows.agreement:
            fitted, other, windows = better, shown, compared
    between = between_lines(one.grey, other.grey, windows.visible)
    agreement = between if between < SAME_WORDS else windows.agreement
    if agreement < VIEWS:
        return Registration(fitted, agreement, windows.exactness)
    agreeing = windows.both & ~(windows.visible & ~windows.alike)
    return Registration(
        fitted,
        windows.agreement,
        windows.exactness,
        covered=float(1 - np.count_nonzero(agreeing) / np.count_nonzero(windows.both)),
        recoloured=_recoloured(one, other, agreeing),
        faded=float(other.grey[agreeing].std() / max(float(one.grey[agreeing].std()), 1e-3)),
        first_framed=_framed(first, second, fitted),
        second_framed=_framed(second, first, np.linalg.inv(fitted)),
    )


def _close(
    points: tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "n 2"]],
    transform: Float64[np.ndarray, "3 3"],
) -> Float64[np.ndarray, "3 3"]:
    """Returns the affine transform, or the homography where that explains clearly more, fitted closely."""
    spans = [max(float(np.ptp(side, axis=0).max()), 1.0) / 640 for side in points]
    source, target = (side / np.float32(span) for side, span in zip(points, spans, strict=True))
    to_first, to_second = (np.diag([span, span, 1.0]) for span in spans)
    near = np.ones(len(source), dtype=bool)
    affine = grow(source, target, near, VerificationConfig(model="affine", threshold=CLOSE))
    tilted = grow(source, target, near, VerificationConfig(model="homography", threshold=CLOSE))
    counts = [0 if fit is None else int(np.count_nonzero(fit[1])) for fit in (affine, tilted)]
    best = tilted if counts[1] > 1.15 * counts[0] + 2 else affine
    if best is None:
        return transform
    return to_second @ best[0] @ np.linalg.inv(to_first)


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """A photo in the frame of comparison, and where it shows anything."""

    pixels: UInt8[np.ndarray, "rows columns 3"]
    grey: Float32[np.ndarray, "rows columns"]
    inside: Bool[np.ndarray, "rows columns"]


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """The rectangle of the first photo that the second shows, at the size at which they are compared.

    Attributes:
        origin: Pixels of the frame to those of the whole first photo.
        width: Pixels.
        height: Pixels.
    """

    origin: Float64[np.ndarray, "3 3"]
    width: int
    height: int

    @classmethod
    def of(cls, first: Thumbnail, second: Thumbnail, transform: Float64[np.ndarray, "3 3"]) -> _Frame | None:
        """Returns the frame, or None where the photos hardly overlap."""
        corners = apply(np.linalg.inv(transform), _corners(second))
        if not np.isfinite(corners).all():
            return None
        x0, y0 = np.maximum(corners.min(axis=0), -0.5).tolist()
        x1, y1 = np.minimum(corners.max(axis=0), (first.width - 0.5, first.height - 0.5)).tolist()
        if x1 - x0 < 8 or y1 - y0 < 8:
            return None
        # No finer than either photo is there.
        middle = np.array([[(x0 + x1) / 2, (y0 + y1) / 2]])
        finest = min(_size(first.scaled, middle), _size(second.scaled @ transform, middle))
        scale = min(finest, COMPARED / max(x1 - x0, y1 - y0))
        width, height = round((x1 - x0) * scale), round((y1 - y0) * scale)
        if min(width, height) < 2 * WINDOW:
            return None
        across, down = (x1 - x0) / width, (y1 - y0) / height
        origin = np.array([[across, 0, x0 + across / 2], [0, down, y0 + down / 2], [0, 0, 1.0]])
        return cls(origin, width, height)

    def shown(self, photo: Thumbnail, transform: Float64[np.ndarray, "3 3"]) -> _Shown:
        """Returns a photo, of which the transform takes the first photo's pixels to it, in the frame."""
        lookup = photo.scaled @ transform @ self.origin
        middle = np.array([[self.width / 2, self.height / 2]])
        reduction = _size(lookup, middle)
        pixels = photo.pixels
        if reduction > 1.3:
            # Averaged first, as a warp alone would pick single pixels.
            rows, columns = pixels.shape[:2]
            small = max(round(columns / reduction), 8), max(round(rows / reduction), 8)
            pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
            lookup = _resized(small[0] / columns, small[1] / rows) @ lookup
        size = (self.width, self.height)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpPerspective(pixels, lookup, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        whole = np.full(pixels.shape[:2], 255, dtype=np.uint8)
        inside = cv2.warpPerspective(whole, lookup, size, flags=flags) > 250
        grey = cv2.GaussianBlur(cv2.cvtColor(warped, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 0.8)
        return _Shown(warped, grey, inside)


def _resized(across: float, down: float) -> Float64[np.ndarray, "3 3"]:
    """Returns where the pixels of a photo lie after it was resized; integer coordinates are centres."""
    return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1.0]])


def _corners(photo: Thumbnail) -> Float32[np.ndarray, "4 2"]:
    right, low = photo.width - 0.5, photo.height - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, low], [-0.5, low]], dtype=np.float32)


def _size(transform: Float64[np.ndarray, "3 3"], place: Float64[np.ndarray, "1 2"]) -> float:
    """Returns how many pixels a pixel at that place becomes along a side."""
    places = (place + np.array([[0, 0], [1, 0], [0, 1]])).astype(np.float32)
    moved = apply(transform, places)
    return float(max(abs(np.linalg.det(moved[1:] - moved[0])), 1e-12) ** 0.5)


def _aligned(one: _Shown, other: _Shown) -> Float64[np.ndarray, "3 3"] | None:
    """Returns where the first's pixels lie in the second, or None where the pixels do not say.

    At half the size: a quarter of the time, and still to a tenth of a pixel.
    """
    size = one.grey.shape[1] // 2, one.grey.shape[0] // 2
    left, right = (cv2.resize(side.grey, size, interpolation=cv2.INTER_AREA) for side in (one, other))
    inside = (one.inside & other.inside).astype(np.uint8)
    mask = cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 1e-4)
    start = np.eye(3, dtype=np.float32)
    try:
        _, moved = cv2.findTransformECC(left, right, start, cv2.MOTION_HOMOGRAPHY, criteria, mask, 3)
    except cv2.error:
        # It does not converge.
        return None
    places = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32) * np.array(size, np.float32)
    shift = np.linalg.norm(apply(moved.astype(np.float64), places) - places, axis=1)
    # Further away is another picture that happens to correlate.
    if not np.isfinite(shift).all() or shift.max() > 0.06 * max(size):
        return None
    enlarged = _resized(one.grey.shape[1] / size[0], one.grey.shape[0] / size[1])
    return enlarged @ moved.astype(np.float64) @ np.linalg.inv(enlarged)


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """Windows of two photos in one frame, by their centre.

    Attributes:
        both: Where both photos show anything.
        visible: In which windows there is anything to be seen in either.
        alike: In which both agree.
        exactness: Share of these that are the same but for noise.
    """

    both: Bool[np.ndarray, "rows columns"]
    visible: Bool[np.ndarray, "rows columns"]
    alike: Bool[np.ndarray, "rows columns"]
    exactness: float

    @property
    def agreement(self) -> float:
        """Share of the visible windows that agree."""
        return float(np.count_nonzero(self.visible & self.alike) / np.count_nonzero(self.visible))

    @classmethod
    def of(cls, one: _Shown, other: _Shown) -> _Windows | None:
        """Returns the comparison, or None where too little can be seen to say."""
        both, size = one.inside & other.inside, (WINDOW, WINDOW)
        if np.count_nonzero(both) < 4 * WINDOW**2:
            return None
        means = [cv2.blur(side.grey, size) for side in (one, other)]
        spreads = [
            np.maximum(cv2.blur(side.grey * side.grey, size) - mean**2, 0)
            for side, mean in zip((one, other), means, strict=True)
        ]
        common = cv2.blur(one.grey * other.grey, size) - means[0] * means[1]
        correlation = common / np.sqrt(spreads[0] * spreads[1] + 1e-3)
        whole = cv2.erode(both.astype(np.uint8), np.ones(size, np.uint8), borderValue=0) > 0
        # Against the contrast of the whole: a faded copy shows less everywhere.
        least = [VISIBLE * min(1.0, max(float(side.grey[both].std()) / 50, 0.2)) for side in (one, other)]
        visible = whole & ((spreads[0] > least[0] ** 2) | (spreads[1] > least[1] ** 2))
        if np.count_nonzero(visible) < 2 * WINDOW**2:
            return None
        alike = correlation > AGREES
        exact = np.count_nonzero(visible & (correlation > EXACT))
        return cls(both, visible, alike, float(exact) / max(int(np.count_nonzero(visible & alike)), 1))


def _recoloured(one: _Shown, other: _Shown, agreeing: Bool[np.ndarray, "rows columns"]) -> float:
    """Returns the root mean square of the difference of mean colours, where both show the same; 0 to 1."""
    size = (WINDOW, WINDOW)
    # Windows that touch no caption or border.
    clear = cv2.erode(agreeing.astype(np.uint8), np.ones(size, np.uint8), borderValue=1)
    left, right = (cv2.blur(side.pixels, size) for side in (one, other))
    values = 3 * max(cv2.countNonZero(clear), 1)
    return float(cv2.norm(left, right, cv2.NORM_L2, clear)) / values**0.5 / 255


def _framed(inner: Thumbnail, outer: Thumbnail, transform: Float64[np.ndarray, "3 3"]) -> float:
    """Returns at what share of the two smoothest sides of a photo's rim the outer shows no continuation.

    A picture is much the same on both sides of a line through it; at the rim of a border or of a page around
    it there is a step. Steps are looked for in the outer photo alone. NaN where it
    goes on beyond fewer than three sides.

    Args:
        inner: Whose rim is looked at.
        outer: In which.
        transform: Pixels of the inner photo to those of the outer one.
    """
    colours = cv2.GaussianBlur(outer.pixels, (0, 0), 0.8)
    last = np.array(colours.shape[1::-1], dtype=np.float32) - 1
    lookup = outer.scaled @ transform
    width, height = inner.width, inner.height
    pixel = 1 / _size(lookup, np.array([[width / 2, height / 2]]))
    reach = max(RIM * min(width, height) / 3, 2.0 * pixel)
    along = np.linspace(0.06, 0.94, RIM_POINTS)
    levels, seen = [], np.ones(4 * RIM_POINTS, dtype=bool)
    for depth in (-reach, reach, 2 * reach):
        x, y = along * width, along * height
        low, right = np.full(RIM_POINTS, height - 1 - depth), np.full(RIM_POINTS, width - 1 - depth)
        depths = np.full(RIM_POINTS, depth)
        sides = [np.stack(side, axis=1) for side in ((x, depths), (right, y), (x, low), (depths, y))]
        places = apply(lookup, np.concatenate(sides).astype(np.float32)).astype(np.float32)
        seen &= ((places >= 0) & (places <= last)).all(axis=1)
        values = cv2.remap(colours, places[:, 0], places[:, 1], cv2.INTER_LINEAR)
        levels.append(values.reshape(-1, 3).astype(np.float32))
    outside, inside, deeper = levels
    usual = float(np.median(np.abs(inside - deeper).max(axis=1)[seen])) if seen.any() else 0.0
    steps = np.abs(outside - inside).max(axis=1) > 2.5 * usual + STEP
    shares = [
        float(np.mean(steps[side][seen[side]]))
        for side in np.arange(4 * RIM_POINTS).reshape(4, RIM_POINTS)
        if np.count_nonzero(seen[side]) > RIM_POINTS // 2
    ]
    # One side of a part may run along an edge of the picture by chance: a frame has steps on all of them.
    return float(np.mean(sorted(shares)[:2])) if len(shares) > 2 else math.nan
