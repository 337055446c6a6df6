"""Edges to groups: which edges count, which member to keep, and what was done to the others."""

from __future__ import annotations

import datetime
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from jaxtyping import Float64

from resight.collection.groups.edges import Edge, Looked
from resight.collection.groups.pictures import Photo
from resight.collection.groups.shape import Shape, shape_of
from resight.collection.groups.values import Edit, Group, GroupKind, KeepRule, Member
from resight.collection.roots import Roots
from resight.search.grouping import dense_groups, groups_of

__all__ = ["build_groups", "is_copy"]

AGREES = 0.92
"""Agreement from which two photos are one picture; pages with other words have up to .92, by their lines."""
COVERED, EXACT = 0.4, 0.8
"""Less agreement will do where what agrees is exact: something lies over the one, such as a caption."""
TILTED = 0.8
"""Agreement from which a picture that is seen aslant is one. It must be seen whole, and end where it ends:
a wall seen from two places agrees as well, and goes on. What agrees must be exact, as pages of other words
agree by their lines."""
FEW = 20
"""Inliers below which what agrees must be exact: pages of small print agree by chance."""
MANY = 350
"""Inliers from which what agrees must be exact, too. What makes a copy inexact, such as noise or compression,
costs points as well: 55 such copies had 305 at most. Two sharp photos a moment apart had 446."""
LEAST_SHARE = 0.3
"""Share of one of the photos that must be common: less may be a caption or a logo that both have."""
WHOLE = 0.96
"""Share of a photo from which all of it is seen: the last pixels are the fit's."""
FRAMED = 0.36
"""Share of a rim with a step in it from which something else is around the picture."""
RECOLOURED = 0.045
"""Root mean square of the difference of colours that compression, noise and resizing do not reach."""
STEPS = 0.5
"""The same where it says which of the two is edited: in doubt the one that shows more is kept."""
EDITED = 0.25
"""Share of the other copies that say so from which a photo counts as edited."""
ABOUT = 0.97
"""Share of the most likeness from which a photo is as like the other copies as any."""
COARSER = 2.5
"""So many times the least step of JPEG's quantisation tell a photo that was stored again at lower quality: of
qualities of 92 and 75 it is 3, of 92 and 85 it is 1.9."""
SURE = 60
"""Inliers from which two views show one thing: of places with equal windows and stones up to 46 agreed."""
SAME_VIEW = 0.5
"""Share of both photos that a burst has in common."""
BURST = 90.0
"""Seconds between two photos of a burst."""
FORMATS = {".tif": 0, ".tiff": 0, ".bmp": 0, ".png": 1, ".heic": 2, ".heif": 2, ".avif": 2}
"""How well formats keep a picture; JPEG, WebP and the rest come after."""
LOSSLESS = 1
"""Up to here they keep it as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """An edge as it is used: between two photos by number, with its shape."""

    first: int
    second: int
    edge: Edge
    shape: Shape


def is_copy(edge: Edge, shape: Shape) -> bool:
    """Returns whether two photos are one picture: whether their pixels agree, and by an edit."""
    if not edge.agreement > 0 or max(shape.share, shape.other_share) < LEAST_SHARE:
        return False
    if shape.tilted:
        whole = (shape.share, edge.first_framed), (shape.other_share, edge.second_framed)
        is_picture = any(share >= WHOLE and framed >= FRAMED for share, framed in whole)
        return edge.agreement >= TILTED and edge.exactness >= EXACT and is_picture
    if edge.exactness >= EXACT:
        return edge.agreement >= COVERED
    return edge.agreement >= AGREES and FEW <= edge.inliers < MANY


def build_groups(
    photos: Sequence[Photo],
    looked: Mapping[bytes, Looked],
    roots: Roots,
    taken: Mapping[int, str],
    *,
    of: GroupKind,
    keep: KeepRule,
) -> list[Group]:
    """Returns the groups of a kind, the largest first.

    Args:
        photos: Of the collection; several may have one hash.
        looked: What was found.
        roots: Where the photos lie.
        taken: When photos were taken, by row id, as far as that is known.
        of: Which edges count.
        keep: Which member comes first.
    """
    files: dict[bytes, list[Photo]] = {}
    for photo in photos:
        files.setdefault(photo.hash, []).append(photo)
    numbers = {digest: number for number, digest in enumerate(files)}
    first = [some[0] for some in files.values()]
    links = _links(first, numbers, looked, taken, of)
    together = _together(links, of)
    grouped = {number for group in together for number in group}
    alone = [[n] for n, some in enumerate(files.values()) if len(some) > 1 and n not in grouped]
    owner = {number: place for place, group in enumerate(together) for number in group}
    held: list[list[_Link]] = [[] for _ in together]
    for link in links:
        if owner[link.first] == owner[link.second] if link.first in owner and link.second in owner else False:
            held[owner[link.first]].append(link)
    build = _Building(first, list(files.values()), looked, roots, taken, of, keep)
    built = [build.group(group, inner) for group, inner in zip(together, held, strict=True)]
    built += [build.group(group, []) for group in alone]
    return sorted(built, key=lambda group: (-len(group), group.keep.path))


def _links(
    photos: Sequence[Photo],
    numbers: Mapping[bytes, int],
    looked: Mapping[bytes, Looked],
    taken: Mapping[int, str],
    of: GroupKind,
) -> list[_Link]:
    """Returns the edges that count, the best of each pair."""
    best: dict[tuple[int, int], _Link] = {}
    for one in looked.values():
        for edge in one.edges:
            if edge.first not in numbers or edge.second not in numbers:
                continue
            here, there = numbers[edge.first], numbers[edge.second]
            sizes = [(photos[n].width, photos[n].height) for n in (here, there)]
            shape = shape_of(edge.transform, *sizes)
            if shape is None or not _counts(edge, shape, [photos[here], photos[there]], taken, of):
                continue
            pair = min(here, there), max(here, there)
            if pair not in best or edge.inliers > best[pair].edge.inliers:
                best[pair] = _Link(here, there, edge, shape)
    return [best[pair] for pair in sorted(best)]


def _together(links: Sequence[_Link], of: GroupKind) -> list[list[int]]:
    """Returns groups by number. Views of two places may agree by equal parts of them, and several may."""
    if of == "copies":
        return groups_of((link.first, link.second) for link in links)
    sure = [link for link in links if link.edge.inliers >= SURE or is_copy(link.edge, link.shape)]
    pairs = ([(link.first, link.second) for link in some] for some in (sure, links))
    return dense_groups(*pairs)


def _counts(
    edge: Edge, shape: Shape, photos: Sequence[Photo], taken: Mapping[int, str], of: GroupKind
) -> bool:
    if of == "copies":
        return is_copy(edge, shape)
    same = (edge.confirmed and not edge.mirrored) or is_copy(edge, shape)
    if of == "things":
        return same
    times = [_time(taken.get(photo.row)) for photo in photos]
    if times[0] is not None and times[1] is not None and abs(times[0] - times[1]) > BURST:
        return False
    return same and not edge.mirrored and min(shape.share, shape.other_share) >= SAME_VIEW


def _time(text: str | None) -> float | None:
    """Returns a time in seconds; one without a zone as if in UTC, as its neighbours are."""
    try:
        parsed = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)).timestamp()


@dataclass(frozen=True, slots=True, eq=False)
class _Building:
    """Makes groups of photos by number."""

    first: Sequence[Photo]
    files: Sequence[Sequence[Photo]]
    looked: Mapping[bytes, Looked]
    roots: Roots
    taken: Mapping[int, str]
    of: GroupKind
    keep: KeepRule

    def group(self, numbers: Sequence[int], links: Sequence[_Link]) -> Group:
        """Returns the group of some photos with its kept member first."""
        quality = _quality(links) if self.of == "copies" else {}
        best = [self._steps(number) for number, said in quality.items() if said == _BEST]
        coarse = COARSER * min(filter(None, best), default=np.inf)
        kept = min(
            numbers,
            key=lambda number: self._order(
                self._best_file(number), quality.get(number, _BEST), is_coarse=self._steps(number) >= coarse
            ),
        )
        members: list[Member] = []
        reached = _reached(kept, links)
        most = {
            n: max((k.edge.inliers for k in links if n in (k.first, k.second)), default=0) for n in numbers
        }
        for number in numbers:
            path = reached.get(number)
            for photo in self.files[number]:
                is_kept = photo is self._best_file(kept)
                members.append(self._member(photo, self.first[kept], path, most[number], is_kept=is_kept))
        kept_path = self.roots.path_of(self._best_file(kept).key)
        members.sort(key=lambda member: (member.path != kept_path, -round(member.share, 2), member.path))
        return Group(self.of, tuple(members))

    def _best_file(self, number: int) -> Photo:
        return min(self.files[number], key=lambda photo: self._order(photo, _BEST, is_coarse=False))

    def _steps(self, number: int) -> float:
        """Returns the mean step of a photo's quantisation: 1 without loss, 0 where nothing says."""
        photo = self.first[number]
        known = self.looked.get(photo.hash)
        if known is None or np.isnan(known.steps):
            return 0.0
        return known.steps or float(_form(photo) <= LOSSLESS)

    def _order(
        self, photo: Photo, quality: tuple[float, float], *, is_coarse: bool
    ) -> tuple[float | str, ...]:
        path = self.roots.path_of(photo.key)
        pixels = -float(photo.width * photo.height)
        if self.keep == "first":
            return (path,)
        if self.keep == "largest":
            return pixels, -float(photo.file_size), path
        if self.keep in ("newest", "oldest"):
            time = _time(self.taken.get(photo.row))
            seconds = photo.modified_ns / 1e9 if time is None else time
            return (-seconds if self.keep == "newest" else seconds), path
        known = self.looked.get(photo.hash)
        sharpness = 0.0 if known is None or np.isnan(known.sharpness) else known.sharpness
        edited, likeness = quality
        # Who stores a picture again seldom keeps when it was taken.
        is_untimed, form = photo.row not in self.taken, _form(photo)
        last = -sharpness, form, -float(photo.file_size), path
        return edited, pixels, -likeness, float(is_untimed), float(is_coarse), *last

    def _member(
        self, photo: Photo, kept: Photo, path: _Path | None, inliers: int, *, is_kept: bool
    ) -> Member:
        own, whole = (photo.width, photo.height), (kept.width, kept.height)
        transform = np.eye(3) if path is None and photo.hash == kept.hash else None
        shape = None
        if path is not None:
            transform = path.transform
            shape = shape_of(transform, whole, own)
        share = 1.0 if photo.hash == kept.hash else 0.0 if shape is None else shape.share
        edit = None
        if self.of == "copies" and not is_kept:
            edit = Edit(same_file=True) if photo.hash == kept.hash else _edit(path, shape)
        return Member(
            self.roots.path_of(photo.key),
            *own,
            photo.file_size,
            edit,
            inliers if path is None or not path.links else path.links[-1].edge.inliers,
            share,
            transform,
            not self.roots.is_here(photo.key),
            photo.content,
        )


