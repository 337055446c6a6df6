"""Descriptors of others, in every layout, brought into the order of a benchmark."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.evaluation.descriptor_files import open_matrix, read_descriptors

DATABASE, QUERIES = ("a", "b.c", "d"), ("q", "b.c")
ROWS = np.arange(20, dtype=np.float32).reshape(5, 4)
NAMES = ["x/d.jpg", "b.c", "other.png", "q.JPG", "y/z/a"]
EXPECTED = (ROWS[[4, 1, 0]], ROWS[[3, 1]])


def npy(folder):
    np.save(folder / "d.npy", ROWS)
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    return folder / "d.npy"


def npz(folder):
    np.savez(folder / "d.npz", descriptors=ROWS, names=np.array(NAMES))
    return folder / "d.npz"


def by_name(folder):
    np.savez(folder / "d.npz", **dict(zip(NAMES, ROWS, strict=True)))
    return folder / "d.npz"


def hloc(folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "d.h5", "w") as file:
        for name, row in zip(NAMES, ROWS, strict=True):
            group = file.create_group(name)
            group["global_descriptor"] = row
            group["image_size"] = np.array([1, 2])
    return folder / "d.h5"


@pytest.mark.parametrize("write", [npy, npz, by_name, hloc])
def test_every_layout_gives_the_benchmarks_order(tmp_path, write):
    path = write(tmp_path)
    names = tmp_path / "names.txt" if path.suffix == ".npy" else None
    found = read_descriptors(path, DATABASE, QUERIES, names=names)
    np.testing.assert_array_equal(found.database, EXPECTED[0])
    np.testing.assert_array_equal(found.queries, EXPECTED[1])
    assert [name.rpartition("/")[2] for name in found.unused] == ["other.png"]


@pytest.mark.parametrize("kind", ["mat", "pkl"])
def test_columns_are_in_the_benchmarks_order_already(tmp_path, kind):
    path = tmp_path / f"d.{kind}"
    content = {"X": EXPECTED[0].T, "Q": EXPECTED[1].T}
    if kind == "mat":
        pytest.importorskip("scipy.io").savemat(path, content)
    else:
        path.write_bytes(pickle.dumps(content))
    found = read_descriptors(path, DATABASE, QUERIES)
    np.testing.assert_array_equal(found.database, EXPECTED[0])
    np.testing.assert_array_equal(found.queries, EXPECTED[1])
    with pytest.raises(InvalidInput, match="3 columns in X, for 2 database images"):
        read_descriptors(path, DATABASE[:2], QUERIES)
    with pytest.raises(InvalidInput, match=r"names go with a \.npy matrix"):
        read_descriptors(path, DATABASE, QUERIES, names=tmp_path / "names.txt")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["d", "b.c", "o", "q", "e"], r"no descriptor of a \(1 of 4 are missing\)"),
        (["d", "b.c", "x/a.jpg", "q", "a"], r"has a twice \(1 such names\)"),
        (["d", "b.c"], "5 descriptors and 2 names"),
    ],
)
def test_a_name_that_is_missing_or_doubled_is_named(tmp_path, names, words):
    path = npy(tmp_path)
    (tmp_path / "names.txt").write_text("\n".join(names))
    with pytest.raises(InvalidInput, match=words):
        read_descriptors(path, DATABASE, QUERIES, names=tmp_path / "names.txt")


def test_files_of_something_else_are_refused(tmp_path):
    path = npy(tmp_path)
    with pytest.raises(InvalidInput, match="give --names"):
        read_descriptors(path, DATABASE, QUERIES)
    with pytest.raises(InvalidInput, match=r"cannot read .*none\.npz"):
        read_descriptors(tmp_path / "none.npz", DATABASE, QUERIES)
    with pytest.raises(InvalidInput, match=r"not from d\.txt"):
        read_descriptors(tmp_path / "d.txt", DATABASE, QUERIES)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InvalidInput, match=r"is no \.npy file, or a truncated one"):
        read_descriptors(path, DATABASE, QUERIES, names=tmp_path / "names.txt")
    np.save(path, np.arange(4))
    with pytest.raises(InvalidInput, match=r"a matrix of floating-point numbers, not int64 \(4,\)"):
        read_descriptors(path, DATABASE, QUERIES, names=tmp_path / "names.txt")
    (tmp_path / "d.h5").write_bytes(b"no HDF5")
    pytest.importorskip("h5py")
    with pytest.raises(InvalidInput, match="is no HDF5 file"):
        read_descriptors(tmp_path / "d.h5", DATABASE, QUERIES)
    np.savez(tmp_path / "d.npz", a=np.ones(2), b=np.ones(3))
    with pytest.raises(InvalidInput, match="all of one length"):
        read_descriptors(tmp_path / "d.npz", DATABASE, QUERIES)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(ROWS.tobytes(), ROWS.tobytes()[::-1]),
        lambda data: b"no archive" * 9,
    ],
)
def test_a_damaged_archive_is_one_sentence(tmp_path, damage):
    path = npz(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InvalidInput, match=r"is no \.npz file") as refused:
        read_descriptors(path, DATABASE, QUERIES)
    assert "allow_pickle" not in str(refused.value)


def test_a_matrix_without_numbers_is_refused(tmp_path):
    np.save(tmp_path / "d.npy", np.zeros((5, 0), dtype=np.float32))
    with pytest.raises(InvalidInput, match=r"not float32 \(5, 0\)"):
        open_matrix(tmp_path / "d.npy")


def test_a_query_in_the_database_is_missing_once(tmp_path):
    npy(tmp_path)
    (tmp_path / "names.txt").write_text("v w x y z".replace(" ", "\n"))
    with pytest.raises(InvalidInput, match=r"no descriptor of a \(4 of 4 are missing\)"):
        read_descriptors(tmp_path / "d.npy", DATABASE, QUERIES, names=tmp_path / "names.txt")
