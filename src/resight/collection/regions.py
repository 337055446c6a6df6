"""Descriptors of parts of photos, beside those of whole photos: a small thing is found in a large photo.

A fixed grid of overlapping parts, each of which has a descriptor. Of a model whose local features say what a
part would be described as (`sift`), no photo is read for it; other models look at each part.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float16, Float32, Int64

from resight import images
from resight.collection.record_files import RecordFiles
from resight.collection.roots import Key
from resight.collection.store import Store
from resight.collection.stored_local import StoredLocal
from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box, LocalFeatures
from resight.files import Progress, in_threads
from resight.files.objects import ObjectPath
from resight.images.content import HASH_BYTES
from resight.images.opening import open_photo
from resight.models.extract import shows_nothing
from resight.models.model import Model
from resight.search import Ranking
from resight.search.exact import rounded, top_k

__all__ = ["GRIDS", "RegionIndex", "RegionStore", "grid_of", "keep_regions", "parts_of"]

GRIDS: Mapping[int, Sequence[tuple[int, float]]] = {
    4: ((2, 0.6),),
    9: ((3, 0.5),),
    25: ((3, 0.5), (4, 0.36)),
    50: ((3, 0.5), (4, 0.36), (5, 0.28)),
}
"""How many parts, and which: so many along each side, each with that share of both sides, evenly spread."""

FEWEST = 12
"""Features from which a part is described; fewer say nothing."""
BLOCK = 256
"""Photos whose parts are described before they are kept."""
ROWS = 16_384
"""Parts that are compared at once."""
MORE = 32
"""Photos beyond those asked for that are scored exactly."""


def grid_of(budget: int, dim: int) -> int:
    """Returns how many parts a photo gets for so many bytes.

    Raises:
        InvalidInput: They do not suffice for the smallest grid.
    """
    count = max((count for count in GRIDS if 2 * dim * count <= budget), default=0)
    if not count:
        least = 2 * dim * min(GRIDS)
        raise InvalidInput(
            f"{min(GRIDS)} parts of a photo take {least:,} bytes with this model, not {budget:,}"
        )
    return count


def parts_of(count: int, width: float, height: float) -> list[Box]:
    """Returns the parts of a photo of that size, pixels."""
    boxes = []
    for along, share in GRIDS[count]:
        starts = np.linspace(0, 1 - share, along).tolist()
        boxes += [
            Box(x * width, y * height, (x + share) * width, (y + share) * height)
            for y in starts
            for x in starts
        ]
    return boxes


@final
class RegionStore:
    """The descriptors of parts that a collection keeps, by the hash of a photo's bytes.

    Args:
        store: The collection's.
        count: Parts a photo.
    """

    def __init__(self, store: Store, count: int) -> None:
        made_by = {"format": 1, "fingerprint": store.header.fingerprint, "parts": count}
        self.files = RecordFiles(store.path, "regions", made_by)
        self.count, self._dim = count, store.header.dim
        self._row = np.dtype([("photo", "u1", (HASH_BYTES,)), ("parts", "<f2", (count, self._dim))])

    @staticmethod
    def marks(store: Store) -> list[object]:
        """Returns what tells the files that a collection has from others: another grid has the same names."""
        marks: list[object] = []
        for path in RegionStore(store, min(GRIDS)).files.paths:
            # Another process may replace them.
            with suppress(FileNotFoundError):
                if isinstance(path, ObjectPath):
                    marks.append((path.name, path.status()))
                else:
                    status = path.stat()
                    marks.append((path.name, status.st_size, status.st_mtime_ns))
        return marks

    @classmethod
    def of(cls, store: Store) -> RegionStore | None:
        """Returns the one that holds anything, or None."""
        if not cls.marks(store):
            return None
        return next((one for one in (cls(store, count) for count in GRIDS) if one.holds_any), None)

    @property
    def holds_any(self) -> bool:
        """Whether there is a file of this grid and this model."""
        return any(True for _ in self.files.read())

    def read(self) -> dict[bytes, Float16[np.ndarray, "parts dim"]]:
        """Returns the descriptors by photo; all zero where nothing can be said of a part."""
        found: dict[bytes, Float16[np.ndarray, "parts dim"]] = {}
        for counts, body in self.files.read():
            if counts.get("photos", -1) * self._row.itemsize == len(body):
                rows = np.frombuffer(body, self._row)
                found |= {row["photo"].tobytes(): row["parts"] for row in rows}
        return found

    def body_of(
        self, parts: Mapping[bytes, Float16[np.ndarray, "parts dim"]]
    ) -> tuple[dict[str, int], bytes]:
        """Returns what `RecordFiles` takes."""
        rows = np.zeros(len(parts), self._row)
        for row, (photo, descriptors) in zip(rows, parts.items(), strict=True):
            row["photo"], row["parts"] = np.frombuffer(photo, np.uint8), descriptors
        return {"photos": len(rows)}, rows.tobytes()

    def forget_all_but(self, photos: Container[bytes | None]) -> None:
        """Forgets other photos; hold the writer's lock.

        Raises:
            OSError: The disk refuses it.
        """
        kept = {photo: one for photo, one in self.read().items() if photo in photos}
        self.files.replace(*self.body_of(kept))


@dataclass(frozen=True, slots=True)
class _Photo:
    row: int
    key: Key
    width: int
    height: int


def _photos(store: Store) -> dict[bytes, _Photo]:
    columns = ["hash", "root", "path", "width", "height"]
    table = store.table(columns, where="broken IS NULL AND hash IS NOT NULL")
    return {
        row["hash"]: _Photo(row["_rowid"], Key(row["root"], row["path"]), row["width"], row["height"])
        for row in table.to_pylist()
    }


def keep_regions(store: Store, model: Model, budget: int | None, progress: Progress) -> int:
    """Returns how many photos' parts were described to be up to date; hold the writer's lock.

    Args:
        store: The collection's.
        model: Its model.
        budget: Bytes a photo; None: the grid that the collection has; 0: none, and what is there goes.
        progress: Called with photos done and photos in all.

    Raises:
        InvalidInput: The budget does not suffice for the smallest grid.
        OSError: The disk refuses it.
    """
    held = RegionStore.of(store)
    if budget == 0:
        RegionStore(store, min(GRIDS)).files.remove()
        return 0
    if budget is None and held is None:
        return 0
    count = held.count if budget is None and held is not None else grid_of(budget or 0, store.header.dim)
    return _update(store, model, count, progress)


def _update(store: Store, model: Model, count: int, progress: Progress) -> int:
    """Returns how many photos' parts were described: those of whom nothing was known; hold the writer's lock.

    Kept batch by batch: killed, the next call goes on.

    Raises:
        OSError: The disk refuses it.
    """
    regions = RegionStore(store, count)
    if not regions.holds_any:
        # Of another grid, or another model.
        regions.files.remove()
    known, photos = regions.read().keys(), _photos(store)
    new = [photo for photo in photos if photo not in known]
    stored = StoredLocal(store, model.codec)
    for start in range(0, len(new), BLOCK):
        some = new[start : start + BLOCK]
        local = stored.of(np.array([photos[photo].row for photo in some], dtype=np.int64))
        work = [(photos[photo], features) for photo, features in zip(some, local, strict=True)]
        rows = in_threads(lambda item: _described(store, model, count, *item), work)
        described = dict(zip(some, rows, strict=True))
        here = {photo: one for photo, one in described.items() if one is not None}
        regions.files.append(*regions.body_of(here))
        progress(min(start + BLOCK, len(new)), len(new))
    return len(new)


def _described(
    store: Store, model: Model, count: int, photo: _Photo, local: LocalFeatures | None
) -> Float16[np.ndarray, "parts dim"] | None:
    """Returns the descriptors of a photo's parts; None where its file is needed and is not here."""
    parts = np.zeros((count, model.dim), dtype=np.float16)
    boxes = parts_of(count, photo.width, photo.height)
    keypoints_alone = model.describer.traits.from_keypoints
    for number, box in enumerate(boxes):
        inside = None if local is None else _inside(local, box)
        known = inside if keypoints_alone else None
        turned = None if known is None else model.turned(known, max(box.width, box.height))
        if turned is not None:
            parts[number] = turned[0]
        elif inside is None or not keypoints_alone or len(inside) >= FEWEST:
            if not store.roots.is_here(photo.key):
                return None
            try:
                with open_photo(store.roots.path_of(photo.key)) as stream:
                    shown = images.read(stream, max_side=model.max_side, box=box)
            except (OSError, UnreadableImage):
                return None
            (features,) = model.extract([shown])
            if not shows_nothing(shown, features):
                parts[number] = features.descriptor
    return parts


