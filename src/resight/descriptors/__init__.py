"""From files to descriptors."""

from resight.descriptors.extract import Content, Extraction, content_of, extract

__all__ = ["Content", "Extraction", "content_of", "extract"]
