"""Any picture mode to RGB, 8 bits a channel, by one rule each."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

__all__ = ["to_rgb"]

# Rows converted at once: a few megabytes of temporaries instead of several copies of a panorama in float32.
_PIXELS_AT_ONCE = 1 << 20


def to_rgb(image: Image.Image) -> Image.Image:
    """Returns the loaded image in mode RGB.

    * Grey, 1-bit, palette: each value stands for its grey or its palette colour.
    * Alpha of any kind (a channel, a palette with transparency, one transparent colour): laid over white.
    * CMYK: ``R = (255 - C)(255 - K) / 255``, likewise G and B, without a profile. In a JPEG file its values
      are taken as inverted, the way Adobe writes them, whether or not the file says so.
    * YCbCr (full range, BT.601), HSV, LAB (D50, to sRGB): converted by their definitions.
    * 16 bits a channel, grey or colour: the high byte, ``value // 256``.
    * 32-bit integers and floats: black is 0 and below; white is the smallest of 1, 255 and 65535 that no
      value exceeds, else the largest value (an integer picture is not taken for one of white 1). NaN is
      black, infinity is white, neither is asked for white.

    Colour profiles (ICC) are not applied: the networks and codebooks of the field were trained and
    published on photos read without them, grey-value features hardly see the difference, and one rule for
    all costs nothing.
    """
    if image.mode in ("I", "F"):
        return _scaled_to_white(image)
    if image.mode.startswith("I;16"):
        return _high_byte(image)
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        flat = Image.new("RGB", image.size, "white")
        flat.paste(rgba, mask=rgba.getchannel("A"))
        return flat
    return image if image.mode == "RGB" else image.convert("RGB")


def _high_byte(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = (values >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _scaled_to_white(image: Image.Image) -> Image.Image:
    values: Shaped[np.ndarray, "rows columns"] = np.asarray(image)
    finite = np.isfinite(values)
    largest = float(values.max(where=finite, initial=0))
    whites = (255.0, 65535.0) if image.mode == "I" else (1.0, 255.0, 65535.0)
    white = next((white for white in whites if largest <= white), largest)
    grey: UInt8[np.ndarray, "rows columns"] = np.empty(values.shape, dtype=np.uint8)
    step = max(1, _PIXELS_AT_ONCE // values.shape[1])
    for start in range(0, len(values), step):
        part = np.nan_to_num(values[start : start + step]).astype(np.float64)
        grey[start : start + step] = np.rint(np.clip(part / white, 0.0, 1.0) * 255.0)
    return Image.fromarray(grey).convert("RGB")