def _inside(local: LocalFeatures, box: Box) -> LocalFeatures:
    """Returns the features in a box; none where there are too few to say anything."""
    x, y = local.positions.T + 0.5
    rows = np.flatnonzero((x >= box.x0) & (x < box.x1) & (y >= box.y0) & (y < box.y1))
    rows = rows if len(rows) >= FEWEST else rows[:0]
    return LocalFeatures(
        local.positions[rows],
        local.scales[rows],
        local.orientations[rows],
        local.scores[rows],
        local.descriptors[rows],
        local.metric,
    )


@final
class RegionIndex:
    """The parts of a collection's photos in memory.

    Attributes:
        count: Parts a photo.
        ids: Row ids.
        parts: float16 ``(photos, parts, dim)``.
    """

    def __init__(
        self, count: int, ids: Int64[np.ndarray, " n"], parts: Float16[np.ndarray, "n parts dim"]
    ) -> None:
        order = np.argsort(ids)
        self.count, self.ids, self.parts = count, ids[order], parts[order]

    @classmethod
    def load(cls, store: Store) -> RegionIndex | None:
        """Returns those of a collection; None where it has none."""
        regions = RegionStore.of(store)
        if regions is None:
            return None
        kept, table = regions.read(), store.table(["hash"], where="broken IS NULL AND hash IS NOT NULL")
        pairs = zip(table["_rowid"].to_pylist(), table["hash"].to_pylist(), strict=True)
        rows = [(row, kept[digest]) for row, digest in pairs if digest in kept]
        if not rows:
            return None
        return cls(regions.count, np.array([row for row, _ in rows]), np.stack([parts for _, parts in rows]))

    def with_parts(
        self,
        ranking: Ranking,
        queries: Float32[np.ndarray, "q dim"],
        k: int,
        allowed: Int64[np.ndarray, " m"] | None,
    ) -> Ranking:
        """Returns the k best photos, each by the better of the whole and its best part.

        A photo whose whole is not among the k best of the ranking has no place by its whole. Scores are inner
        products as everywhere: of the best by a scan in float32, computed again in float64 and rounded.
        """
        member = np.ones(len(self.ids), dtype=bool) if allowed is None else np.isin(self.ids, allowed)
        ids, parts = self.ids[member], self.parts[member]
        step = max(1, ROWS // self.count)
        best = np.full((len(queries), len(ids)), -np.inf, dtype=np.float32)
        for start in range(0, len(ids), step):
            block = parts[start : start + step].astype(np.float32)
            scores = queries @ block.reshape(-1, block.shape[2]).T
            best[:, start : start + step] = scores.reshape(len(queries), -1, self.count).max(axis=2)
        rows = []
        for number, query in enumerate(queries):
            near = np.argsort(-best[number], kind="stable")[: k + MORE]
            products = (parts[near].astype(np.float64) * query.astype(np.float64)).sum(axis=2)
            exact = rounded(products).max(axis=1, initial=-1.0)
            whole_ids, whole_scores = ranking.row(number)
            found = dict(zip(whole_ids.tolist(), whole_scores.tolist(), strict=True))
            for row, score in zip(ids[near].tolist(), exact.tolist(), strict=True):
                found[row] = max(found.get(row, -np.inf), score)
            listed = np.array(list(found), dtype=np.int64), np.array(list(found.values()))
            order = top_k(listed[1], listed[0], min(k, len(found)))
            rows.append((listed[0][order], listed[1][order].astype(np.float32)))
        return Ranking(np.stack([row for row, _ in rows]), np.stack([scores for _, scores in rows]))

    def part_of(
        self, row: int, query: Float32[np.ndarray, " dim"], similarity: float, size: tuple[int, int]
    ) -> Box | None:
        """Returns the part of a photo by which it has that similarity with a query; None for the whole."""
        place = int(np.searchsorted(self.ids, row))
        if place >= len(self.ids) or self.ids[place] != row:
            return None
        scores = (self.parts[place].astype(np.float64) * query.astype(np.float64)).sum(axis=1)
        part = int(scores.argmax())
        return parts_of(self.count, *size)[part] if abs(float(scores[part]) - similarity) < 1e-5 else None
