"""The page of an explanation: the picture, how to read it, and its numbers."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from resight.files import write_whole
from resight.reports.explanation_drawing import draw, draw_plain
from resight.reports.page import render as render_page

if TYPE_CHECKING:
    from PIL import Image

    from resight.images import Photo
    from resight.models.explain.explanation import Explanation

__all__ = ["METHODS", "render", "write_explanation"]

METHODS = {
    "exact": "exact: the pooling is an average, so shares of locations are facts and add up to the score",
    "gradient": "activation times gradient at each location, all norms held; what biases and means add "
    "belongs to no place",
    "keypoints": "each keypoint's residuals in the aggregate, all norms and roots held; what the subtracted "
    "mean adds belongs to no place",
}
"""How shares are computed, in words, by `resight.models.explain.parts.Method`."""

_QUALITY = 88


@dataclass(frozen=True, slots=True)
class _Page:
    """What ``explanation.html`` shows; ``drawn`` and ``plain`` are the pictures as data URIs."""

    title: str
    explanation: Explanation
    query: str
    answer: str
    model: str
    drawn: str
    plain: str
    method: str

    @property
    def maps(self) -> tuple[tuple[str, Float32[np.ndarray, "rows columns"], float], ...]:
        """What each photo's cells add, and what belongs to none of them."""
        explanation = self.explanation
        return (
            ("Query", explanation.query_map, explanation.query_rest),
            ("Answer", explanation.answer_map, explanation.answer_rest),
        )


def write_explanation(
    explanation: Explanation, query: Photo, answer: Photo, path: Path, *, names: tuple[str, str], model: str
) -> None:
    """Writes the page: one HTML file that needs nothing else, whole or not at all.

    Args:
        explanation: What is shown.
        query: The query photo, or the part of it that was searched for.
        answer: The answer photo.
        path: The file to write; one that is there is replaced.
        names: What the two photos are called.
        model: What the model is called.

    Raises:
        OSError: The file cannot be written.
    """
    write_whole(path, render(explanation, query, answer, names=names, model=model))


def render(
    explanation: Explanation, query: Photo, answer: Photo, *, names: tuple[str, str], model: str
) -> str:
    """Returns the page as HTML."""
    page = _Page(
        f"Why {PurePath(names[1]).name} answers {PurePath(names[0]).name}",
        explanation,
        *names,
        PurePath(model).name,
        _uri(draw(explanation, query, answer)),
        _uri(draw_plain(query, answer)),
        METHODS[explanation.method],
    )
    return render_page("explanation.html", page)


def _uri(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
