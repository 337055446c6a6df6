"""A query as one checked value."""

from __future__ import annotations

import io

import numpy as np
import pytest
from grid_model import grid_model
from PIL import Image

from resight.collection import Collection, Query
from resight.errors import InvalidInput, NoLocalFeatures
from resight.features import Box


def test_values_are_brought_to_one_form():
    query = Query("a.jpg", box=[1, 2, 30, 40], without="b.jpg")
    assert query.photos == ("a.jpg",)
    assert query.without == ("b.jpg",)
    assert query.box == Box(1, 2, 30, 40)
    assert (query.top, query.expand, query.refine, query.where, query.verify) == (10, 0, None, None, "auto")
    assert Query(["a.jpg", "b.jpg"]).photos == ("a.jpg", "b.jpg")
    assert Query("a.jpg", box=Box(1, 2, 30, 40)).box == query.box
    with pytest.raises(AttributeError):
        query.top = 3


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"photos": []}, "a search needs at least one query photo"),
        ({"top": 0}, "top must be at least 1, not 0"),
        ({"expand": -1}, "expand must be at least 0, not -1"),
        ({"verify": -1}, "verify must be 'auto' or a number of at least 0, not -1"),
        ({"verify": "all"}, "verify must be 'auto' or a number of at least 0, not 'all'"),
        ({"where": " "}, "the filter is empty"),
        ({"box": (1, 2, 3)}, "a box is four numbers x0, y0, x1, y1 in pixels, not 3"),
        ({"box": (5, 5, 1, 9)}, "is empty"),
        ({"photos": ["a.jpg", "b.jpg"], "box": (0, 0, 5, 5)}, "a box belongs to one query photo, not to 2"),
        ({"refine": "magic"}, "refine is one of diffusion, reciprocal, superglobal, not 'magic'"),
        ({"refine": "diffusion", "where": "width > 0"}, "cannot be confined by a filter"),
        ({"refine": "diffusion", "expand": 3}, "either diffusion or query expansion"),
    ],
)
def test_wrong_values_and_contradictions_are_refused_before_anything_is_read(values, sentence):
    with pytest.raises(InvalidInput) as refusal:
        Query(**{"photos": "a.jpg", **values})
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("value", [2.0, "2", True, None, [2]])
@pytest.mark.parametrize("name", ["top", "expand", "verify", "max_pixels"])
def test_what_is_no_whole_number_is_refused_in_a_sentence(name, value):
    if (name, value) == ("verify", "2"):
        return
    with pytest.raises(InvalidInput, match=rf"{name} is .*a whole number"):
        Query("a.jpg", **{name: value})


@pytest.mark.parametrize(
    "box", ["1,2,30,40", b"1234", 5, ["1", "2", "30", "40"], [[1, 2, 30, 40]], {"x0": 1}]
)
def test_what_is_no_box_is_refused_in_a_sentence(box):
    with pytest.raises(InvalidInput, match="a box is four numbers x0, y0, x1, y1 in pixels, not"):
        Query("a.jpg", box=box)


def test_any_iterable_is_several_photos_or_four_numbers():
    for several in (
        iter(["a.jpg", "b.jpg"]),
        (name for name in ("a.jpg", "b.jpg")),
        map(str, ["a.jpg", "b.jpg"]),
    ):
        assert Query(several).photos == ("a.jpg", "b.jpg")
    assert Query({"a.jpg"}, without={"b.jpg"}).without == ("b.jpg",)
    for box in (np.array([1, 2, 30, 40]), iter([1, 2, 30, 40]), (1.0, 2, 30, 40)):
        assert Query("a.jpg", box=box).box == Box(1, 2, 30, 40)
    query = Query("a.jpg", top=np.int64(3), verify=np.uint8(4))
    assert (query.top, query.verify) == (3, 4)
    assert type(query.top) is int


def test_open_files_are_read_from_their_start(photos):
    path = photos / "a" / "p02.png"
    data = path.read_bytes()
    stream = io.BytesIO(data)
    stream.seek(100)
    with path.open("rb") as file:
        file.read()
        assert Query(file).photos == Query(stream).photos == (data,)
    with pytest.raises(InvalidInput, match=r"the open file of a photo cannot be read: .* closed file"):
        Query(file)
    with path.open(encoding="latin-1") as text, pytest.raises(InvalidInput, match="open it with 'rb'"):
        Query(text)


def test_every_form_of_a_photo_gives_the_same_answer(collection, photos):
    path = photos / "a" / "p02.png"
    image = Image.open(path)
    with path.open("rb") as stream:
        forms = [path, str(path), path.read_bytes(), stream, image, np.asarray(image.convert("RGB"))]
        answers = [collection.answer(Query(form, top=4, verify=2)) for form in forms]
    for answer in answers:
        assert [(hit.path, hit.similarity, hit.inliers) for hit in answer.hits] == [
            (hit.path, hit.similarity, hit.inliers) for hit in answers[0].hits
        ]
    assert [answer.queries[0].path for answer in answers] == [str(path)] * 2 + ["a photo in memory"] * 4


def test_what_is_no_photo_is_refused(collection):
    with pytest.raises(InvalidInput, match="a photo is a path, bytes, an open binary file"):
        collection.search(7)


def test_an_open_file_is_read_once(collection, photos):
    query = Query(io.BytesIO((photos / "a" / "p02.png").read_bytes()), top=1)
    assert collection.answer(query).hits[0].path == collection.answer(query).hits[0].path


def test_by_default_as_many_are_verified_as_the_model_can_verify(collection, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("resight.collection.describing.VERIFY_DEPTH", 3)
    query = photos / "a" / "p02.png"
    assert [hit.match is not None for hit in collection.search(query, top=5)] == [True] * 3 + [False] * 2
    plain = Collection.create(tmp_path / "plain", model=grid_model(with_local=False))
    plain.add(photos)
    assert {hit.verdict for hit in plain.search(query, top=5)} == {"unchecked"}
    with pytest.raises(NoLocalFeatures, match="no local features"):
        plain.search(query, verify=1)


def test_a_collection_is_a_container_of_paths(collection, photos, tmp_path):
    paths = sorted(str(path) for path in photos.rglob("*.png"))
    assert sorted(collection) == paths
    assert len(collection) == len(paths)
    assert photos / "a" / "p02.png" in collection
    assert paths[0] in collection
    assert tmp_path / "other.png" not in collection
    assert 3 not in collection
