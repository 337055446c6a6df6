"""Descriptors to and from files of other tools: bit for bit, and as the other tool reads and writes them."""

from __future__ import annotations

import csv
import json
import os

import faiss
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from grid_model import grid_model
from made_photos import write_photo

from resight.collection import Collection
from resight.errors import InvalidInput
from resight.pipelines.exchange import LAYOUTS, Exchanged, export_collection, read_layout, write_layout
from resight.pipelines.index import index_photos

NAMES = {"hloc": "d.h5", "clip-retrieval": "clip", "oml": "d.csv", "faiss": "d.faiss", "parquet": "d.parquet"}


@pytest.fixture
def photos(tmp_path):
    for number in range(5):
        write_photo(tmp_path / "photos" / f"p {number}.png", number)
    return tmp_path / "photos"


@pytest.fixture
def collection(tmp_path, photos):
    made = Collection.create(tmp_path / "made.resight", model="sift")
    made.add(photos, metadata={str(photos / "p 1.png"): {"label": "one", "year": 1990}})
    return made


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_round_trip_is_bit_for_bit(collection, layout, tmp_path):
    assert export_collection(collection, layout, tmp_path / NAMES[layout]) == 5
    again = read_layout(tmp_path / NAMES[layout])
    paths, descriptors = collection.descriptors()
    names = [name.lstrip("/") for name in again.names]
    order = [names.index(path.lstrip("/")) for path in paths]
    np.testing.assert_array_equal(again.descriptors[order], descriptors)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_index_takes_what_was_written_and_describes_nothing(
    collection, photos, layout, tmp_path, monkeypatch
):
    export_collection(collection, layout, tmp_path / NAMES[layout])
    model = type(collection.model.describer)
    extract, described = model.extract, []

    def counted(self, batch):
        described.extend(batch)
        return extract(self, batch)

    monkeypatch.setattr(model, "extract", counted)
    indexed = index_photos(tmp_path / "again.resight", [photos], described=tmp_path / NAMES[layout])
    # Three are described to see whether it is the same model.
    assert len(described) == 3
    assert indexed.report.added == 5
    before, after = (each.exported(with_local=True) for each in (collection, indexed.collection))
    np.testing.assert_array_equal(after.descriptors, before.descriptors)
    for one, other in zip(before.local, after.local, strict=True):
        assert (other is not None) == (layout == "hloc")
        if other is not None:
            assert other.to_bytes() == one.to_bytes()
    assert [one.shape for one in after.descriptors] == [(512,)] * 5


def test_hloc_reads_its_own_layout(collection, tmp_path):
    export_collection(collection, "hloc", tmp_path / "d.h5")
    paths, descriptors = collection.descriptors()
    with h5py.File(tmp_path / "d.h5") as file:
        # As hloc's `list_h5_names` walks it.
        names = set()
        file.visititems(lambda _, o: names.add(o.parent.name) if isinstance(o, h5py.Dataset) else None)
        assert names == set(paths)
        np.testing.assert_array_equal(file[paths[0]]["global_descriptor"][:], descriptors[0])
        assert file[paths[0]]["descriptors"].shape == (128, len(file[paths[0]]["keypoints"]))


def test_faiss_reads_and_writes_it_itself(collection, tmp_path):
    export_collection(collection, "faiss", tmp_path / "d.faiss")
    index = faiss.read_index(str(tmp_path / "d.faiss"))
    _, ids = index.search(np.ascontiguousarray(collection.descriptors()[1]), 1)
    assert ids.ravel().tolist() == [0, 1, 2, 3, 4]
    rows = np.random.default_rng(0).random((3, 8), dtype=np.float32)
    plain = faiss.IndexFlatL2(8)
    plain.add(rows)
    faiss.write_index(plain, str(tmp_path / "plain.faiss"))
    (tmp_path / "plain.names.csv").write_text("id,path\n0,a\n1,b\n2,c\n")
    np.testing.assert_array_equal(read_layout(tmp_path / "plain.faiss").descriptors, rows)
    faiss.write_index(faiss.IndexHNSWFlat(8, 4), str(tmp_path / "plain.faiss"))
    with pytest.raises(InvalidInput, match="no flat index of FAISS"):
        read_layout(tmp_path / "plain.faiss")
    os.mkfifo(tmp_path / "pipe.faiss")
    with pytest.raises(InvalidInput, match="it is no file, but a folder, a pipe"):
        read_layout(tmp_path / "pipe.faiss")


