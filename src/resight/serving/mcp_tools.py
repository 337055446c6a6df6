"""The collection as four tools of the Model Context Protocol: search, matches, groups, classify."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import numpy as np
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from resight._version import __version__
from resight.collection import Collection, Query
from resight.collection.groups import GroupKind
from resight.collection.scan import canonical
from resight.errors import InvalidInput, ResightError
from resight.features import Box
from resight.files import typed_path
from resight.serving.answers import groups_shape, label_shape, matches_shape, search_shape
from resight.serving.settings import Limits
from resight.serving.shapes import Groups, Label, Matches, SearchAnswer

__all__ = ["mcp_server"]

_MOST_POINTS = 50
"""Matched points that are told: more say no more to a reader of text."""

Photo = Annotated[str, Field(description="path of a photo, or the number of one of the collection")]
Corners = Annotated[
    list[float] | None, Field(description="x0, y0, x1, y1: where the thing is in the query photo, pixels")
]
Top = Annotated[int, Field(ge=1, description="answers")]
Where = Annotated[str | None, Field(description="SQL condition on metadata")]
LabelName = Annotated[str | None, Field(description="name of the metadata that holds labels")]


def mcp_server(collection: Collection, limits: Limits) -> MCPServer[None]:
    """Returns a server of a collection's tools; ``run("stdio")`` answers on standard input and output.

    Args:
        collection: Searched, and never changed.
        limits: On pixels, answers and verification.
    """
    server: MCPServer[None] = MCPServer(
        "resight",
        version=__version__,
        instructions="Finds the same building, painting, product or place again in a collection of photos.",
        log_level="WARNING",
    )

    @server.tool()
    def search(photo: Photo, box: Corners = None, top: Top = 10, where: Where = None) -> SearchAnswer:
        """Photos of the collection that show the same thing as a photo, best first, with verdicts."""
        with _told():
            if top > limits.max_top:
                raise InvalidInput(f"top is {limits.max_top} at most, not {top}")
            source, number = _source(collection, photo)
            answer = collection.answer(
                Query(source, box=_box(box), top=top + 1, where=where, max_pixels=limits.max_pixels)
            )
            return search_shape(answer, [number], offset=0, top=top, most=limits.max_top)

    @server.tool()
    def matches(query: Photo, answer: Photo, box: Corners = None) -> Matches:
        """Where a photo and one of the collection agree: inliers, region, transform, some matched points."""
        with _told():
            source, number = _source(collection, query)
            _, wanted = _source(collection, answer)
            if wanted is None:
                raise InvalidInput(f"{answer[:200]} is not in the collection")
            searcher = collection.searcher
            asked = Query(source, box=_box(box), top=1, verify=1, max_pixels=limits.max_pixels)
            ranked = searcher.rank_these(searcher.describe(asked), np.array([wanted], dtype=np.int64))
            found = matches_shape(searcher.answer(ranked), number)
            return found.model_copy(update={"points": found.points[:_MOST_POINTS]})

    @server.tool()
    def groups(of: GroupKind = "copies") -> Groups:
        """Photos of the collection that are copies, show one thing, or one scene, as far as computed."""
        with _told():
            return groups_shape(collection, of)

    @server.tool()
    def classify(photo: Photo, label: LabelName = None) -> Label:
        """Which labelled thing of the collection a photo shows, by the labels of its neighbours."""
        with _told():
            return label_shape(collection, _source(collection, photo)[0], label, limits.max_pixels)

    return server


@contextmanager
def _told() -> Iterator[None]:
    """Turns an error of ours into one that the caller of a tool reads."""
    try:
        yield
    except ResightError as error:
        raise ToolError(str(error)) from None


def _source(collection: Collection, photo: str) -> tuple[str, int | None]:
    """Returns the path of a photo, and its number where the collection has it.

    Raises:
        InvalidInput: The collection has no photo of that number.
    """
    numbers = collection.numbers()
    if photo.isascii() and photo.isdigit():
        paths = [path for path, number in numbers.items() if str(number) == photo]
        if not paths:
            raise InvalidInput(f"the collection has no photo {photo[:40]}")
        return paths[0], numbers[paths[0]]
    path = canonical(typed_path(photo))
    return path, numbers.get(path)


def _box(corners: list[float] | None) -> Box | None:
    if corners is None:
        return None
    if len(corners) != 4:
        raise InvalidInput(f"a box is four numbers x0, y0, x1, y1 in pixels, not {len(corners)}")
    return Box(*corners)
