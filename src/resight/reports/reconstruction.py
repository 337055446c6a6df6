"""The page of a reconstruction: of every 3D model the photos, points and cameras from above, and tuples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int64

from resight.files import write_whole
from resight.reports.embedded import EmbeddedPhoto, embed
from resight.reports.page import render as render_page

if TYPE_CHECKING:
    from resight.sfm import Cluster, Covisibility, Reconstruction

__all__ = ["ShownTuples", "render", "write_reconstruction"]

_THUMBNAIL = 220
_MOST_CLUSTERS, _MOST_PHOTOS, _MOST_TUPLES = 60, 24, 6
_MOST_POINTS = 3000
_SIDE = 360.0
_MARGIN = 14.0
_CAMERA = 11.0


@dataclass(frozen=True, slots=True, eq=False)
class ShownTuples:
    """What a page is made of.

    Attributes:
        name: What the photos are called.
        reconstruction: Photos and 3D models.
        pairs: Photos that see points together.
        chosen: Rows of ``pairs`` that are a query and its positive.
        seconds: Time that it took.
    """

    name: str
    reconstruction: Reconstruction
    pairs: Covisibility
    chosen: Int64[np.ndarray, " tuples"]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Shown:
    """A photo as the page shows it."""

    name: str
    photo: EmbeddedPhoto


@dataclass(frozen=True, slots=True)
class _Pair:
    """A query and its positive, and what is known of them."""

    query: _Shown
    positive: _Shown
    points: int
    overlap: float
    scale: float
    angle: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """A 3D model seen from above: an SVG path of dots, and a triangle for each camera."""

    dots: str
    cameras: tuple[str, ...]
    side: float = _SIDE


@dataclass(frozen=True, slots=True)
class _Model:
    """A 3D model as the page shows it."""

    number: int
    photos: int
    points: int
    tuples: int
    shown: tuple[_Shown, ...]
    plan: _Plan
    pairs: tuple[_Pair, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """What ``reconstruction.html`` shows."""

    title: str
    photos: int
    reconstructed: int
    clusters: int
    tuples: int
    seconds: float
    models: tuple[_Model, ...]
    alone: tuple[str, ...]


def write_reconstruction(outcome: ShownTuples, path: Path) -> None:
    """Writes the page: one HTML file that needs nothing else, whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    write_whole(path, render(outcome))


def render(outcome: ShownTuples) -> str:
    """Returns the page as HTML."""
    clusters, photos = outcome.reconstruction.clusters, outcome.reconstruction.photos
    page = _Page(
        title=f"3D models of {outcome.name}",
        photos=len(photos),
        reconstructed=sum(map(len, clusters)),
        clusters=len(clusters),
        tuples=len(outcome.chosen),
        seconds=outcome.seconds,
        models=tuple(_model(outcome, number) for number in range(min(len(clusters), _MOST_CLUSTERS))),
        alone=tuple(str(photos[row]) for row in np.flatnonzero(outcome.reconstruction.labels < 0)),
    )
    return render_page("reconstruction.html", page)


def _model(outcome: ShownTuples, number: int) -> _Model:
    cluster, pairs = outcome.reconstruction.clusters[number], outcome.pairs
    rows = outcome.chosen[pairs.cluster[outcome.chosen] == number]
    return _Model(
        number=number,
        photos=len(cluster),
        points=len(cluster.points),
        tuples=len(rows),
        shown=tuple(_shown(outcome, row) for row in _spread(cluster.photos, _MOST_PHOTOS).tolist()),
        plan=_plan(cluster),
        pairs=tuple(_pair(outcome, row) for row in _spread(rows, _MOST_TUPLES).tolist()),
    )


def _pair(outcome: ShownTuples, row: int) -> _Pair:
    pairs = outcome.pairs
    return _Pair(
        query=_shown(outcome, int(pairs.query[row])),
        positive=_shown(outcome, int(pairs.other[row])),
        points=int(pairs.points[row]),
        overlap=float(pairs.overlap[row]),
        scale=float(pairs.scale[row]),
        angle=float(pairs.angle[row]),
    )


def _shown(outcome: ShownTuples, row: int) -> _Shown:
    path = outcome.reconstruction.photos[row]
    return _Shown(path.name, embed(path, _THUMBNAIL))


def _spread(rows: Int64[np.ndarray, " n"], most: int) -> Int64[np.ndarray, " m"]:
    """Returns at most so many of the rows, evenly spread."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(np.intp)
    return rows[places]


def _plan(cluster: Cluster) -> _Plan:
    """Returns the model seen from above: along the mean of the cameras' downward axes."""
    down = cluster.rotations[:, 1].sum(axis=0)
    down = down / max(float(np.linalg.norm(down)), 1e-12)
    ahead = cluster.rotations[:, 2].sum(axis=0)
    ahead = ahead - (ahead @ down) * down
    if np.linalg.norm(ahead) < 1e-6:
        ahead = np.cross(down, np.eye(3)[np.argmin(np.abs(down))])
    ahead = ahead / np.linalg.norm(ahead)
    # To the right and away from the viewer; the page's y axis runs down.
    axes = np.stack([np.cross(down, ahead), -ahead])
    points = _spread(np.arange(len(cluster.points)), _MOST_POINTS)
    flat, centres = cluster.points[points] @ axes.T, cluster.centres @ axes.T
    headings = cluster.rotations[:, 2] @ axes.T
    low, high = _frame(np.concatenate([flat, centres]), centres)
    scale = (_SIDE - 2 * _MARGIN) / max(float((high - low).max()), 1e-12)
    offset = _SIDE / 2 - (low + high) / 2 * scale
    inside = ((flat >= low) & (flat <= high)).all(axis=1)
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in (flat[inside] * scale + offset).tolist())
    cameras = zip((centres * scale + offset).tolist(), headings.tolist(), strict=True)
    return _Plan(dots, tuple(_camera(place, heading) for place, heading in cameras))


def _frame(
    places: Float64[np.ndarray, "n 2"], centres: Float64[np.ndarray, "m 2"]
) -> tuple[Float64[np.ndarray, " 2"], Float64[np.ndarray, " 2"]]:
    """Returns the corners that hold every camera and all but the stray points."""
    low, high = np.percentile(places, [3, 97], axis=0)
    margin = 0.1 * (high - low)
    return np.minimum(low - margin, centres.min(axis=0)), np.maximum(high + margin, centres.max(axis=0))


def _camera(place: list[float], heading: list[float]) -> str:
    """Returns a triangle that opens in the viewing direction, as SVG writes points."""
    forward = np.array(heading) / max(float(np.linalg.norm(heading)), 1e-12) * _CAMERA
    side = np.array([-forward[1], forward[0]]) * 0.45
    corners = (np.zeros(2), forward + side, forward - side)
    return " ".join(f"{place[0] + x:.1f},{place[1] + y:.1f}" for x, y in corners)
