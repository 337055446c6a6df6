"""Photos in: reading, orientation, colour, resizing."""

from resight.images.formats import PHOTO_SUFFIXES
from resight.images.photo import Photo
from resight.images.read import MAX_PIXELS, read

__all__ = ["MAX_PIXELS", "PHOTO_SUFFIXES", "Photo", "read"]