def test_files_of_the_others_are_read(tmp_path):
    rows = np.eye(3, 4, dtype=np.float32)
    (tmp_path / "clip/img_emb").mkdir(parents=True)
    (tmp_path / "clip/metadata").mkdir()
    for part, some in ((0, slice(0, 2)), (10, slice(2, 3))):
        # clip-retrieval writes halves, and a table with more columns.
        np.save(tmp_path / f"clip/img_emb/img_emb_{part}.npy", rows[some].astype(np.float16))
        names = pa.array(["a.jpg", "b.jpg", "c.jpg"][some])
        table = pa.table({"image_path": names, "caption": names})
        parquet.write_table(table, tmp_path / f"clip/metadata/metadata_{part}.parquet")
    clip = read_layout(tmp_path / "clip")
    assert clip.names == ["a.jpg", "b.jpg", "c.jpg"]
    np.testing.assert_array_equal(clip.descriptors, rows)
    with (tmp_path / "oml.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("label", "path", "split", "is_query", "is_gallery", "embedding"))
        table.writerows(
            (0, f"{n}.jpg", "train", "", "", json.dumps(row.tolist())) for n, row in enumerate(rows)
        )
    np.testing.assert_array_equal(read_layout(tmp_path / "oml.csv").descriptors, rows)


@pytest.mark.parametrize("layout", ["oml", "faiss", "parquet", "hloc"])
def test_damaged_files_are_refused(collection, layout, tmp_path):
    path = tmp_path / NAMES[layout]
    export_collection(collection, layout, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(InvalidInput, match=path.name):
        read_layout(path)


def test_descriptors_of_another_model_are_refused(collection, photos, tmp_path):
    names, rows = collection.descriptors()
    write_layout(Exchanged(names, rows[::-1].copy(), [None] * 5, [{}] * 5), "parquet", tmp_path / "d.parquet")
    with pytest.raises(InvalidInput, match="was made by another model than sift"):
        index_photos(tmp_path / "again.resight", [photos], described=tmp_path / "d.parquet")
    write_layout(Exchanged(["x"], rows[:1], [None], [{}]), "parquet", tmp_path / "d.parquet")
    with pytest.raises(InvalidInput, match="names none of the photos"):
        index_photos(tmp_path / "again.resight", [photos], described=tmp_path / "d.parquet")
    assert not (tmp_path / "again.resight").exists()


def test_metadata_and_relative_names(collection, photos, tmp_path):
    export_collection(collection, "parquet", tmp_path / "d.parquet")
    table = parquet.read_table(tmp_path / "d.parquet").to_pylist()
    assert {(row["path"], row["label"], row["year"]) for row in table if row["label"]} == {
        (str(photos / "p 1.png"), "one", 1990)
    }
    names, rows = collection.descriptors()
    short = [f"/elsewhere/{name.rsplit('/', 1)[1]}" for name in names]
    write_layout(Exchanged(short, rows * 3, [None] * 5, [{}] * 5), "parquet", tmp_path / "d.parquet")
    again = index_photos(tmp_path / "again.resight", [photos], described=tmp_path / "d.parquet").collection
    np.testing.assert_allclose(again.descriptors()[1], rows, atol=1e-3)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_a_flipped_bit_of_a_table_is_noticed(collection, tmp_path, share):
    path = tmp_path / "d.parquet"
    export_collection(collection, "parquet", path)
    damaged = bytearray(path.read_bytes())
    damaged[int(share * len(damaged))] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(InvalidInput, match="CRC"):
        read_layout(path)


@pytest.mark.parametrize("other", ["letter.txt", "img_emb/img_emb_1.npy", "metadata"])
def test_a_folder_with_other_things_is_not_replaced(collection, tmp_path, other):
    place = tmp_path / "clip"
    for _ in range(2):
        export_collection(collection, "clip-retrieval", place)
    if other == "metadata":
        (place / other).rename(tmp_path / "kept")
        (place / other).symlink_to(tmp_path / "kept")
    else:
        (place / other).write_text("keep me")
    with pytest.raises(OSError, match=rf"it holds other things \({other}\): name a new or an empty folder"):
        export_collection(collection, "clip-retrieval", place)
    assert os.path.lexists(place / other)


def test_an_index_and_its_list_of_paths_are_one_output(collection, tmp_path):
    export_collection(collection, "faiss", tmp_path / "d.faiss")
    before = (tmp_path / "d.faiss").read_bytes()
    collection.remove([path for path in collection.descriptors()[0] if path.endswith("p 0.png")])
    (tmp_path / "d.names.csv").unlink()
    (tmp_path / "d.names.csv").mkdir()
    with pytest.raises(OSError, match="a folder has the place of the file"):
        export_collection(collection, "faiss", tmp_path / "d.faiss")
    assert (tmp_path / "d.faiss").read_bytes() == before


def test_an_unknown_layout_is_named(tmp_path):
    bare = Collection.create(tmp_path / "bare", model=grid_model())
    with pytest.raises(InvalidInput, match="the layout is one of hloc, clip-retrieval, oml, faiss, parquet"):
        export_collection(bare, "lmdb", tmp_path / "x")
