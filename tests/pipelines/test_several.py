"""A wall of pictures: each that is in the collection is answered by itself, and no other is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from grid_model import grid_model
from PIL import Image

from resight.collection import Collection, Query
from resight.errors import InvalidInput, NoLocalFeatures
from resight.pipelines.several import answer_several
from resight.scenes.render import render_view


@pytest.fixture(scope="module")
def collection(tmp_path_factory) -> Collection:
    """Five places in two views."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "photos").mkdir()
    for place in range(5):
        for view in range(2):
            picture = Image.fromarray(render_view(place, view, seed=5, side=320))
            picture.save(folder / "photos" / f"{place}-{view}.jpg", quality=90)
    made = Collection.create(folder / "several.resight", model="sift")
    made.add(folder / "photos")
    return made


def wall(places) -> np.ndarray:
    """A wall with pictures on it: of places in the order of rows; -1 is one that nobody has."""
    canvas = np.full((560, 1160, 3), 190, dtype=np.uint8)
    for number, place in enumerate(places):
        picture = render_view(90 if place < 0 else place, 0, seed=5, side=320)[:230]
        y, x = 30 + 270 * (number // 3), 40 + 380 * (number % 3)
        canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return canvas


def first(answer) -> str:
    return Path(answer.hits[0].path).name[0]


def test_each_picture_is_found_at_its_place_and_strangers_are_not(collection):
    answers = answer_several(collection, Query(wall([0, -1, 3, 4]), top=4))
    assert sorted(first(answer) for answer in answers) == ["0", "3", "4"]
    for answer, (x, y) in zip(sorted(answers, key=first), ((40, 30), (800, 30), (40, 300)), strict=True):
        box = answer.queries[0].box
        assert x - 60 < box.x0 < box.x1 < x + 380
        assert y - 60 < box.y0 < box.y1 < y + 300
        assert all(hit.verdict == "confirmed" for hit in answer.hits)
        assert [hit.rank for hit in answer.hits] == list(range(1, len(answer.hits) + 1))


def test_the_same_picture_twice_is_two_answers(collection):
    answers = answer_several(collection, Query(wall([2, 2])))
    assert [first(answer) for answer in answers] == ["2", "2"]


def test_a_wall_of_strangers_has_no_answer(collection):
    assert answer_several(collection, Query(wall([-1]))) == []


def test_what_cannot_be_asked_is_refused(collection, tmp_path):
    photo = wall([0])
    with pytest.raises(InvalidInput, match="give one, and no photo of what not"):
        answer_several(collection, Query([photo, photo]))
    with pytest.raises(InvalidInput, match="told apart by geometry"):
        answer_several(collection, Query(photo, verify=0))
    bare = Collection.create(tmp_path / "bare", model=grid_model(with_local=False))
    with pytest.raises((InvalidInput, NoLocalFeatures), match="no local features"):
        answer_several(bare, Query(photo))
