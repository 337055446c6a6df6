"""What the table promises when two write at once, and when a writer was killed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import lance
import numpy as np
import pytest

from resight.collection import Collection
from resight.collection.header import Header
from resight.collection.leftovers import remove_leftovers
from resight.collection.own_files import TABLE_NAME
from resight.collection.roots import Key, Root
from resight.collection.schema import Row, rows_table
from resight.collection.store import Store
from resight.errors import CollectionDamaged, CollectionNotFound


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path, Header("identity", "made", "f" * 64, 4))


@pytest.mark.parametrize("dim", [0, -1, 3, 10**12])
def test_a_header_of_another_length_than_the_table_is_refused(store, dim):
    store.write_header(replace(store.header, dim=dim))
    with pytest.raises(
        CollectionDamaged, match=f"says that descriptors have {dim} dimensions, and its table"
    ):
        Collection.open(store.path)


@pytest.mark.parametrize("path", ["a\0b", "\0", "/\ud800"])
def test_a_root_that_is_no_path_is_refused(path):
    header = Header("identity", "made", "f" * 64, 4, (Root(0, path),))
    metadata = {
        key.encode(): json.dumps(json.loads(text)).encode() for key, text in header.to_metadata().items()
    }
    with pytest.raises(CollectionDamaged, match="the header of the collection here cannot be understood"):
        Header.from_metadata(metadata, Path("here"))


def test_an_empty_folder_is_called_so(tmp_path):
    with pytest.raises(CollectionNotFound, match="it is empty"):
        Store.open(tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(CollectionNotFound, match="it holds other things"):
        Store.open(tmp_path)


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


UUID = "1aec96d7-85b9-403f-9be3-1caefc5e5165"
LEFT = [
    "_versions/18446744073709551000.manifest#1",
    "_versions/.tmpOs3yi3",
    "_versions/latest_version_hint.json#2",
    f"_transactions/7-{UUID}.txn",
    "_transactions/.tmpyLAxg3",
    "_deletions/0-4-297314063194098305.arrow",
    "_deletions/1-2-3.bin#1",
    "data/110011010101011100111010b054624a6891d7fb1267fbd1a5.lance",
    "data/.tmpaD2wll",
]
OTHERS = [
    "data/notes.txt",
    "data/.tmp",
    "data/report#1",
    "_versions/list.manifest",
    "_transactions/x.txn",
    f"_indices/{UUID}/index.idx",
    "letter.lance",
    ".tmpabcdef",
]


def test_cleaning_deletes_all_that_lance_names_and_no_version_lists_and_nothing_else(store):
    for size in (1, 2, 3):
        store.upsert(rows("a.jpg", size))
    store.upsert(rows("b.jpg", 1))
    store.drop(store.table(["path"], where="path = 'b.jpg'")["_rowid"].to_numpy())
    table = store.path / TABLE_NAME
    for name in [*LEFT, *OTHERS]:
        (table / name).parent.mkdir(parents=True, exist_ok=True)
        (table / name).write_bytes(b"x")
    (table / "data/0123456789abcdef.lance").mkdir()
    store.clean()
    assert [name for name in LEFT if (table / name).exists()] == []
    assert [name for name in OTHERS if not (table / name).exists()] == []
    assert len(list((table / "_versions").glob("*.manifest"))) == 2  # with the one of another name
    assert len(list((table / "data").glob("*.lance"))) == 1 + len(store.files())
    assert Store.open(store.path).table(["path", "file_size"])["file_size"].to_pylist() == [3]
    store.upsert(rows("c.jpg", 1))
    assert Store.open(store.path).count() == 2


@pytest.mark.skipif(os.unlink not in os.supports_dir_fd, reason="Windows has no descriptors of folders")
@pytest.mark.parametrize("folder", ["data", "_versions", "_transactions", "."])
def test_a_link_that_appears_after_the_walk_leads_nowhere(store, tmp_path_factory, folder):
    store.upsert(rows("a.jpg", 1))
    mine = tmp_path_factory.mktemp("mine")
    for name in ("0123456789abcdef.lance", "1.manifest", f"0-{UUID}.txn"):
        (mine / name).write_text("keep me")
    dataset = lance.dataset(store.path / TABLE_NAME)
    place = store.path / TABLE_NAME / folder
    place.rename(store.path / "aside")
    place.symlink_to(mine)
    with pytest.raises(CollectionDamaged, match="is no folder of its own"):
        remove_leftovers(store.path / TABLE_NAME, dataset)
    assert sorted(file.read_text() for file in mine.iterdir()) == ["keep me"] * 3


def test_nothing_is_cleaned_by_an_older_version(store):
    older = lance.dataset(store.path / TABLE_NAME)
    store.upsert(rows("a.jpg", 1))
    before = sorted((store.path / TABLE_NAME).rglob("*"))
    remove_leftovers(store.path / TABLE_NAME, older)
    assert sorted((store.path / TABLE_NAME).rglob("*")) == before
