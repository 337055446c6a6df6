"""The query photos of the sheet, and what was asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from resight.reports.embedded import EmbeddedPhoto, embed
from resight.reports.sheet.figure import box_corners, photo_figure

if TYPE_CHECKING:
    from resight.collection import QueryPhoto

__all__ = ["ShownQuery", "query_figures", "show_queries"]

_QUERY_SIDE = 900


@dataclass(frozen=True, slots=True)
class ShownQuery:
    """A query photo as the sheet carries it, and the name under which drawings use it."""

    name: str
    query: QueryPhoto
    photo: EmbeddedPhoto

    @property
    def outline(self) -> Float32[np.ndarray, "4 2"] | None:
        """Corners of the query's box, ``None`` for the whole photo."""
        return box_corners(self.query.box) if self.query.box is not None else None


def show_queries(queries: Sequence[QueryPhoto]) -> list[ShownQuery]:
    """Returns the query photos, read and named."""
    return [
        ShownQuery(
            f"query-{number}", query, embed(query.source, _QUERY_SIDE, width=query.width, height=query.height)
        )
        for number, query in enumerate(queries)
    ]


def query_figures(queries: Sequence[ShownQuery]) -> str:
    """Returns the figures of all query photos, boxes outlined."""
    several = " several" if len(queries) > 1 else ""
    return f'<div class="photos{several}">{"".join(_figure(shown) for shown in queries)}</div>'


def _figure(shown: ShownQuery) -> str:
    query, photo = shown.query, shown.photo
    role = "Query" if query.wanted else "Not this"
    where = " The box marks what was searched for." if query.box is not None else ""
    name = PurePath(query.path).name
    drawing = photo_figure(
        photo,
        f"{role}: {name}.{where}",
        outline=shown.outline,
        use=shown.name,
        keypoints=query.keypoints,
    )
    label = f"<strong>{role}</strong>" if query.wanted else f'<span class="pill unwanted">{role}</span>'
    size = f"{photo.width} × {photo.height} pixels" if photo.uri is not None else photo.reason
    caption = f"{label} {escape(query.path)} · {escape(size)}.{where}"
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"
