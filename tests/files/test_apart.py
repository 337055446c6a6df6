"""Compiled readers run in a process of their own: a crash is a sentence, what they yield is whole."""

from __future__ import annotations

import io
import json

import h5py
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from resight.datasets.matlab import read_arrays, read_matlab
from resight.errors import InvalidInput
from resight.evaluation.descriptor_files import read_named
from resight.files import read_rows
from resight.files.apart import apart, parquet_rows


def vectors() -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pa.table({"path": ["a", "b"], "embedding": [[1.0, 0.0], [0.0, 1.0]]}), stream)
    return stream.getvalue()


def test_a_file_that_ends_the_process_of_its_reader_is_refused(tmp_path):
    # The column says that no value is missing, and its statistics count missing ones: Arrow 26 aborts.
    content = vectors()
    assert content.count(b"%\x02\x18\x04path") == 1
    (tmp_path / "a.parquet").write_bytes(content.replace(b"%\x02\x18\x04path", b"%\x00\x18\x04path"))
    with pytest.raises(InvalidInput, match=r"a\.parquet is no Parquet file, or a damaged one: "):
        read_named(tmp_path / "a.parquet")


def test_a_reader_that_asks_for_too_much_memory_or_time_is_ended(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(vectors())
    monkeypatch.setattr("resight.files.apart._MEMORY", 2**27)
    monkeypatch.setattr("resight.files.apart._FILES", 0)
    with pytest.raises(InvalidInput, match=r"a\.parquet is no Parquet file, or a damaged one"):
        list(read_rows(tmp_path / "a.parquet"))


def test_what_is_left_unread_ends_the_process(tmp_path):
    table = pa.table({"path": [f"{number:0500}" for number in range(50_000)]})
    parquet.write_table(table, tmp_path / "a.parquet", use_dictionary=False)
    rows = parquet_rows(tmp_path / "a.parquet")
    assert next(rows) == ["path"]
    assert next(rows) == [f"{0:0500}"]
    rows.close()


def test_cells_are_the_text_of_a_csv_file_and_one_column_can_be_had(tmp_path):
    columns = {
        "path": ["a", None, "b\n,"],
        "n": [1, None, -3],
        "x": [0.5, float("nan"), None],
        "flag": [True, None, False],
        "list": [[1], [], None],
    }
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert list(parquet_rows(tmp_path / "a.parquet")) == [
        ["path", "n", "x", "flag"],
        ["a", "1", "0.5", "true"],
        ["", "", "", ""],
        ["b\n,", "-3", "", "false"],
    ]
    assert list(parquet_rows(tmp_path / "a.parquet", ("n", "none"))) == [["n"], ["1"], [""], ["-3"]]


def test_a_table_of_far_more_cells_than_bytes_is_refused(tmp_path):
    parquet.write_table(
        pa.table({"path": pa.array(["a"] * 5_000_000).dictionary_encode()}), tmp_path / "a.parquet"
    )
    with pytest.raises(
        InvalidInput, match=r"it declares 5,000,000 cells in [0-9,]+ bytes; at most 4,194,304"
    ):
        list(read_rows(tmp_path / "a.parquet"))


def test_names_of_vectors_stand_in_memory_once(tmp_path):
    name = "x" * 100_000
    table = pa.table({"name": [name] * 9000, "vectors": np.ones((9000, 1), np.float32).tolist()})
    parquet.write_table(table, tmp_path / "a.parquet")
    rows, names = read_named(tmp_path / "a.parquet")
    assert rows.shape == (9000, 1)
    assert names[0] is names[8999]


def test_large_arrays_come_in_pieces_and_arrive_whole(tmp_path):
    rows = np.random.default_rng(0).standard_normal((3000, 2000)).astype(">f4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X"], file["n"], file["names"] = rows, np.int64(7), ["a"]
        file["elsewhere"] = h5py.ExternalLink(str(tmp_path / "b.h5"), "X")
        file["soft"] = h5py.SoftLink("/X")
    read = read_arrays(tmp_path / "a.h5")
    assert set(read) == {"X", "n"}
    np.testing.assert_array_equal(read["X"], rows)
    assert read["X"].dtype == np.float32
    assert read["n"] == 7


def test_texts_where_numbers_are_wanted_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/global_descriptor"] = ["text"]
    with pytest.raises(InvalidInput, match=r"a/global_descriptor holds object, no numbers"):
        read_named(tmp_path / "a.h5")


def test_a_reader_finds_the_packages_that_this_process_has_found(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(vectors())
    monkeypatch.chdir("/")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    names, cells = apart("parquet rows", tmp_path / "a.parquet")
    assert json.loads(names) == ["path"]
    assert json.loads(cells) == [[["a", "b"], [0, 1]]]


def test_a_file_without_permission_or_of_another_kind_is_told_by_the_system(tmp_path):
    with pytest.raises(InvalidInput, match=r"cannot read .*none\.mat: No such file"):
        read_matlab(tmp_path / "none.mat")
