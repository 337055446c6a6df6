"""Which regions of two photos make their score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32

from resight.errors import InvalidInput
from resight.images import Photo
from resight.models.explain.parts import Method, Parts, join_parts, resample, whiten_parts
from resight.models.model import Model
from resight.networks.trunks._timm import require_torch

__all__ = ["LINKS", "Explanation", "Link", "explain"]

LINKS = 8
"""How many pairs of regions are joined at most."""

_REGION, _APART = 0.06, 0.12
"""Radius of a joined region and least distance of two of one photo, as shares of its longer side."""

_LINKED_CELLS = 32
"""Regions are sought on grids of at most that many cells along the longer side: pairs are many."""

_Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Link:
    """Two regions that raise the score together.

    Attributes:
        query: Centre of the region in the query, x and y as shares of the shown part's width and height.
        answer: The same in the answer.
        share: What the pair adds to the score.
    """

    query: _Point
    answer: _Point
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A score of two photos, shared out over both.

    Attributes:
        score: Inner product of both descriptors.
        method: How the shares are computed, see `resight.models.explain.parts.Method`.
        query_map: float32 ``(rows, columns)``, what each cell of a grid over the query adds to the score.
        answer_map: The same for the answer.
        query_rest: What comes from no place of the query: the score less the sum of its map. Zero, but for
            rounding, where the method is ``exact``.
        answer_rest: The same for the answer.
        links: Pairs of regions that raise the score most, the best first.
    """

    score: float
    method: Method
    query_map: Float32[np.ndarray, "rows columns"]
    answer_map: Float32[np.ndarray, "rows_ columns_"]
    query_rest: float
    answer_rest: float
    links: tuple[Link, ...]


def explain(model: Model, query: Photo, answer: Photo) -> Explanation:
    """Returns the score of two photos, shared out over the regions of each and over pairs of regions.

    A descriptor is a sum over places, see `resight.models.explain.parts`; so the score is a sum over the
    places of either photo, and over all pairs of a place of the one and a place of the other.

    Raises:
        InvalidInput: The model's descriptors are no sum over places.
        MissingExtra: torch is not installed, and the model needs it.
    """
    parts = [_parts(model, photo) for photo in (query, answer)]
    if parts[0].method == "exact":
        parts = [each.spread_evenly() for each in parts]
    descriptors = [features.descriptor for features in model.extract([query, answer])]
    score = float(descriptors[0] @ descriptors[1])
    query_map, answer_map = parts[0].vectors @ descriptors[1], parts[1].vectors @ descriptors[0]
    return Explanation(
        score,
        parts[0].method,
        query_map,
        answer_map,
        score - float(query_map.sum(dtype=np.float64)),
        score - float(answer_map.sum(dtype=np.float64)),
        _links(parts[0], parts[1]),
    )


def _parts(model: Model, photo: Photo) -> Parts:
    parts = _describers_parts(model, photo)
    for whitening in model.whitenings:
        parts = whiten_parts(parts, whitening)
    return parts


def _describers_parts(model: Model, photo: Photo) -> Parts:
    from resight.models.composite import Composite
    from resight.models.sift.sift import Sift

    describer = model.describer
    if isinstance(describer, Composite):
        whole = _parts(describer.whole, photo.shown_at(describer.whole.max_side))
        if describer.weight is None:
            return whole
        local = _parts(describer.local, photo.shown_at(describer.local.max_side))
        return join_parts(whole, local, describer.weight)
    if isinstance(describer, Sift):
        from resight.models.explain.keypoint_parts import parts_of_keypoints

        return parts_of_keypoints(describer, photo)
    require_torch(f"an explanation by the model {model.name}")
    from resight.models.delg_describer import DELGDescriber
    from resight.models.explain.location_parts import parts_of_network
    from resight.models.network_describer import NetworkDescriber

    if isinstance(describer, NetworkDescriber | DELGDescriber):
        return parts_of_network(describer, photo)
    raise InvalidInput(
        f"the descriptors of the model {model.name} are no sum over places that is known here: use a network "
        "of Resight's or sift"
    )


def _links(query: Parts, answer: Parts) -> tuple[Link, ...]:
    """Returns the pairs of regions that add most to the score, none near another in either photo."""
    (here, first_cells), (there, second_cells) = _regions(query), _regions(answer)
    shares = first_cells @ second_cells.T
    links: list[Link] = []
    while len(links) < LINKS:
        first, second = divmod(int(shares.argmax()), shares.shape[1])
        share = float(shares[first, second])
        if not share > 0:
            break
        links.append(Link(here.point(first), there.point(second), share))
        shares[here.distances[first] < _APART] = -np.inf
        shares[:, there.distances[second] < _APART] = -np.inf
    return tuple(links)


def _regions(parts: Parts) -> tuple[_Grid, Float32[np.ndarray, "cells dim"]]:
    """Returns a grid, and for each of its cells what all cells around it give to the descriptor."""
    rows, columns, dim = parts.vectors.shape
    shrunk = min(1.0, _LINKED_CELLS / max(rows, columns))
    grid = _Grid(max(1, round(rows * shrunk)), max(1, round(columns * shrunk)))
    vectors = np.tensordot(resample(rows, grid.rows), parts.vectors, axes=(1, 0))
    vectors = np.tensordot(resample(columns, grid.columns), vectors, axes=(1, 1)).swapaxes(0, 1)
    around = (grid.distances <= _REGION).astype(np.float32)
    return grid, around @ vectors.reshape(-1, dim).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Cells that share a photo evenly, numbered row by row."""

    rows: int
    columns: int

    def point(self, cell: int) -> _Point:
        """Returns x and y of a cell's centre, from 0 to 1."""
        row, column = divmod(cell, self.columns)
        return (column + 0.5) / self.columns, (row + 0.5) / self.rows

    @property
    def distances(self) -> Float32[np.ndarray, "cells cells"]:
        """Distances of the cells' centres, the longer side being 1."""
        y, x = np.divmod(np.arange(self.rows * self.columns, dtype=np.float32), np.float32(self.columns))
        return np.hypot(x[:, None] - x, y[:, None] - y) / np.float32(max(self.rows, self.columns))
