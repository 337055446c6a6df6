"""What a file declares is compared with what is there before memory is asked for; messages stay short."""

from __future__ import annotations

import pickle
import struct
import zipfile

import h5py
import numpy as np
import pytest

from resight.datasets.plain_pickle import read_plain_pickle
from resight.errors import InvalidInput, ModelError
from resight.evaluation.descriptor_files import open_matrix, read_descriptors
from resight.files import parse_json, read_rows, reading
from resight.files.budget import MOST_COLUMNS, MOST_DEPTH, check_array, check_tree, read_within, shown
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
    with pytest.raises(InvalidInput, match="holds more than 16,777,216 values"):
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
