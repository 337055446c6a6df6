"""What a file declares is compared with what is there before memory is asked for; messages stay short."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
import zlib

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch

from resight.datasets.landmark_folder import LandmarkFolder, read_landmark_truth, read_recall_truth
from resight.datasets.lists import text_lines
from resight.datasets.matlab import read_matlab
from resight.datasets.plain_pickle import read_plain_pickle
from resight.errors import InvalidInput, ModelError
from resight.evaluation.descriptor_files import open_matrix, read_descriptors
from resight.files import parse_json, read_rows, reading
from resight.files.budget import (
    MOST_COLUMNS,
    MOST_DEPTH,
    MOST_LINE,
    MOST_VALUES,
    check_array,
    check_tree,
    check_unpacked,
    read_within,
    shown,
)
from resight.networks.torch_file import load_bounded
from resight.search import search_expanded
from resight.search.exact import ExactIndex
from resight.training.recipe_file import read_values


def test_an_array_that_no_compression_explains_is_refused():
    assert check_array((1000, 100), 4, stored=400_000) == 400_000
    assert check_array((1000, 100), 4, stored=400) == 400_000
    with pytest.raises(InvalidInput, match=r"of shape \(1000000, 1000000\) and holds 800 bytes"):
        check_array((10**6, 10**6), 4, stored=800)
    with pytest.raises(InvalidInput, match="at most 17,179,869,184 are read"):
        check_array((2**33,), 4, stored=2**34)
    with pytest.raises(InvalidInput, match="declares an array of shape"):
        check_array((-1,), 4, stored=100)


def test_hdf5_that_was_never_written_to_is_not_filled(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a/global_descriptor", shape=(2**40,), dtype="f4", chunks=(2**16,), fillvalue=1.0)
    with pytest.raises(InvalidInput, match=r"a\.h5 is no HDF5 file, or a damaged one: it declares an"):
        read_descriptors(tmp_path / "a.h5", ["a"], [])


def test_hdf5_that_lies_in_another_file_is_not_opened(tmp_path):
    (tmp_path / "secret").write_bytes(b"\0" * 16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        external = [(str(tmp_path / "secret"), 0, 16)]
        file.create_dataset("a/global_descriptor", shape=(4,), dtype="f4", external=external)
    with pytest.raises(InvalidInput, match="lies in another file, which is not opened"):
        read_descriptors(tmp_path / "a.h5", ["a"], [])


def test_a_matrix_larger_than_its_file_is_refused(tmp_path):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000), }\n"
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 64
    )
    with pytest.raises(InvalidInput, match=r"a\.npy is no \.npy file, or a truncated one"):
        open_matrix(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(tmp_path / "a.npy", "descriptors.npy")
    with pytest.raises(InvalidInput, match=r"of shape \(1000000000, 1000000\) and is cut off"):
        read_descriptors(tmp_path / "a.npz", ["a"], [])


def test_a_table_of_20000_columns_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text(",".join(f"c{number}" for number in range(20_000)) + "\n")
    with pytest.raises(InvalidInput, match=f"20,000 columns; at most {MOST_COLUMNS:,} are read"):
        list(read_rows(tmp_path / "t.csv"))


def test_a_pickle_that_holds_itself_or_is_deep_is_refused(tmp_path):
    loop: list[object] = []
    loop.append(loop)
    deep: list[object] = []
    for _ in range(MOST_DEPTH + 1):
        deep = [deep]
    for value in (loop, deep):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
        with pytest.raises(InvalidInput, match="nested more than 64 levels deep, or holds itself"):
            read_plain_pickle(tmp_path / "a.pkl")


def test_a_pickle_of_shared_lists_is_not_unfolded(tmp_path):
    value: list[object] = [0]
    for _ in range(40):
        value = [value, value]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(InvalidInput, match="holds more than 4,194,304 values"):
        read_plain_pickle(tmp_path / "a.pkl")


def test_a_pickle_cannot_ask_for_a_table_of_what_it_remembers(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02]r\xff\xff\xff\x7f.")
    with pytest.raises(InvalidInput, match="remembers a value under the number 2147483647"):
        read_plain_pickle(tmp_path / "a.pkl")


def test_aliases_of_a_recipe_are_not_unfolded(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    (tmp_path / "r.yaml").write_text("\n".join(lines))
    with pytest.raises(InvalidInput, match="holds more than 10,000 values"):
        read_values(tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_text("a: &a [*a]")
    with pytest.raises(InvalidInput, match="nested more than 64 levels deep, or holds itself"):
        read_values(tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_text("[" * 5000)
    with pytest.raises(InvalidInput, match="nested too deeply"):
        read_values(tmp_path / "r.yaml")


def test_deep_json_is_a_sentence():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)


def test_a_tree_is_walked_without_recursion_and_leaves_count():
    check_tree({"a": [1, 2, {"b": (3, 4)}]}, most_values=12)
    with pytest.raises(InvalidInput, match="more than 3 values"):
        check_tree([1, 2, 3, 4], most_values=3)


def test_a_file_over_the_limit_is_not_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_within(tmp_path / "a", 5) == b"12345"
    with pytest.raises(InvalidInput, match="more than 4 bytes"):
        read_within(tmp_path / "a", 4)


def test_expansion_takes_as_many_neighbours_as_there_are():
    rows = np.eye(4, dtype=np.float32)
    index = ExactIndex(4, fingerprint="f")
    index.add(np.arange(4), rows)
    few = search_expanded(index, rows[:1], 2, n=4)
    many = search_expanded(index, rows[:1], 2, n=10**12)
    assert np.array_equal(few.ids, many.ids)
    assert np.array_equal(few.scores, many.scores)


def test_packed_files_are_unpacked_to_a_size_alone(tmp_path, monkeypatch):
    check_unpacked(2**28, 1000)
    check_unpacked(2**30, 2**26)
    with pytest.raises(InvalidInput, match="take 1,073,741,824 bytes unpacked from 1,000; at most 268,435,4"):
        check_unpacked(2**30, 1000)
    monkeypatch.setattr("resight.files.budget._MOST_UNUSUAL", 2**16)
    zeros = np.zeros((64, 8192), np.float32)
    np.savez_compressed(tmp_path / "a.npz", **{f"photo{number}": zeros[number] for number in range(64)})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(64):
            file.create_dataset(f"{number}/global_descriptor", data=zeros[0], compression="gzip")
            # One that was never written takes no room, and is filled.
            file.create_dataset(f"{number}b/global_descriptor", shape=(8192,), dtype="f4", chunks=(64,))
    torch.save({"a": torch.zeros(64, 8192)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "a.pth", "w", 8) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert load_bounded(tmp_path / "plain.pth")["a"].shape == (64, 8192)
    for name, read in (
        ("a.npz", lambda path: read_descriptors(path, ["photo0"], [])),
        ("a.h5", lambda path: read_descriptors(path, ["0"], [])),
        ("a.pth", load_bounded),
    ):
        with pytest.raises(InvalidInput, match=r"bytes unpacked from|declares an array of shape"):
            read(tmp_path / name)


def matlab_of_zeros(size: int) -> bytes:
    """A compressed MATLAB file of a matrix of zeros, made of one packed block again and again."""
    head = struct.pack("<4I", 6, 8, 6, 0) + struct.pack("<2I2i", 5, 8, size // 8, 1)
    head += struct.pack("<I4s", 1 | 1 << 16, b"X") + struct.pack("<2I", 9, size)
    head = struct.pack("<2I", 14, len(head) + size) + head
    packer, block = zlib.compressobj(), b"\0" * 2**20
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    repeated = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = first + repeated * (size // 2**20) + zlib.compressobj(wbits=-15).flush()
    sums = [zlib.adler32(head) & 0xFFFF, zlib.adler32(head) >> 16]
    end = (sums[1] + sums[0] * size) % 65521 << 16 | sums[0]
    packed += struct.pack(">I", end)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    return header + struct.pack("<2I", 15, len(packed)) + packed


def test_a_matlab_file_of_a_megabyte_does_not_take_gigabytes(tmp_path):
    (tmp_path / "a.mat").write_bytes(matlab_of_zeros(2**24))
    assert read_matlab(tmp_path / "a.mat")["X"].shape == (2**21,)
    (tmp_path / "a.mat").write_bytes(matlab_of_zeros(2**31))
    with pytest.raises(InvalidInput, match=r"a\.mat is no MATLAB file, or a damaged one"):
        read_matlab(tmp_path / "a.mat")


def test_json_of_too_many_values_or_digits_is_refused():
    with pytest.raises(ValueError, match=r"more than 4,194,304 values"):
        parse_json(b"[" + b"0," * MOST_VALUES + b"0,0]")
    with pytest.raises(ValueError, match=r"4300 digits"):
        parse_json("9" * 5000)
    assert shown(10**5000) == "a int too long to be written"


def test_a_line_of_two_gigabytes_is_not_read_to_its_end(tmp_path):
    (tmp_path / "a.csv").write_text("path\n")
    os.truncate(tmp_path / "a.csv", 2**31)
    with pytest.raises(InvalidInput, match=f"a line of it has more than {MOST_LINE:,} characters"):
        list(read_rows(tmp_path / "a.csv"))
    (tmp_path / "names.txt").write_text("a")
    os.truncate(tmp_path / "names.txt", 2**31)
    with pytest.raises(InvalidInput, match="it has more than 268,435,456 bytes"):
        text_lines(tmp_path / "names.txt")


def test_parquet_with_too_many_columns_or_values_and_its_texts_stand_once(tmp_path):
    parquet.write_table(pa.table({f"c{number}": [1] for number in range(2000)}), tmp_path / "wide.parquet")
    with pytest.raises(InvalidInput, match=r"names 2,000 columns; at most 1,024 are read"):
        list(read_rows(tmp_path / "wide.parquet"))
    long = "x" * 100_000
    parquet.write_table(pa.table({"path": [long] * 2000, "n": range(2000)}), tmp_path / "long.parquet")
    rows = list(read_rows(tmp_path / "long.parquet"))
    assert rows[0]["path"] == long
    assert rows[0]["path"] is rows[1999]["path"]
    assert [row["n"] for row in rows] == [str(number) for number in range(2000)]


def test_a_tensor_claims_no_more_than_is_stored(tmp_path):
    torch.save({"a": {"b": [torch.zeros(1).expand(2**40)]}}, tmp_path / "a.pth")
    with pytest.raises(InvalidInput, match=r"a tensor of shape \(1099511627776,\) has fewer numbers stored"):
        load_bounded(tmp_path / "a.pth")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".mat", ".parquet"])
def test_a_pipe_is_not_waited_for(suffix, tmp_path):
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    names = tmp_path / "names.txt" if suffix == ".npy" else None
    with pytest.raises(InvalidInput, match="it is no file, but a folder, a pipe, a socket or a device"):
        read_descriptors(path, ["a"], [], names=names)


def test_a_pickle_of_more_values_than_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("resight.datasets.plain_pickle.MOST_VALUES", 100)
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02" + b"]0" * 100 + b"].")
    with pytest.raises(InvalidInput, match="it makes more than 100 values"):
        read_plain_pickle(tmp_path / "a.pkl")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"references": 10**12}, "it has 1000000000000 references; at most 4,194,304 are read"),
        ({"positives": {"0": [10**12]}}, "it has 1000000000001 references"),
        ({"queries": 10**12}, "it has 1000000000000 queries, and positives of 1"),
    ],
)
def test_ground_truth_of_more_photos_than_it_lists(changed, sentence, tmp_path):
    truth = {"dataset": "d", "queries": 1, "positives": {"0": [1]}} | changed
    (tmp_path / "gnd.json").write_text(json.dumps(truth))
    with pytest.raises(InvalidInput, match=sentence):
        read_recall_truth(tmp_path / "gnd.json")


@pytest.mark.parametrize("path", ["../private.jpg", "jpg/../../private.jpg", "/home/somebody/private.jpg"])
def test_ground_truth_names_photos_of_its_folder_alone(path, tmp_path):
    (tmp_path / "gnd.json").write_text(json.dumps({"queries": 1, "positives": {"0": [0]}}))
    truth = read_landmark_truth(tmp_path / "gnd.json")
    with pytest.raises(InvalidInput, match=f"names a photo outside of that folder: {path}"):
        LandmarkFolder(truth, tmp_path, (path,), ("q.jpg",))


def test_answers_are_padded_up_to_a_size(tmp_path):
    index = ExactIndex(4, fingerprint="f")
    index.add(np.arange(4), np.eye(4, dtype=np.float32))
    assert index.search(np.eye(4, dtype=np.float32)[:1], 1000).ids.shape == (1, 1000)
    with pytest.raises(InvalidInput, match="k is 1,000,000,000,000, and 4 are searched: ask for no more"):
        index.search(np.eye(4, dtype=np.float32)[:1], 10**12)


class Panic(BaseException):
    """As compiled Rust raises it."""


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (Panic("range end"), "a.bin is no file of ours: range end"),
        (struct.error("unpack"), "a.bin is no file of ours: unpack"),
        (KeyError("x"), "a.bin is no file of ours: no 'x'"),
        (MemoryError(), "a.bin is no file of ours: it asks for more memory than there is"),
        (StopIteration(), "a.bin is no file of ours: StopIteration"),
        (OSError("damaged"), "a.bin is no file of ours: damaged"),
        (PermissionError(13, "Permission denied"), "cannot read a.bin: Permission denied"),
        (InvalidInput("it has no names"), "a.bin is no file of ours: it has no names"),
        (InvalidInput("a.bin has no names"), "a.bin has no names"),
        (ValueError("x" * 999), "a.bin is no file of ours: " + "x" * 197 + "..."),
    ],
)
def test_whatever_a_parser_raises_becomes_the_sentence(raised, sentence):
    with pytest.raises(InvalidInput) as caught, reading("a.bin", "a.bin is no file of ours"):
        raise raised
    assert str(caught.value) == sentence


def test_other_errors_of_this_package_and_interruptions_pass():
    for raised in (ModelError("other"), KeyboardInterrupt()):
        with pytest.raises(type(raised)), reading("a", "a is nothing"):
            raise raised


def test_at_most_200_characters_are_shown():
    assert shown("a" * 200) == "a" * 200
    assert shown("a" * 201) == "a" * 197 + "..."


def test_a_recipe_of_too_many_values_is_named(tmp_path):
    aliases = "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    (tmp_path / "r.yaml").write_text("a0: &a0 [x]\n" + aliases)
    with pytest.raises(InvalidInput, match=r"r\.yaml cannot be used: it (holds more than|is nested)"):
        read_values(tmp_path / "r.yaml")
