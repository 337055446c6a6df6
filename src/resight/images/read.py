"""Reads a photo: any of the accepted formats, upright, RGB, at the size that is asked for.

A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, straight from its cosine coefficients, when less
than that is asked for: benchmarks/decode.py measures the gain.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.ImageFile import ImageFile

from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box
from resight.images import formats
from resight.images.colour import grey_or_rgb
from resight.images.opening import open_file
from resight.images.orientation import orientation
from resight.images.photo import Photo
from resight.images.show import check_side, show
from resight.images.tiff import full_picture
from resight.images.tiff_samples import read_samples

__all__ = ["MAX_PIXELS", "decoded", "read"]

MAX_PIXELS = 225_000_000
"""Most pixels that are decoded: a panorama of 20,000 by 8,900, about 1.3 GB of memory at its height.

It is where Pillow itself refuses a picture as a decompression bomb; some of its decoders do so whatever
may be allowed here.
"""

# What Pillow's decoders raise on broken files, found by corrupting files of every format and reading their
# sources.
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read(
    source: str | Path | bytes | BinaryIO,
    *,
    max_side: int | None = None,
    box: Box | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Photo:
    """Returns the photo of a file, upright, as RGB uint8.

    Read are JPEG, PNG, WebP, TIFF (first page), BMP, GIF, AVIF and HEIC; of an animation the first
    frame. What the file is, its bytes say, not its name. The orientation of the EXIF
    data (or, without them, of the XMP data) is applied in every format; other colours become RGB as
    ``colour.grey_or_rgb`` says: alpha over white, 16 bits by their high byte, no colour profiles.

    Safe to call from several threads; decoding runs outside the interpreter's lock.

    Args:
        source: A path, a file's bytes, or a binary stream (read from its start, left open).
        max_side: Long side at which the whole photo is shown, pixels; ``None``: full size. Never enlarges.
        box: The part wanted, in pixels of the whole upright photo; rounded to whole pixels and clipped to
            the photo. It is shown at the scale the whole photo has at ``max_side``, not at ``max_side``
            itself.
        max_pixels: Most pixels to decode, against decompression bombs. What counts is the size decoded at,
            so a larger JPEG can be read with a ``max_side`` that lets it be decoded reduced; a progressive
            one, which has to be held in memory at full size for that, cannot.

    Raises:
        UnreadableImage: The file is missing, broken, foreign or too large.
        InvalidInput: The box lies outside the photo, or ``max_side`` or ``max_pixels`` is below 1.
    """
    check_side(max_side)
    if max_pixels < 1:
        raise InvalidInput(f"max_pixels must be at least 1, not {max_pixels}")
    with _opened(source) as (name, stream), formats.pillow_warnings_unseen():
        return _decode(name, stream, max_side, box, max_pixels)


def decoded(image: Image.Image) -> Image.Image:
    """Returns a PIL image, loaded and made grey or RGB, as stored: not turned upright.

    Raises:
        UnreadableImage: Its pixels are loaded only now, and the file behind it is broken or gone.
    """
    with _reasons("the PIL image", image.format or "pixel"), formats.pillow_warnings_unseen():
        image.load()
        return grey_or_rgb(image)


def _decode(name: str, stream: BinaryIO, max_side: int | None, box: Box | None, max_pixels: int) -> Photo:
    with _reasons(name):
        head = stream.read(formats.HEAD)
    if not isinstance(head, bytes):
        raise InvalidInput(f"a photo is read from a binary stream, and {name} gives {type(head).__name__}")
    if not head:
        raise UnreadableImage(name, "the file is empty")
    kind = formats.detect(head)
    if kind is None:
        raise UnreadableImage(name, f"it is {formats.what_else(head)}; accepted are {formats.ACCEPTED}")
    if kind == "TIFF":
        with _reasons(name, kind):
            layout, stream = full_picture(name, stream)
        if not layout.by_pillow:
            _refuse_size(name, (layout.width, layout.height), layout.weight, max_pixels)
            with _reasons(name, kind):
                picture = read_samples(name, stream, layout)
            return show(picture, layout.orientation, max_side=max_side, box=box)
    with _reasons(name, kind):
        stream.seek(0)
        image = formats.open_image(kind, stream)
        full = image.size
        # Of a reduced JPEG the last column may stand for less than a whole one: its extent is a
        # fraction of pixels.
        extent = _reduce_decoding(image, max_side)
    # libjpeg keeps the coefficients of a progressive file at full size, however small it decodes it.
    _refuse_size(name, full if image.info.get("progressive") else image.size, _weight(image), max_pixels)
    with _reasons(name, kind):
        image.load()
        picture = grey_or_rgb(image)
        value = orientation(image)
    return show(picture, value, max_side=max_side, box=box, full=full if extent else None, extent=extent)


def _reduce_decoding(image: ImageFile, max_side: int | None) -> tuple[float, float] | None:
    """Returns the size at which a JPEG will be decoded, at least that wanted; ``None`` for all other images.

    Neither the box nor the orientation matters: a crop is shown at the scale of the whole.
    """
    if image.format != "JPEG":
        return None
    width, height = image.size
    side = max(width, height) if max_side is None else min(max_side, max(width, height))
    # The long side decides: the short one of a thin panorama may be shown at less than its reduced size.
    drafted = image.draft(None, (side, 1) if width >= height else (1, side))
    return drafted[1][2:] if drafted else None


def _weight(image: ImageFile) -> float:
    """Returns the memory a pixel takes while it is decoded, in units of the four bytes of an RGB pixel."""
    converted = image.mode not in ("1", "L", "P", "RGB", "I;16", "I;16B", "I;16L") or (
        image.mode == "RGB" and image.has_transparency_data
    )
    return 2.0 if converted else 1.0


def _refuse_size(name: str, size: tuple[int, int], weight: float, max_pixels: int) -> None:
    width, height = size
    if width * height * weight > max_pixels:
        limit = int(max_pixels / weight)
        each = "" if weight == 1 else f", at {weight:g} times the memory of an RGB pixel"
        raise UnreadableImage(
            name,
            f"its {width} x {height} pixels are more than the limit of {limit}{each}; "
            "save it smaller or raise the limit (--max-pixels, or max_pixels in Python)",
        )


@contextmanager
def _opened(source: str | Path | bytes | BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    """Opens a source for the time of the block: its name for errors, a seekable stream at its start."""
    if isinstance(source, bytes):
        yield "the given bytes", io.BytesIO(source)
    elif isinstance(source, str | Path):
        name = str(source)
        with _reasons(name):
            # Closed below: failures inside the block are not failures to open it.
            stream = open_file(source)
        with stream:
            yield name, stream
    else:
        name = str(getattr(source, "name", "the given stream"))
        with _reasons(name):
            seekable = source.seekable()
            if seekable:
                source.seek(0)
        yield name, source if seekable else io.BytesIO(source.read())


@contextmanager
def _reasons(name: str, kind: str | None = None) -> Iterator[None]:
    """Turns whatever the system or a format's decoder raises inside into the one error, with a reason."""
    try:
        yield
    except UnreadableImage:
        raise
    except FileNotFoundError:
        raise UnreadableImage(name, "there is no such file") from None
    except PermissionError:
        raise UnreadableImage(name, "there is no permission to read it") from None
    except MemoryError:
        raise UnreadableImage(name, "decoding it needs more memory than there is") from None
    except Image.DecompressionBombError as error:
        raise UnreadableImage(name, f"its decoder refuses so many pixels ({error})") from None
    except _BROKEN as error:
        words = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        of_system = kind is None or getattr(error, "errno", None) is not None
        whose = "the system refuses it" if of_system else f"its {kind} data are broken or cut off"
        raise UnreadableImage(name, f"{whose} ({words})") from error
