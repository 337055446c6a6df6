"""A collection as Python programs use it: opened or made, as arrays, in other processes."""

from __future__ import annotations

import os
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from resight.collection import Collection
from resight.errors import CollectionError, InvalidInput


def test_a_collection_is_opened_or_made(tmp_path, photos, model):
    first = Collection.open_or_create(tmp_path / "c", model=model)
    first.add(photos)
    assert len(Collection.open_or_create(tmp_path / "c", model=model)) == 12
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="holds other things"):
        Collection.open_or_create(tmp_path / "other", model=model)


def test_descriptors_come_with_their_paths(collection, photos, model):
    (photos / "a" / "broken.png").write_text("no photo")
    collection.add(photos)
    paths, descriptors = collection.descriptors()
    assert paths == list(collection)
    assert descriptors.dtype == np.float32
    assert descriptors == pytest.approx(model.describe(paths), abs=1e-3)
    assert Collection.create(photos.parent / "empty", model=model).descriptors()[1].shape == (0, model.dim)


def test_a_collection_is_used_as_a_sequence_of_paths(collection, photos, monkeypatch):
    paths = list(collection)
    assert collection[0] == paths[0]
    assert collection[-1] == paths[-1]
    assert collection[1:3] == paths[1:3]
    assert list(reversed(collection)) == paths[::-1]
    with pytest.raises(IndexError):
        collection[len(paths)]
    monkeypatch.chdir(photos)
    first = os.path.relpath(paths[0])
    for form in (paths[0], first, Path(first), f"./{first}", Path(paths[0]).as_uri()):
        assert form in collection
    for form in ("none.png", 3, None, b"a", "https://example.org/a.png", photos):
        assert form not in collection


def test_paths_are_given_as_people_type_them(tmp_path, photos, model, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Collection.open_or_create("~/here", model=model)
    assert made.path == tmp_path / "here"
    assert len(made.add(path for path in sorted((photos / "a").glob("p*.png"))).broken) == 0
    assert f"~/{(photos / 'a' / 'p00.png').relative_to(tmp_path)}" in made
    assert made.remove(iter([(photos / "a" / "p00.png").as_uri()])) == 1
    assert len(Collection.open("~/here", model=model)) == len(made) > 0
    for value in (b"a", None, 3):
        with pytest.raises(InvalidInput, match="a path is text or a"):
            made.add(value)
        with pytest.raises(InvalidInput, match="a path is text or a"):
            made.remove(value)


def test_an_answer_is_its_hits_and_writes_its_page(collection, photos, tmp_path):
    answer = collection.answer(photos / "a" / "p00.png")
    assert list(answer) == answer.hits
    assert (len(answer), answer[0]) == (len(answer.hits), answer.hits[0])
    assert repr(answer) == f"<Answer of {len(answer)} hits among 12 photos>"
    assert len(repr(answer[0])) < 250
    assert repr(answer[0]).startswith(f"<Hit 1 {answer[0].verdict}, 1.0000")
    answer.save_html(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_many_threads_search_while_one_adds(collection, photos):
    query = photos / "a" / "p00.png"
    expected = [hit.path for hit in collection.search(query, top=3)]
    with ThreadPoolExecutor(8) as pool:
        searches = [pool.submit(collection.search, query, top=3) for _ in range(24)]
        added = pool.submit(collection.add, photos)
        assert added.result().broken == []
        assert all([hit.path for hit in search.result()] == expected for search in searches)


def test_a_collection_is_pickled_by_its_path(tmp_path, photos):
    made = Collection.create(tmp_path / "s", model="sift")
    made.add(photos)
    data = pickle.dumps(made)
    assert len(data) < 1000
    copy = pickle.loads(data)
    assert copy.path == made.path
    query = next(iter(made))
    assert [hit.path for hit in copy.search(query)] == [hit.path for hit in made.search(query)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_after_a_fork_a_search_is_refused(collection, photos):
    query = photos / "a" / "p00.png"
    collection.search(query)
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons and Lance warn of just this.
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        text = ""
        try:
            for use in (
                lambda: collection.search(query),
                lambda: collection.add(photos),
                lambda: len(collection),
            ):
                try:
                    use()
                except CollectionError as error:
                    text += f"{error}\n"
            text += repr(collection)
        finally:
            os.write(writer, text.encode())
            os._exit(0)
    os.close(writer)
    assert os.waitpid(child, 0)[1] == 0
    with os.fdopen(reader) as stream:
        *refusals, shown = stream.read().splitlines()
    assert len(refusals) == 3
    assert all("open it anew in this process" in refusal for refusal in refusals)
    assert shown.startswith("<Collection ")