def _form(photo: Photo) -> int:
    return FORMATS.get(PurePath(photo.key.path).suffix.lower(), 3)


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """How a photo is reached from the one that is kept: by which links, and the transform along them."""

    transform: Float64[np.ndarray, "3 3"]
    links: Sequence[_Link]


def _reached(kept: int, links: Sequence[_Link]) -> dict[int, _Path]:
    """Returns the way to each photo, along the fewest links and of these those of most inliers."""
    at: dict[int, list[_Link]] = {}
    for link in links:
        at.setdefault(link.first, []).append(link)
        at.setdefault(link.second, []).append(link)
    reached: dict[int, _Path] = {}
    waiting: list[tuple[int, int, int]] = [(0, 0, kept)]
    ways = {kept: _Path(np.eye(3), ())}
    while waiting:
        _, _, node = heapq.heappop(waiting)
        if node in reached:
            continue
        path = reached[node] = ways[node]
        for link in at.get(node, ()):
            other = link.second if link.first == node else link.first
            if other in reached:
                continue
            step = link.edge.transform if link.first == node else np.linalg.inv(link.edge.transform)
            way = _Path(step @ path.transform, (*path.links, link))
            old = ways.get(other)
            if old is None or _cost(way) < _cost(old):
                ways[other] = way
                heapq.heappush(waiting, (*_cost(way), other))
    del reached[kept]
    return reached


