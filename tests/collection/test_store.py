"""What the table promises when two write at once, and when a writer was killed."""

from __future__ import annotations

import numpy as np
import pytest

from resight.collection.header import Header
from resight.collection.roots import Key
from resight.collection.schema import Row, rows_table
from resight.collection.store import TABLE_NAME, Store


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path, Header("identity", "made", "f" * 64, 4))


def rows(path, size):
    return rows_table([Row(Key(0, path), b"hash", size, 1, 10, 10, np.ones(4, np.float16), None, None)], 4)


def test_two_upserts_of_one_new_photo_from_one_version_store_it_once(store):
    other = Store.open(store.path)
    store.upsert(rows("a.jpg", 1))
    # The other has not seen this commit.
    assert other.version < store.version
    other.upsert(rows("a.jpg", 2))
    store.refresh()
    assert store.table(["path", "file_size"])["file_size"].to_pylist() == [2]


def test_cleaning_deletes_what_killed_writers_left_behind(store):
    store.upsert(rows("a.jpg", 1))
    left = store.path / TABLE_NAME / "data" / "0123456789abcdef.lance"
    left.write_bytes(b"half a fragment")
    store.clean()
    assert not left.exists()
    assert store.table(["path"])["path"].to_pylist() == ["a.jpg"]
