"""What all HTML files of Resight share: their look, photos inside them, and how they reach the disk."""

from resight.pages.embedded import EmbeddedPhoto, embed
from resight.pages.frame import page
from resight.pages.whole import write_whole

__all__ = ["EmbeddedPhoto", "embed", "page", "write_whole"]
