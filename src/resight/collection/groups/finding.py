"""Looks for pairs: candidates by descriptor, verified by geometry, compared by their pixels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, TypeAlias, final

import numpy as np
from jaxtyping import Float32, Int64

from resight.collection.groups.edges import Edge, EdgeStore, GroupConfig, Looked
from resight.collection.groups.pictures import Photo, Pictures, photos_of
from resight.collection.groups.registration import register
from resight.collection.place import writer_lock
from resight.collection.resident import ResidentIndex
from resight.collection.store import Store
from resight.collection.stored_local import StoredLocal
from resight.errors import InvalidInput, NoLocalFeatures, StorageFailed
from resight.features import ImageFeatures, LocalFeatures
from resight.files import Progress, in_threads
from resight.models.model import Model
from resight.search.geometry.verdict import verdict
from resight.search.geometry.verification import Verification, verify_queries

__all__ = ["look", "waiting"]

_LOG = logging.getLogger(__name__)

BLOCK = 64
"""Photos whose candidates are looked at before what was found is kept."""
LEAST_INLIERS = 8
"""From here on the pixels are asked; unrelated photos reach as many in one of some thousand pairs."""
ENOUGH = 8
"""Copies of a photo after which its further candidates are not compared by their pixels."""
NOT_COMPARED = -1.0
"""Agreement of a pair that was not compared as the photo has copies enough."""


def look(
    store: Store,
    resident: ResidentIndex,
    model: Model,
    edges: EdgeStore,
    config: GroupConfig,
    progress: Progress,
    *,
    lock_timeout: float,
) -> dict[bytes, Looked]:
    """Returns what is known of the collection's photos after looking at the new ones.

    What is found is kept batch by batch: killed, the next call goes on. A disk that is full or read-only
    keeps nothing, and the next call begins anew. The cost grows with the number of new photos times that of
    the candidates of each.

    Raises:
        NoLocalFeatures: The model has none to verify with.
        CollectionLocked: Another process is writing.
    """
    if model.local is None:
        raise NoLocalFeatures(
            f"the model {model.name} has no local features, by which photos are compared: index them with "
            "a model that has, such as sift"
        )
    photos, known, new = waiting(store, edges)
    run, keeps = _Run(store, resident, model, config, photos), True
    for start in range(0, len(new), BLOCK):
        progress(start, len(new))
        found = run.block(new[start : start + BLOCK])
        keeps = keeps and _kept(store, partial(edges.append, found), lock_timeout)
        known |= {one.photo: one for one in found}
    progress(len(new), len(new))
    if new:
        known = {photo: run.measured(one) for photo, one in known.items()}
        if keeps:
            _kept(store, partial(edges.replace, known), lock_timeout)
    return known


def _kept(store: Store, write: Callable[[], None], lock_timeout: float) -> bool:
    """Returns whether the disk took what was found."""
    try:
        with writer_lock(store.path, timeout=lock_timeout):
            write()
    except (StorageFailed, OSError) as error:
        _LOG.warning("what was found is not kept for the next time: %s", error)
        return False
    return True


def waiting(store: Store, edges: EdgeStore) -> tuple[list[Photo], dict[bytes, Looked], list[Photo]]:
    """Returns the photos, one of each content; what is known of them; and those that must be looked at."""
    photos = list({photo.hash: photo for photo in reversed(photos_of(store))}.values())[::-1]
    kept = edges.read()
    known = {photo.hash: kept[photo.hash] for photo in photos if photo.hash in kept}
    return photos, known, _new(photos, known, store)


def _new(photos: Sequence[Photo], known: Mapping[bytes, Looked], store: Store) -> list[Photo]:
    """Returns photos that were not compared yet, or that could not be compared as files were not there."""
    roots = store.roots
    keys = {photo.hash: photo.key for photo in photos}
    new = []
    for photo in photos:
        one = known.get(photo.hash)
        left = [] if one is None else [edge.second for edge in one.edges if np.isnan(edge.agreement)]
        here = [other for other in left if other in keys and roots.is_here(keys[other])]
        if one is None or (here and roots.is_here(photo.key)):
            new.append(photo)
    return new


_View = Literal["whole", "mirrored", "inset"]
"""A photo as it is, mirrored, or the picture that it shows with a page around it."""
_AS_IT_IS: tuple[_View, ...] = ("whole", "mirrored")
_Local: TypeAlias = Mapping[int, LocalFeatures | None]
_Asked: TypeAlias = tuple[int, _View, Float32[np.ndarray, " dim"]]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A view of a photo and a candidate, by their places among the photos."""

    query: int
    other: int
    view: _View


