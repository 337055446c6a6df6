"""Any picture mode to grey or RGB, 8 bits a channel, by one rule each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image

__all__ = ["clipped_at_white", "grey_or_rgb", "high_bits", "white_of"]

# Rows converted at once: a few megabytes of temporaries instead of copies of a panorama.
_PIXELS_AT_ONCE = 1 << 20

# Values looked at to choose a white.
_SAMPLES = 1 << 20


def grey_or_rgb(image: Image.Image) -> Image.Image:
    """Returns the loaded image in mode L where it is grey, else RGB.

    * Grey, 1-bit, palette: each value stands for its grey or its palette colour.
    * Alpha of any kind (a channel, a palette with transparency, one transparent colour): laid over white.
    * CMYK: ``R = (255 - C)(255 - K) / 255``, likewise G and B, without a profile. In a JPEG file its values
      are taken as inverted, the way Adobe writes them, whether or not the file says so.
    * YCbCr (full range, BT.601), HSV, LAB (D50, to sRGB): converted by their definitions.
    * 16 bits a channel, grey or colour: the high byte, ``value // 256``.
    * 32-bit integers and floats: black is 0 and below; white is as `white_of` says, and what is above is
      white. NaN is black, infinity is white.

    Colour profiles (ICC) are not applied: the networks and codebooks of the field were trained and
    published on photos read without them, grey-value features hardly see the difference, and one rule for
    all costs nothing.
    """
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return image
    if image.mode in ("I", "F"):
        white = white_of(_samples(image), whole=image.mode == "I")
        bands = (
            (top, Image.fromarray(clipped_at_white(np.asarray(band), white))) for top, band in _bands(image)
        )
    elif image.mode.startswith("I;16"):
        bands = ((top, _high_byte(band)) for top, band in _bands(image))
    elif image.has_transparency_data:
        bands = ((top, _over_white(band)) for top, band in _bands(image))
    else:
        bands = ((top, band.convert("L" if band.mode == "1" else "RGB")) for top, band in _bands(image))
    result = Image.new("L" if image.mode in ("1", "I", "F") or image.mode[:2] == "I;" else "RGB", image.size)
    for top, band in bands:
        result.paste(band, (0, top))
    return result


def white_of(values: Shaped[np.ndarray, "..."], *, whole: bool) -> float:
    """Returns the value that is white in a picture of 32-bit integers or of floats.

    It is chosen by the value q that 90 % of the positive, finite values do not exceed, so that a few
    highlights, hot pixels or the overshoot of a filter do not decide: the smallest of the usual whites (1
    for floats; 255, 65535, and for integers the largest of 32 bits with and without sign) that q does not
    exceed by more than 5 %. Where that is over 32 times q (12-bit values in a wide type), white is q itself:
    the picture would else be black.

    Args:
        values: Some or all values of the picture.
        whole: Whether they are integers, which are not taken for a picture of white 1.
    """
    # Signalling NaNs of damaged files would warn.
    with np.errstate(invalid="ignore"):
        positive = values[(values > 0) & np.isfinite(values)]
    if not positive.size:
        return 1.0
    level = float(np.quantile(positive, 0.9, method="higher"))
    whites = (255.0, 65535.0, 2.0**31 - 1, 2.0**32 - 1) if whole else (1.0, 255.0, 65535.0)
    white = next((white for white in whites if level <= 1.05 * white), level)
    # A dark picture of white 1 or 255 stays dark.
    return level if white > whites[0] and white > 32 * level else white


def clipped_at_white(values: Shaped[np.ndarray, "..."], white: float) -> UInt8[np.ndarray, "..."]:
    """Returns values as bytes: 0 and below and NaN black, ``white`` and above white, linear between."""
    with np.errstate(invalid="ignore"):
        scaled: Float[np.ndarray, "..."] = np.nan_to_num(values.astype(np.float64)) / white
    return np.rint(np.clip(scaled, 0.0, 1.0) * 255.0).astype(np.uint8)


def high_bits(values: Shaped[np.ndarray, "..."], depth: int) -> UInt8[np.ndarray, "..."]:
    """Returns the highest 8 bits of values of 9 to 16 bits; what is above their range is white."""
    return np.minimum(values >> (depth - 8), 255).astype(np.uint8)


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yields an image in bands of whole rows, each with its first row."""
    step = max(1, _PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, step):
        yield top, image.crop((0, top, image.width, min(top + step, image.height)))


def _samples(image: Image.Image) -> Shaped[np.ndarray, "n"]:
    every = max(1, round(image.width * image.height / _SAMPLES))
    return np.concatenate([np.asarray(band).ravel()[::every] for _, band in _bands(image)])


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    flat = Image.new("RGB", image.size, "white")
    flat.paste(rgba, mask=rgba.getchannel("A"))
    return flat


def _high_byte(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = (values >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)