def _cost(path: _Path) -> tuple[int, int]:
    return len(path.links), -min((link.edge.inliers for link in path.links), default=0)


_BEST = (0.0, 1.0)
"""What `_quality` says of a photo that is not edited, and like the others."""


def _quality(links: Sequence[_Link]) -> dict[int, tuple[float, float]]:
    """Returns for photos whether the others say that they are edited, and whether they are most like these.

    A part of another is edited, and so is a page around another. What is turned, mirrored or recoloured, or
    has noise or a caption, is like fewer of the others than what all of them were made of.
    """
    said: dict[int, list[tuple[bool, float]]] = {}
    for link in links:
        edge, shape = link.edge, link.shape
        is_turned = shape.mirrored or abs((shape.angle + 180) % 360 - 180) > 2
        is_like = edge.exactness >= 0 and not is_turned
        likeness = edge.agreement * edge.exactness * max(0.0, 1 - 4 * edge.recoloured) if is_like else 0.0
        for number, is_edited in zip((link.first, link.second), _are_edited(link), strict=True):
            said.setdefault(number, []).append((is_edited, likeness))
    edited = {number: float(np.mean([one for one, _ in some]) > EDITED) for number, some in said.items()}
    like = {number: sum(one for _, one in some) for number, some in said.items()}
    # Of those that are as like, the sharpest: a little blurred, a picture is like the others as well.
    most = max((like[number] for number in said if not edited[number]), default=0.0)
    return {number: (edited[number], float(like[number] >= ABOUT * most)) for number in said}


def _are_edited(link: _Link) -> tuple[bool, bool]:
    """Returns whether the first and the second photo of a link are a part, or a page around the other."""
    shape, edge = link.shape, link.edge
    if shape.other_share >= WHOLE > shape.share:
        is_page = edge.second_framed >= STEPS
        return is_page, not is_page
    if shape.share >= WHOLE > shape.other_share:
        is_page = edge.first_framed >= STEPS
        return not is_page, is_page
    return False, False


def _edit(path: _Path | None, shape: Shape | None) -> Edit:
    if path is None or shape is None:
        return Edit()
    edges = [link.edge for link in path.links]
    return Edit(
        crop=shape.part if shape.share < WHOLE else None,
        inside=shape.other_part if shape.other_share < WHOLE else None,
        angle=shape.angle,
        mirrored=shape.mirrored,
        scale=shape.scale,
        stretch=shape.stretch,
        tilted=shape.tilted,
        covered=max((edge.covered for edge in edges if edge.covered >= 0), default=0.0),
        recoloured=any(edge.recoloured >= RECOLOURED for edge in edges),
    )
