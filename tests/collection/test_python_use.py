"""A collection as Python programs use it: opened or made, as arrays, in other processes."""

from __future__ import annotations

import os
import pickle
import warnings

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
