"""Photos in: reading, orientation, colour, resizing."""

from resight.images.budget import PIXEL_BYTES, PixelBudget, usual_memory
from resight.images.capture import Capture, capture_of, focal_of
from resight.images.formats import PHOTO_SUFFIXES
from resight.images.opening import open_file
from resight.images.photo import Photo
from resight.images.read import MAX_PIXELS, is_photo, read
from resight.images.source import PhotoSource, from_bucket, photo_of, several_photos

__all__ = [
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "PIXEL_BYTES",
    "Capture",
    "Photo",
    "PhotoSource",
    "PixelBudget",
    "capture_of",
    "focal_of",
    "from_bucket",
    "is_photo",
    "open_file",
    "photo_of",
    "read",
    "several_photos",
    "usual_memory",
]