@final
@dataclass(slots=True)
class _Run:
    """One run of `look`: the photos, what was tried, and thumbnails."""

    store: Store
    resident: ResidentIndex
    model: Model
    config: GroupConfig
    photos: Sequence[Photo]
    tried: set[_Pair] = field(default_factory=set)
    pictures: Pictures = field(init=False)
    places: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.pictures = Pictures(self.store)
        self.places = {photo.row: place for place, photo in enumerate(self.photos)}

    def block(self, new: Sequence[Photo]) -> list[Looked]:
        """Returns what was found of some photos."""
        stored = StoredLocal(self.store, self.model.codec)
        own = [self.places[photo.row] for photo in new]
        local = dict(zip(own, stored.of(_rows(self.photos, own)), strict=True))
        mirrored = dict(zip(own, in_threads(self._mirrored, [(n, local[n]) for n in own]), strict=True))
        shown = zip(own, in_threads(self._inset, own, blas_threads=1), strict=True)
        insets = {place: inset for place, inset in shown if inset is not None}
        pairs = self._candidates(own, local, mirrored, insets)
        others = sorted({pair.other for pair in pairs} - local.keys())
        local |= dict(zip(others, stored.of(_rows(self.photos, others)), strict=True))
        inner = {place: inset.local for place, inset in insets.items()}
        matches = self._verified(pairs, {"whole": local, "mirrored": mirrored, "inset": inner})
        # Damaged ones are there all the same.
        has_local = {
            place: local[place] is not None or self.photos[place].row in stored.damaged for place in own
        }
        found: dict[int, list[Edge]] = {place: [] for place in own}
        for pair, edge in self._edges(matches):
            found[pair.query].append(edge)
        return [
            self.measured(Looked(photo.hash, np.nan, found[place], has_local=has_local[place]))
            for photo, place in zip(new, own, strict=True)
        ]

    def measured(self, one: Looked) -> Looked:
        """Returns what is known of a photo with the measures of its pixels, as far as these were read."""
        sharpness, steps = self.pictures.sharpness, self.pictures.steps
        return replace(
            one,
            sharpness=sharpness.get(one.photo, one.sharpness),
            steps=steps.get(one.photo, one.steps),
        )

    def _mirrored(self, item: tuple[int, LocalFeatures | None]) -> LocalFeatures | None:
        place, features = item
        return None if features is None else self.model.mirrored(features, self.photos[place].width)

    def _inset(self, place: int) -> ImageFeatures | None:
        return self.pictures.inset(self.photos[place], self.model)

    def _candidates(
        self, own: Sequence[int], local: _Local, mirrored: _Local, insets: Mapping[int, ImageFeatures]
    ) -> list[_Pair]:
        """Returns pairs not tried yet: the most similar to each view of a photo, turned as well."""
        turned, flipped = (
            list(in_threads(self._turned, [(place, some[place]) for place in own], blas_threads=1))
            for some in (local, mirrored)
        )
        pairs: list[_Pair] = []
        with self.resident.lock:
            index = self.resident.current()
            rows = _rows(self.photos, own)
            # A photo may have gone since.
            are_here = np.isin(rows, index.ids)
            here = [place for place, is_here in zip(own, are_here, strict=True) if is_here]
            # Where keypoints do not tell how a photo looks mirrored, it looks as it is, by the descriptor.
            alike = {
                place
                for place, views in zip(own, flipped, strict=True)
                if views is None and mirrored[place] is not None
            }
            asked: list[_Asked] = [
                (place, view, descriptor)
                for place, descriptor in zip(here, index.descriptors(rows[are_here]), strict=True)
                for view in _AS_IT_IS[: 2 if place in alike else 1]
            ]
            self._ask(pairs, asked, self.config.neighbours, self.config.similarity)
            turns = (zip(own, views, strict=True) for views in (turned, flipped))
            whole, reflected = ([(place, some) for place, some in one if some is not None] for one in turns)
            asked = [(place, "whole", turn) for place, some in whole for turn in some[1:]]
            asked += [(place, "mirrored", turn) for place, some in reflected for turn in some]
            self._ask(pairs, asked, self.config.turned, self.config.turned_similarity)
            asked = [(place, "inset", inset.descriptor) for place, inset in insets.items()]
            self._ask(pairs, asked, self.config.insets, self.config.turned_similarity)
        return pairs

    def _ask(self, pairs: list[_Pair], asked: Sequence[_Asked], count: int, least: float) -> None:
        """Adds the most similar photos of some views of photos; hold the resident's lock."""
        index = self.resident.current()
        if not asked or not len(index):
            return
        ranking = index.search(
            np.stack([descriptor for _, _, descriptor in asked]), min(count + 1, len(index))
        )
        for line, (place, view, _) in enumerate(asked):
            ids, scores = ranking.row(line)
            for row in ids[scores >= least].tolist():
                self._add(pairs, place, self.places.get(row), view)

    def _add(self, pairs: list[_Pair], place: int, other: int | None, view: _View) -> None:
        if other is None or other == place:
            return
        pair = _Pair(place, other, view)
        if pair in self.tried or _Pair(other, place, view) in self.tried:
            return
        self.tried.add(pair)
        pairs.append(pair)

    def _turned(self, item: tuple[int, LocalFeatures | None]) -> Float32[np.ndarray, "4 dim"] | None:
        place, features = item
        if features is None:
            return None
        return self.model.turned(features, max(self.photos[place].width, self.photos[place].height))

    def _verified(
        self, pairs: Sequence[_Pair], views: Mapping[_View, _Local]
    ) -> list[tuple[_Pair, Verification]]:
        """Returns the pairs that geometry does not refuse, in pixels of the photos as they are."""
        by_query: dict[tuple[int, _View], list[_Pair]] = {}
        for pair in pairs:
            by_query.setdefault((pair.query, pair.view), []).append(pair)
        asked = []
        for (place, view), some in by_query.items():
            features = views[view][place]
            if features is not None and len(features):
                asked.append((features, some))
        local = views["whole"]
        queries = ((features, [local[pair.other] for pair in some]) for features, some in asked)
        passed = []
        for (_, some), verified in zip(asked, verify_queries(queries), strict=True):
            for pair, match in zip(some, verified, strict=True):
                if match.transform is not None and match.inliers >= max(LEAST_INLIERS, match.expected):
                    passed.append((pair, match))
        return passed

    def _edges(self, matches: Sequence[tuple[_Pair, Verification]]) -> Iterator[tuple[_Pair, Edge]]:
        """Yields what the pixels say of pairs, and what geometry says alone where it is sure."""
        by_query: dict[int, list[tuple[_Pair, Verification]]] = {}
        for pair, match in matches:
            by_query.setdefault(pair.query, []).append((pair, match))
        for edges in in_threads(self._compared, by_query.values()):
            yield from edges

    def _compared(self, matches: Sequence[tuple[_Pair, Verification]]) -> list[tuple[_Pair, Edge]]:
        edges, copies = [], 0
        for pair, match in sorted(matches, key=lambda item: -item[1].inliers):
            edge = self._edge(pair, match, are_compared=copies < ENOUGH)
            copies += edge.agreement >= 0.9
            if edge.confirmed or edge.agreement > 0:
                edges.append((pair, edge))
        return edges

    def _edge(self, pair: _Pair, match: Verification, *, are_compared: bool) -> Edge:
        one, other = self.photos[pair.query], self.photos[pair.other]
        transform, points = match.transform, match.query_points
        if transform is None:
            raise InvalidInput("a match without a transform is no edge")
        if pair.view == "mirrored":
            transform = transform @ np.array([[-1.0, 0, one.width - 1], [0, 1, 0], [0, 0, 1]])
            points = np.stack([np.float32(one.width - 1) - points[:, 0], points[:, 1]], axis=1)
        # A picture on a page is one with another by its pixels alone: a logo that two share says nothing.
        is_confirmed = pair.view != "inset" and verdict(match) == "confirmed"
        is_mirrored = pair.view == "mirrored"
        edge = Edge(one.hash, other.hash, is_mirrored, match.inliers, is_confirmed, transform)
        if not are_compared:
            return replace(edge, agreement=NOT_COMPARED)
        thumbnails = [self.pictures.thumbnail(photo) for photo in (one, other)]
        if thumbnails[0] is None or thumbnails[1] is None:
            return edge
        laid = register(thumbnails[0], thumbnails[1], (points, match.answer_points), transform)
        if laid is None:
            return replace(edge, agreement=0.0)
        return replace(
            edge,
            transform=laid.transform if laid.agreement > 0.5 else transform,
            agreement=laid.agreement,
            exactness=laid.exactness,
            covered=laid.covered,
            recoloured=laid.recoloured,
            faded=laid.faded,
            first_framed=laid.first_framed,
            second_framed=laid.second_framed,
        )


def _rows(photos: Sequence[Photo], places: Sequence[int]) -> Int64[np.ndarray, " n"]:
    return np.array([photos[place].row for place in places], dtype=np.int64)
