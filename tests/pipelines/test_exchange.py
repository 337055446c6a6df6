"""Descriptors to and from files of other tools: bit for bit, and as the other tool reads and writes them."""

from __future__ import annotations

import csv
import json
import os
import pickle
import sqlite3
from contextlib import closing

import faiss
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from grid_model import grid_model
from made_photos import write_photo

from resight.collection import Collection
from resight.errors import InvalidInput, SearchUnreachable
from resight.pipelines import databases
from resight.pipelines.databases import Place, write_database
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
    # As the prediction pipeline of open-metric-learning writes them.
    predictions = tmp_path / "predictions.json"
    predictions.write_text(json.dumps({f"/data/{n}.jpg": row.tolist() for n, row in enumerate(rows)}))
    read = read_layout(predictions)
    assert read.names == [f"/data/{n}.jpg" for n in range(3)]
    np.testing.assert_array_equal(read.descriptors, rows)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": 1}', '{"a": [1], "b": [1, 2]}', '{"a": ["x"]}'])
def test_other_json_is_no_predictions(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(InvalidInput, match="a list of numbers, all of one length, by each photo's path"):
        read_layout(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("labels", "written"),
    [((4, 4, 9), [4, 4, 9]), (("cat", "dog", "cat"), [0, 1, 0]), ((None, "", None), [0, 1, 2])],
)
def test_labels_are_numbers_for_open_metric_learning(tmp_path, labels, written):
    metadata = [{} if label is None else {"label": label} for label in labels]
    exchanged = Exchanged(["a", "b", "c"], np.eye(3, dtype=np.float32), [None] * 3, metadata)
    write_layout(exchanged, "oml", tmp_path / "oml.csv")
    with (tmp_path / "oml.csv").open(newline="") as file:
        assert [int(row["label"]) for row in csv.DictReader(file)] == written


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


# Databases


@pytest.fixture(params=["qdrant", "milvus"])
def database(request):
    pytest.importorskip({"qdrant": "qdrant_client", "milvus": "milvus_lite"}[request.param])
    return request.param


def place_of(database, tmp_path):
    return tmp_path / {"qdrant": "q#mine", "milvus": "m.db#mine"}[database]


def test_a_database_gives_back_bit_for_bit_what_it_took(collection, photos, database, tmp_path):
    place = place_of(database, tmp_path)
    assert export_collection(collection, database, place) == 5
    again = read_layout(f"{database}+{place}")
    held = collection.exported()
    assert sorted(again.names) == sorted(held.paths)
    order = [again.names.index(path) for path in held.paths]
    assert again.descriptors[order].tobytes() == held.descriptors.tobytes()
    indexed = index_photos(tmp_path / "again.resight", [photos], described=f"{database}+{place}")
    assert indexed.collection.exported().descriptors.tobytes() == held.descriptors.tobytes()


def test_the_clients_themselves_read_what_was_written(collection, photos, database, tmp_path):
    place = str(place_of(database, tmp_path))
    export_collection(collection, database, place)
    path, name = place.split("#")
    queries = collection.exported().descriptors.tolist()
    if database == "qdrant":
        from qdrant_client import QdrantClient

        client = QdrantClient(path=path)
        found = [client.query_points(name, query, limit=1).points[0] for query in queries]
        rows = [(each.payload, each.score) for each in found]
    else:
        from pymilvus import MilvusClient

        client = MilvusClient(path)
        found = client.search(name, queries, limit=1, output_fields=["*"])
        rows = [(each[0]["entity"], each[0]["distance"]) for each in found]
    client.close()
    assert [row["path"] for row, _ in rows] == list(collection.exported().paths)
    np.testing.assert_allclose([score for _, score in rows], 1, atol=1e-3)
    assert {(row["label"], row["year"]) for row, _ in rows if row.get("label")} == {("one", 1990)}


ROWS = np.random.default_rng(2).random((600, 8), dtype=np.float32)


def test_a_full_disk_under_a_folder_of_qdrant_is_a_sentence(collection, tmp_path, monkeypatch):
    pytest.importorskip("qdrant_client")

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(databases, "_write_qdrant", full)
    with pytest.raises(SearchUnreachable, match="q#mine does not take part: database or disk is full"):
        export_collection(collection, "qdrant", tmp_path / "q#mine")
    assert list(tmp_path.glob("q*")) == []


def test_a_folder_that_the_client_of_qdrant_wrote(tmp_path):
    qdrant = pytest.importorskip("qdrant_client")
    from qdrant_client.models import Distance, PointStruct, VectorParams

    client = qdrant.QdrantClient(path=str(tmp_path / "q"))
    named = {"image": VectorParams(size=8, distance=Distance.DOT)}
    client.create_collection("mine", vectors_config=named)
    client.create_collection("other", vectors_config=VectorParams(size=3, distance=Distance.COSINE))
    ids = [f"00000000-0000-0000-0000-{n:012d}" if n % 2 else n for n in range(600)]
    client.upsert(
        "mine",
        [
            PointStruct(id=each, vector={"image": row.tolist()}, payload={"image_path": f"{n}.jpg", "n": [n]})
            for n, (each, row) in enumerate(zip(ids, ROWS, strict=True))
        ],
    )
    # A change of a point and a point that is gone.
    client.upsert("mine", [PointStruct(id=0, vector={"image": [1.0] * 8}, payload={"path": "first.jpg"})])
    client.delete("mine", [4])
    client.close()
    again = read_layout(f"qdrant+{tmp_path}/q#mine")
    rows = dict(zip(again.names, again.descriptors, strict=True))
    assert len(rows) == 599
    assert "4.jpg" not in rows
    assert rows["first.jpg"].tolist() == [1.0] * 8
    for number in (1, 2, 599):
        assert rows[f"{number}.jpg"].tobytes() == ROWS[number].tobytes()
    with pytest.raises(InvalidInput, match=r"no collection resight at .*: mine, other"):
        read_layout(f"qdrant+{tmp_path}/q")
    with pytest.raises(InvalidInput, match="must hold one vector a photo"):
        read_layout(f"qdrant+{tmp_path}/q#other")


def test_a_collection_that_the_client_of_milvus_wrote(tmp_path):
    milvus = pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    client = milvus.MilvusClient(str(tmp_path / "m.db"))
    client.create_collection("mine", dimension=8, metric_type="COSINE")
    client.insert("mine", [{"id": n, "vector": row, "filename": f"{n}.jpg"} for n, row in enumerate(ROWS)])
    client.create_collection("bare", dimension=8)
    client.insert("bare", [{"id": 1, "vector": ROWS[0]}])
    client.close()
    again = read_layout(f"milvus+{tmp_path}/m.db#mine")
    assert sorted(again.names) == sorted(f"{n}.jpg" for n in range(600))
    order = [again.names.index(f"{n}.jpg") for n in range(600)]
    assert again.descriptors[order].tobytes() == ROWS.tobytes()
    with pytest.raises(InvalidInput, match=r"a photo in .*#bare has no path"):
        read_layout(f"milvus+{tmp_path}/m.db#bare")
    with pytest.raises(InvalidInput, match=r"no collection resight at .*: bare, mine"):
        read_layout(f"milvus+{tmp_path}/m.db")
    with pytest.raises(InvalidInput, match="no collection resight"):
        read_layout(f"milvus+{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()


def test_a_collection_that_is_there_is_not_replaced(collection, database, tmp_path):
    place = place_of(database, tmp_path)
    export_collection(collection, database, place)
    with pytest.raises((InvalidInput, OSError), match=r"there is a collection mine|it holds other things"):
        export_collection(collection, database, place)


def test_what_fails_on_the_way_leaves_no_collection(collection, tmp_path, monkeypatch):
    milvus = pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(milvus.MilvusClient, "insert", stop)
        with pytest.raises(KeyboardInterrupt):
            export_collection(collection, "milvus", tmp_path / "m.db#mine")
    assert export_collection(collection, "milvus", tmp_path / "m.db#mine") == 5


def test_a_server_of_qdrant_by_the_calls_of_its_client(collection, tmp_path, monkeypatch):
    qdrant = pytest.importorskip("qdrant_client")

    server = qdrant.QdrantClient(":memory:")
    monkeypatch.setattr(server, "close", lambda: None)
    monkeypatch.setattr(databases, "_qdrant", lambda where: server)
    monkeypatch.setattr(databases, "_BATCH", 2)
    export_collection(collection, "qdrant", "http://there:6333#mine")
    again = read_layout("qdrant+http://there:6333#mine")
    assert again.descriptors.tobytes() == collection.exported().descriptors.tobytes()
    with pytest.raises(InvalidInput, match="there is a collection mine at http://there:6333: name another"):
        export_collection(collection, "qdrant", "http://there:6333#mine")
    with pytest.raises(InvalidInput, match=r"no collection resight at http://there:6333: .*mine"):
        read_layout("qdrant+http://there:6333")


def test_no_server_is_said(collection, database):
    with pytest.raises(SearchUnreachable, match=f"{database} at http://127.0.0.1:9#x does not take part"):
        export_collection(collection, database, "http://127.0.0.1:9#x")


def test_a_folder_of_qdrant_that_would_execute_something_is_refused(tmp_path):
    folder = tmp_path / "q/collection/mine"
    folder.mkdir(parents=True)

    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harmed"),)

    with closing(sqlite3.connect(folder / "storage.sqlite")) as storage, storage:
        storage.execute("CREATE TABLE points (id TEXT PRIMARY KEY, point BLOB)")
        storage.execute("INSERT INTO points VALUES ('a', ?)", (pickle.dumps(Harm()),))
    with pytest.raises(InvalidInput, match="only plain types are read"):
        read_layout(f"qdrant+{tmp_path}/q#mine")
    assert not (tmp_path / "harmed").exists()
    (folder / "storage.sqlite").write_bytes(b"SQLite format 3\0" + bytes(range(200)))
    with pytest.raises(InvalidInput, match="no collection of Qdrant, or a damaged one"):
        read_layout(f"qdrant+{tmp_path}/q#mine")


def test_names_that_are_no_text_are_refused_before_anything_is_written(database, tmp_path):
    held = Exchanged(["a\udcff.jpg"], ROWS[:1], [None], [{}])
    place = Place.of(str(place_of(database, tmp_path)))
    with pytest.raises(InvalidInput, match="is no UTF-8"):
        write_database(held.names, held.descriptors, held.metadata, database, place)
    assert list(tmp_path.iterdir()) == []


def test_features_as_hloc_writes_them(tmp_path):
    """Its loop over images: a group a name, a dataset each output, halves, and the keypoints' uncertainty."""
    rows = ROWS[:3].astype(np.float16)
    outputs = {
        "keypoints": np.float16([[1, 2], [3, 4]]),
        "scores": np.float16([0.5, 0.25]),
        "descriptors": np.ones((256, 2), np.float16),
        "image_size": np.array([640, 480]),
    }
    with h5py.File(tmp_path / "feats.h5", "a", libver="latest") as file:
        for number, row in enumerate(rows):
            group = file.create_group(f"db/{number}.jpg")
            for key, value in ({"global_descriptor": row} | (outputs if number else {})).items():
                group.create_dataset(key, data=value)
            if number:
                group["keypoints"].attrs["uncertainty"] = 1.0
    again = read_layout(tmp_path / "feats.h5")
    assert list(again.names) == ["db/0.jpg", "db/1.jpg", "db/2.jpg"]
    np.testing.assert_array_equal(again.descriptors, rows.astype(np.float32))
    # Learned keypoints without sizes and angles are none of this program's.
    assert list(again.local) == [None] * 3


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 8), pa.large_list(pa.float16())]
)
def test_parquet_of_other_programs(tmp_path, kind):
    rows = ROWS[:4].astype(np.float16)
    # PyArrow before 19 takes nothing but NumPy's halves for its own.
    vectors = pa.array([list(row.astype(kind.value_type.to_pandas_dtype())) for row in rows], kind)
    # Polars: all that has a length is large.
    text = pa.large_string() if pa.types.is_large_list(kind) else pa.string()
    names = pa.array(list("abcd"), text)
    table = pa.table({"extra": pa.array([1, 2, 3, 4]), "name": names, "embedding": vectors})
    parquet.write_table(table, tmp_path / "d.parquet", compression="zstd", row_group_size=3)
    again = read_layout(tmp_path / "d.parquet")
    assert list(again.names) == list("abcd")
    np.testing.assert_array_equal(again.descriptors, rows.astype(np.float32))
