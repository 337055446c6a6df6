"""Synthetic places, rendered from any view: photos with known truth for tests, the demo and training."""

from resight.scenes.render import RenderedPhoto, render_distractor, render_view, write_collection

__all__ = ["RenderedPhoto", "render_distractor", "render_view", "write_collection"]
