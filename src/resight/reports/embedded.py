"""Photos inside a page: small JPEGs as data URIs, or the reason why there is none."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from resight import images
from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box
from resight.images import PhotoSource

__all__ = ["EmbeddedPhoto", "embed"]

_JPEG_QUALITY = 82


@dataclass(frozen=True, slots=True)
class EmbeddedPhoto:
    """A photo as a page carries it.

    Attributes:
        width: Width of the whole upright photo in its file, pixels.
        height: Height of the whole upright photo in its file, pixels.
        uri: ``data:`` URI of a reduced JPEG, or ``None`` where the file could not be read.
        reason: Why it could not be read; empty where it could.
    """

    width: int
    height: int
    uri: str | None
    reason: str = ""


def embed(
    source: PhotoSource,
    max_side: int,
    *,
    width: int = 1,
    height: int = 1,
    box: Box | None = None,
    missing: bool = False,
) -> EmbeddedPhoto:
    """Returns a photo as a page carries it, its long side at most ``max_side`` pixels.

    ``width`` and ``height`` are what is known of it, in pixels; they shape the frame of a photo that is gone.
    A missing one is not looked for. With a box only that part is carried, and the size is the part's.
    """
    from PIL import Image

    if missing:
        return EmbeddedPhoto(max(width, 1), max(height, 1), None, "it is not here")
    try:
        with images.from_bucket(source) as given:
            photo = images.photo_of(given, max_side=max_side if box is None else None, box=box)
    except UnreadableImage as error:
        return EmbeddedPhoto(max(width, 1), max(height, 1), None, error.reason)
    except (InvalidInput, OSError) as error:
        return EmbeddedPhoto(max(width, 1), max(height, 1), None, str(error))
    shown = Image.fromarray(photo.pixels)
    if box is not None:
        shown.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    shown.save(stream, "JPEG", quality=_JPEG_QUALITY, optimize=True, progressive=True)
    encoded = base64.b64encode(stream.getvalue()).decode("ascii")
    width, height = (photo.width, photo.height) if box is None else shown.size
    return EmbeddedPhoto(width, height, f"data:image/jpeg;base64,{encoded}")
