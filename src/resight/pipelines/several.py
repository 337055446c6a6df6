"""A query photo that shows several things of a collection: each is answered by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from resight import images
from resight.collection import Answer, Collection, Hit, Query
from resight.errors import InvalidInput
from resight.features import Box

__all__ = ["answer_several"]

MOST = 50
"""Things that are looked for in one photo."""
MARGIN = 1.25
"""What is taken out is so many times as large as what the matches cover."""
TILES = 3
"""Parts along each side, each of half the side, that are asked once the whole gives no more."""
TAKEN = 0.6
"""Share of a part that is taken out already from which it is not asked, and of the matches of a hit that lie
in a thing from which it is one of its hits."""


def answer_several(collection: Collection, query: Query) -> list[Answer]:
    """Returns an answer for each thing that geometry confirms in the query photo, in the order of finding.

    The photo is searched for; what the best confirmed hit agrees with is painted over, and the rest is
    searched for again, until nothing more is confirmed. Then overlapping parts of it are asked in the same
    way, as a small thing counts little among all that a photo shows. Each answer's query photo has the box
    of its thing; its hits are confirmed, with points in pixels of the whole photo. Two equal things beside
    each other are two answers.

    Args:
        collection: In which.
        query: Of one photo; its box, if there is one, is where things are looked for.

    Raises:
        InvalidInput: The query has several photos, or asks for no verification; nothing in the photo can be
            recognised.
        NoLocalFeatures: The model has none to confirm anything with.
        ResightError: As `Collection.answer` raises it.
    """
    if len(query.photos) > 1 or query.without:
        raise InvalidInput("several things are looked for in one photo: give one, and no photo of what not")
    if query.verify == 0:
        raise InvalidInput("several things are told apart by geometry: leave verify as it is, or above 0")
    whole = collection.answer(query)
    if collection.model.local is None:
        raise InvalidInput(
            f"the model {collection.model.name} has no local features, by which several things are told apart"
        )
    with images.from_bucket(query.photos[0]) as given:
        photo = images.photo_of(given, max_pixels=query.max_pixels)
    looking = _Looking(collection, query, whole, np.array(photo.pixels))
    return looking.found()


class _Looking:
    """The query photo, what is taken out of it, and the things found so far."""

    def __init__(
        self, collection: Collection, query: Query, whole: Answer, pixels: UInt8[np.ndarray, "rows columns 3"]
    ) -> None:
        self._collection, self._query, self._whole, self._pixels = collection, query, whole, pixels
        self._taken: Bool[np.ndarray, "rows columns"] = np.zeros(pixels.shape[:2], dtype=bool)
        self._things: list[Answer] = []

    def found(self) -> list[Answer]:
        """Returns an answer a thing."""
        self._look(self._query.box, self._whole)
        rows, columns = self._pixels.shape[:2]
        area = self._query.box or Box(0, 0, columns, rows)
        for part in _parts(area):
            left, top, right, low = (int(value) for value in part.corners)
            if self._taken[top:low, left:right].mean() < TAKEN:
                self._look(part, None)
        return self._things

    def _look(self, box: Box | None, answer: Answer | None) -> None:
        while len(self._things) < MOST:
            if answer is None:
                try:
                    answer = self._collection.answer(_of_photo(self._query, self._pixels, box))
                except InvalidInput:
                    # Nothing that could be recognised is left of it.
                    return
            confirmed = [hit for hit in answer.hits if hit.verdict == "confirmed" and hit.match is not None]
            if not confirmed or not self._take(answer, confirmed):
                return
            answer = None

    def _take(self, answer: Answer, confirmed: Sequence[Hit]) -> bool:
        """Returns whether there is a new thing, after noting it and taking it out."""
        region = _region(confirmed[0])
        mask = np.zeros(self._taken.shape, dtype=np.uint8)
        cv2.fillConvexPoly(mask, np.rint(region).astype(np.int32), 1)
        inside = mask.astype(bool)
        fresh = int(np.count_nonzero(inside & ~self._taken))
        if fresh < (1 - TAKEN) * max(int(np.count_nonzero(inside)), 1):
            return False
        same = [hit for hit in confirmed if _share_inside(hit, mask) >= TAKEN]
        rows, columns = self._taken.shape
        (x0, y0), (x1, y1) = region.min(axis=0) + 0.5, region.max(axis=0) + 0.5
        box = Box(float(x0), float(y0), float(x1), float(y1)).clipped(columns, rows)
        shown = replace(self._whole.queries[0], box=box)
        hits = [replace(hit, rank=rank) for rank, hit in enumerate(same, 1)]
        self._things.append(replace(answer, queries=[shown], hits=hits))
        self._taken |= inside
        self._pixels[inside] = self._pixels[inside].mean(axis=0).astype(np.uint8)
        return True


def _of_photo(query: Query, pixels: UInt8[np.ndarray, "rows columns 3"], box: Box | None) -> Query:
    """Returns the same query of another photo and box."""
    return Query(
        pixels.copy(),
        top=query.top,
        box=box,
        where=query.where,
        expand=query.expand,
        refine=query.refine,
        verify=query.verify,
        max_pixels=query.max_pixels,
    )


def _parts(area: Box) -> list[Box]:
    steps = np.linspace(0, 0.5, TILES)
    width, height = area.width, area.height
    return [
        Box(
            area.x0 + x * width,
            area.y0 + y * height,
            area.x0 + (x + 0.5) * width,
            area.y0 + (y + 0.5) * height,
        )
        for y in steps.tolist()
        for x in steps.tolist()
    ]


def _region(hit: Hit) -> Float32[np.ndarray, "corners 2"]:
    """Returns the hull of the points in the query on which a hit agrees, a little larger."""
    if hit.match is None:
        raise InvalidInput("a hit without a match has no region")
    hull = cv2.convexHull(hit.match.query_points).reshape(-1, 2)
    middle = hull.mean(axis=0)
    return np.asarray(middle + MARGIN * (hull - middle), dtype=np.float32)


def _share_inside(hit: Hit, mask: UInt8[np.ndarray, "rows columns"]) -> float:
    points = np.rint(hit.match.query_points).astype(int) if hit.match is not None else np.empty((0, 2), int)
    rows, columns = mask.shape
    x, y = np.clip(points[:, 0], 0, columns - 1), np.clip(points[:, 1], 0, rows - 1)
    return float(mask[y, x].mean()) if len(points) else 0.0
