"""A photo in any form a Python program holds one in: a path, bytes, an open file, a PIL image, an array."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from resight.errors import InvalidInput
from resight.features import Box
from resight.files import is_address, typed_path
from resight.images.decode import Stored
from resight.images.opening import open_photo, reasons
from resight.images.orientation import orientation
from resight.images.photo import Photo
from resight.images.read import MAX_PIXELS, decoded, read
from resight.images.show import check_side, show

__all__ = ["PhotoSource", "from_bucket", "photo_of", "several_photos"]

_CHANNELS = (1, 3)
_ONE = (str, bytes, bytearray, memoryview, os.PathLike, Mapping, Image.Image, np.ndarray)

PhotoSource: TypeAlias = (
    "str | Path | bytes | bytearray | memoryview | BinaryIO | Image.Image | UInt8[np.ndarray, '...']"
)
"""A path, a file's bytes, an open binary file, a PIL image, or a uint8 array: RGB or grey."""


def photo_of(
    source: PhotoSource,
    *,
    max_side: int | None = None,
    box: Box | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Photo:
    """Returns the photo that a value of any accepted form stands for, upright, as RGB uint8.

    All forms of one photo give the same pixels. The one exception: a JPEG in a file, bytes or a stream is
    decoded at a fraction of its size where ``max_side`` allows, which a picture in memory cannot be.

    Args:
        source: One of:

            * a path (also ``~/photo.jpg`` or a ``file:`` URL), a file's bytes, or an open binary file, which
              is read from its start: see `read`;
            * a PIL image of any mode: turned upright by its EXIF orientation, made RGB as a file's is, and
              left unchanged (a lazy one is loaded);
            * a uint8 array, upright: RGB ``(rows, columns, 3)``, grey ``(rows, columns)`` or ``(rows,
              columns, 1)``.
        max_side: Long side at which the whole photo is shown, pixels; ``None``: full size. Never enlarges.
        box: The part wanted, in pixels of the whole upright photo.
        max_pixels: Most pixels of a file that are decoded, see `read`; a picture in memory has no limit.

    Raises:
        InvalidInput: The value is none of these forms, an array has another shape or type of number, the box
            lies outside the photo, or ``max_side`` or ``max_pixels`` is below 1.
        UnreadableImage: The file is missing, broken, foreign or too large, or a lazy PIL image breaks while
            being loaded.
    """
    if isinstance(source, Image.Image):
        check_side(max_side)
        return show(
            Stored(decoded(source), orientation(source), source.size, source.size), max_side=max_side, box=box
        )
    if isinstance(source, np.ndarray):
        check_side(max_side)
        image = _image_of(source)
        return show(Stored(image, 1, image.size, image.size), max_side=max_side, box=box)
    if isinstance(source, os.PathLike) and not isinstance(source, Path):
        source = typed_path(source)
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    if isinstance(source, str | bytes | Path) or hasattr(source, "read"):
        return read(source, max_side=max_side, box=box, max_pixels=max_pixels)
    raise InvalidInput(
        "a photo is a path, bytes, an open binary file, a PIL image or an RGB array, "
        f"not a value of type {type(source).__name__}"
    )


@contextmanager
def from_bucket(source: PhotoSource) -> Iterator[PhotoSource]:
    """Yields what `photo_of` takes: an address ``s3://bucket/key`` is read, any other form is what it is.

    For what a person or the collection names on this machine: `photo_of` reads no address.

    Raises:
        UnreadableImage: There is no such object, or the store refuses it.
    """
    if isinstance(source, str) and is_address(source):
        with reasons(source):
            stream = open_photo(source)
        with stream:
            yield stream
    else:
        yield source


def several_photos(photos: PhotoSource | Iterable[PhotoSource]) -> Iterable[PhotoSource]:
    """Returns photos as an iterable: one photo, or any iterable of them.

    Open files, bytes, arrays and mappings can be iterated too, and are one value.
    """
    if not isinstance(photos, Iterable) or isinstance(photos, _ONE) or hasattr(photos, "read"):
        return [cast("PhotoSource", photos)]
    return photos


def _image_of(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype != np.uint8:
        raise InvalidInput(
            f"a photo's array holds uint8 values, 0 to 255, not {pixels.dtype}: scale and convert it first"
        )
    channels = 1 if pixels.ndim == 2 else pixels.shape[2] if pixels.ndim == 3 else 0
    if channels not in _CHANNELS or pixels.size == 0:
        # An array does not say whether its fourth channel is alpha, and in which order the others are.
        alpha = ": make a PIL image of one with alpha, Image.fromarray(array)" if channels in (2, 4) else ""
        raise InvalidInput(
            "a photo's array is RGB (rows, columns, 3) or grey (rows, columns), "
            f"not of shape {pixels.shape}{alpha}"
        )
    plane = pixels[..., 0] if channels == 1 and pixels.ndim == 3 else pixels
    return Image.fromarray(np.ascontiguousarray(plane))
