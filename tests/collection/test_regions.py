"""Parts of photos: a small thing is found by the part that shows it, exactly, and the collection follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.collection import Collection, Query
from resight.collection.regions import GRIDS, RegionIndex, RegionStore, grid_of, parts_of
from resight.errors import InvalidInput
from resight.features import Box
from resight.scenes.render import render_view
from resight.search import ExactIndex

BYTES = 2 * 512 * 9


def room(number: int, thing: Image.Image) -> Image.Image:
    """A view of a place in which a small picture hangs, at the upper right."""
    view = Image.fromarray(render_view(40 + number, 0, seed=5, side=640))
    view.paste(thing.resize((170, 128)), (view.width - 200, 20))
    return view


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Rooms, each with a picture of its own; not to be changed."""
    folder = tmp_path_factory.mktemp("rooms")
    (folder / "photos").mkdir()
    for number in range(4):
        room(number, thing(number)).save(folder / "photos" / f"{number}.jpg", quality=92)
    Collection.create(folder / "rooms.resight", model="sift").add(folder / "photos", regions=BYTES)
    return folder


def thing(number: int) -> Image.Image:
    return Image.fromarray(render_view(number, 0, seed=5, side=320))


@pytest.fixture
def copied(made, tmp_path) -> Path:
    import shutil

    return shutil.copytree(made, tmp_path / "copy")


def test_a_small_thing_is_found_by_its_part(made):
    collection = Collection.open(made / "rooms.resight")
    hit = collection.search(thing(2), top=1, verify=0)[0]
    assert Path(hit.path).name == "2.jpg"
    width, height = hit.width, hit.height
    assert hit.part == Box(width / 2, 0, width, height / 2)
    assert collection.search(made / "photos" / "2.jpg", top=1, verify=0)[0].part is None


def test_the_best_part_of_a_photo_counts_exactly(made):
    collection = Collection.open(made / "rooms.resight")
    store = collection._store
    regions = RegionIndex.load(store)
    whole = ExactIndex(512, fingerprint="x")
    paths, rows = collection.descriptors()
    ids = np.array([collection.numbers()[path] for path in paths])
    whole.add(ids, rows)
    queries = np.stack([collection.model.describe(np.asarray(thing(n)))[0] for n in range(3)])
    for allowed in (None, ids[1:]):
        ranking = regions.with_parts(whole.search(queries, 3, allowed=allowed), queries, 3, allowed)
        for number, query in enumerate(queries):
            expected = {}
            for row, descriptor in zip(ids.tolist(), rows, strict=True):
                if allowed is None or row in allowed:
                    parts = regions.parts[np.flatnonzero(regions.ids == row)[0]]
                    every = [descriptor, *parts.astype(np.float64)]
                    expected[row] = max(float(np.dot(one.astype(np.float64), query)) for one in every)
            order = sorted(expected, key=lambda row: (-expected[row], row))[:3]
            assert ranking.ids[number].tolist() == order
            np.testing.assert_allclose(ranking.scores[number], [expected[row] for row in order], atol=1e-6)


def test_parts_follow_the_collection(copied):
    collection = Collection.open(copied / "rooms.resight")
    photos = copied / "photos"
    room(9, thing(9)).save(photos / "9.jpg", quality=92)
    (photos / "0.jpg").rename(photos / "renamed.jpg")
    collection.add(photos)
    assert Path(collection.search(thing(9), top=1, verify=0)[0].path).name == "9.jpg"
    assert Path(collection.search(thing(0), top=1, verify=0)[0].path).name == "renamed.jpg"
    assert len(RegionStore.of(collection._store).read()) == 5
    collection.remove(photos / "9.jpg")
    assert len(RegionStore.of(collection._store).read()) == 4
    collection.add(photos, regions=2 * 512 * 4)
    assert RegionStore.of(collection._store).count == 4
    collection.add(photos, regions=0)
    assert RegionStore.of(collection._store) is None
    assert collection.search(thing(3), top=1, verify=0)[0].part is None


def test_damaged_parts_count_for_nothing_and_are_made_again(copied):
    collection = Collection.open(copied / "rooms.resight")
    (file,) = (copied / "rooms.resight" / "regions").iterdir()
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    assert collection.answer(Query(thing(2), top=1, verify=0)).hits[0].part is None
    collection.add(copied / "photos", regions=BYTES)
    assert collection.search(thing(2), top=1, verify=0)[0].part is not None


def test_a_budget_decides_the_grid():
    assert [grid_of(2 * 512 * count, 512) for count in (4, 8, 9, 25, 1000)] == [4, 4, 9, 25, 50]
    with pytest.raises(InvalidInput, match="4 parts of a photo take 4,096 bytes with this model, not 100"):
        grid_of(100, 512)


def test_parts_cover_the_photo_and_lie_in_it():
    for count in GRIDS:
        boxes = parts_of(count, 640, 480)
        assert len(boxes) == count
        covered = np.zeros((480, 640), dtype=bool)
        for box in boxes:
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= 640.001
            assert box.y1 <= 480.001
            covered[round(box.y0) : round(box.y1), round(box.x0) : round(box.x1)] = True
        assert covered.all()


def test_an_open_collection_follows_another_grid(copied):
    """Also that of another process, as a server does while `resight index --regions` runs beside it."""
    collection, other = (Collection.open(copied / "rooms.resight") for _ in range(2))
    counts = []
    for writer, count in ((collection, 0), (collection, 4), (collection, 9), (other, 25), (collection, 4)):
        writer.add(copied / "photos", regions=2 * 512 * count)
        assert len(collection.search(thing(2), top=1, verify=0)) == 1
        regions = collection._resident.regions()
        counts.append(0 if regions is None else regions.count)
    assert counts == [0, 4, 9, 25, 4]
