"""Every reader of a file from elsewhere, given damaged files: a right value or a sentence, nothing else.

A valid file is made here and damaged by flipped, inserted and cut-off bytes. `make fuzz` tries many more.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save
from scipy.io import savemat

from resight.datasets.lists import read_fields
from resight.datasets.matlab import read_matlab
from resight.datasets.plain_pickle import read_plain_pickle
from resight.datasets.revisited import read_ground_truth
from resight.datasets.table import read_table
from resight.errors import ResightError
from resight.evaluation.descriptor_files import open_matrix, read_descriptors
from resight.evaluation.result import read_result
from resight.files import read_rows
from resight.models import bundle as bundles
from resight.models.published.checkpoint import read_checkpoint
from resight.search.exact import ExactIndex
from resight.search.imported import read_rankings
from resight.training import checkpoint as checkpoints
from resight.training.recipe_file import read_values

# CI tries few files a reader; `make fuzz` sets more.
TRIES = int(os.environ.get("RESIGHT_FUZZ", "40"))
STORED = Path(__file__).parents[1] / "stored" / "files"
MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)
ANSWER = {"bbx": [0, 0, 9, 9], "easy": [1], "hard": [2], "junk": []}
TRUTH = {"imlist": ["a", "bb", "ccc"], "qimlist": ["q", "qq"], "gnd": [ANSWER, ANSWER]}
MATLAB = {key: np.array(values, dtype=object) for key, values in TRUTH.items()}


def _bytes_of(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def _hdf5(layout: dict[str, np.ndarray], *, header: int = 0) -> bytes:
    def write(stream: io.BytesIO) -> None:
        with h5py.File(stream, "w", userblock_size=header) as file:
            for name, values in layout.items():
                file[name] = values

    return _bytes_of(write)


def _bundle() -> bytes:
    path = STORED / "bundles" / "gem.safetensors"
    return path.read_bytes()


def _table() -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows(
        [("path", "label", "split"), ("a.jpg", "1", "train"), ("b.jpg", "2", "test")]
    )
    return stream.getvalue().encode()


RANKINGS = {
    "queries": [{"id": "q", "descriptor": [1, 0], "ids": ["a"], "scores": [0.5], "descriptors": [[0, 1]]}]
}
READERS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "matrix": (".npy", _bytes_of(lambda s: np.save(s, MATRIX)), open_matrix),
    "npz": (
        ".npz",
        _bytes_of(lambda s: np.savez_compressed(s, descriptors=MATRIX, names=np.array(["a", "b", "q"]))),
        lambda path: read_descriptors(path, ["a", "b"], ["q"]),
    ),
    "hloc": (
        ".h5",
        _hdf5({f"{name}/global_descriptor": MATRIX[0] for name in "abq"}),
        lambda path: read_descriptors(path, ["a", "b"], ["q"]),
    ),
    "matlab": (".mat", _bytes_of(lambda s: savemat(s, MATLAB)), read_matlab),
    "matlab compressed": (
        ".mat",
        _bytes_of(lambda s: savemat(s, MATLAB, do_compression=True)),
        read_ground_truth,
    ),
    "matlab 4": (".mat", _bytes_of(lambda s: savemat(s, {"X": MATRIX}, format="4")), read_matlab),
    "matlab 7.3": (".mat", _hdf5({"X": MATRIX}, header=512), read_matlab),
    "pickle": (".pkl", pickle.dumps({**TRUTH, "X": MATRIX}, protocol=2), read_plain_pickle),
    "ground truth": (".pkl", pickle.dumps(TRUTH), read_ground_truth),
    "ground truth in JSON": (".json", json.dumps(TRUTH).encode(), read_ground_truth),
    "rankings": (".json", json.dumps(RANKINGS).encode(), read_rankings),
    "result": (".json", next(iter(sorted(STORED.glob("**/*result*.json")))).read_bytes(), read_result),
    "table": (".csv", _table(), lambda path: list(read_rows(path))),
    "labels": (".csv", _table(), read_table),
    "lists": (
        ".txt",
        b"1 a.jpg\n2 b.jpg\n",
        lambda path: read_fields(path, lambda i, n: (int(i), n), fields=2),
    ),
    "recipe": (".yaml", yaml.safe_dump({"name": "a", "data": {"x": [1, 2.5, True]}}).encode(), read_values),
    "bundle": (".safetensors", _bundle(), bundles.read),
    "index": (
        ".index",
        save({"ids": np.arange(3), "descriptors": MATRIX.astype(np.float16)}, {"format": "a"}),
        ExactIndex.load,
    ),
    "checkpoint": (
        ".pt",
        _bytes_of(lambda s: torch.save({"format_version": 1, "model": {"a": torch.arange(9.0)}}, s)),
        checkpoints.read_weights,
    ),
    "published": (".pth", _bytes_of(lambda s: torch.save({"a": torch.arange(9.0)}, s)), read_checkpoint),
    "published, old": (
        ".pth",
        _bytes_of(lambda s: torch.save({"a": torch.ones(2)}, s, _use_new_zipfile_serialization=False)),
        read_checkpoint,
    ),
}


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """Draws a file with some bytes changed, taken out or put in, or cut off."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["flip", "set", "cut", "drop", "insert"])):
            case "flip" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "set":
                data[place : place + 4] = draw(st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"]))
            case "cut":
                del data[place:]
            case "drop":
                del data[place : place + draw(st.integers(1, 9))]
            case "insert":
                data[place:place] = draw(st.binary(max_size=9))
    return bytes(data)


# A whole index is read by its own tests.
@pytest.mark.parametrize("name", [name for name in READERS if name != "index"])
def test_a_valid_file_is_read(name, tmp_path):
    suffix, content, read = READERS[name]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    read(path)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_a_sentence_or_a_value(name, tmp_path):
    suffix, content, read = READERS[name]
    path = tmp_path / f"file{suffix}"
    tries = max(1, TRIES // 20) if suffix == ".mat" else TRIES  # a MATLAB file takes a process

    @settings(
        max_examples=tries,
        deadline=20_000,
        derandomize="RESIGHT_FUZZ" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(content))
    def try_one(data: bytes) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        with contextlib.suppress(ResightError):
            read(path)

    try_one()


@pytest.mark.parametrize("flip", range(0, 1200, 7))
def test_a_flipped_bit_of_a_checkpoint_is_noticed_or_without_effect(flip, tmp_path):
    _, content, read = READERS["checkpoint"]
    data = bytearray(content)
    data[flip * 8 % len(data)] ^= 1 << flip % 8
    path = tmp_path / "best.pt"
    path.write_bytes(data)
    try:
        weights = read(path)
    except ResightError:
        return
    assert torch.equal(weights["a"], torch.arange(9.0))
