"""The page of an explanation: the picture, how to read it, and its numbers."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from resight.files import write_whole
from resight.reports.explain_drawing import draw, draw_plain
from resight.reports.frame import page

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
"""How shares were found, in words, by `resight.models.explain.parts.Method`."""

_QUALITY = 88

_STYLE = """
.stage { position: relative; background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  padding: 14px; box-shadow: var(--shadow); }
.stage img { display: block; width: 100%; height: auto; border-radius: 6px; }
.stage .plain { display: none; }
body:has(#plain:checked) .stage .plain { display: block; }
body:has(#plain:checked) .stage .drawn { display: none; }
.names { display: flex; justify-content: space-between; gap: 20px; margin-bottom: 10px; font-size: .92rem; }
.names b { margin-right: 6px; }
.names span { min-width: 0; overflow-wrap: anywhere; color: var(--soft); }
.switch { display: inline-flex; gap: 8px; align-items: center; margin-top: 12px; cursor: pointer; }
.switch input { accent-color: var(--confirmed); width: 16px; height: 16px; }
.facts { display: grid; gap: 10px 40px; grid-template-columns: repeat(auto-fit, minmax(250px, 1fr));
  margin-block: 26px 40px; }
.facts dt { color: var(--soft); font-size: .82rem; }
.facts dd { margin: 2px 0 0; }
"""


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
    first, second = (escape(name) for name in names)
    alt = (
        f"{first} and {second}, coloured where they make the score; lines join the strongest pairs of regions"
    )
    main = (
        '<div class="stage">'
        f'<div class="names"><span><b>Query</b>{first}</span><span><b>Answer</b>{second}</span></div>'
        f'<img class="drawn" src="{_uri(draw(explanation, query, answer))}" alt="{alt}">'
        f'<img class="plain" src="{_uri(draw_plain(query, answer))}" alt="{first} and {second}">'
        '<label class="switch"><input type="checkbox" id="plain"> Show the photos alone</label></div>'
        f'<dl class="facts">{_facts(explanation)}</dl>'
    )
    return page(
        title=f"Why {PurePath(names[1]).name} answers {PurePath(names[0]).name}",
        summary=f"<strong>score {explanation.score:.4f}</strong> by {escape(PurePath(model).name)}",
        main=main,
        foot=f"<p>Shares are {escape(METHODS[explanation.method])}.</p>",
        style=_STYLE,
    )


def _facts(explanation: Explanation) -> str:
    joined = sum(link.share for link in explanation.links)
    entries = {
        "How to read it": "The lighter a region, the more it adds to the score; dark regions add nothing, or "
        "take from it. Both photos have one scale of colours.",
        "Lines": f"The {len(explanation.links)} pairs of regions that add most, {joined:.4f} together; the "
        "thicker the more.",
        "Query": _in_places(explanation.query_map, explanation.query_rest),
        "Answer": _in_places(explanation.answer_map, explanation.answer_rest),
    }
    return "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in entries.items())


def _in_places(shares: Float32[np.ndarray, "rows columns"], rest: float) -> str:
    rows, columns = shares.shape
    return f"its {rows} × {columns} cells add {shares.sum():+.4f}, what belongs to no place {rest:+.4f}"


def _uri(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
