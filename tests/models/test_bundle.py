"""Bundles: what is written comes back bit by bit, and nothing else is taken for one."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from resight.errors import InvalidBundle, InvalidInput, StorageFailed
from resight.models import bundle as bundles
from resight.models.bundle import FORMAT_VERSION, Bundle, Preprocessing, read, read_header, write

PREPROCESSING = Preprocessing(640, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def make(**changes) -> Bundle:
    rng = np.random.default_rng(3)
    values = {
        "architecture": "made",
        "settings": {"words": 64, "power": 0.5, "names": ("a", "ü"), "none": None},
        "preprocessing": PREPROCESSING,
        "licence": "MIT",
        "provenance": "made in a test",
        "tensors": {
            "words": rng.normal(size=(5, 3)).astype(np.float32),
            "half": rng.normal(size=7).astype(np.float16),
            "steps": np.array(9, np.int64),
            "empty": np.zeros((0, 4), np.float64),
            "codes": np.arange(6, dtype=np.uint8).reshape(2, 3).T,
        },
    }
    return Bundle(**{**values, **changes})


def rewrite_header(path: Path, change) -> None:
    """Changes the header of a bundle behind its back."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    values = json.loads(header["__metadata__"]["resight"])
    change(values)
    header["__metadata__"]["resight"] = json.dumps(values)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "made.safetensors"
    write(make(), path)
    return path


def test_round_trip_is_bit_equal(path):
    written, found = make(), read(path)
    assert found.fingerprint == written.fingerprint
    assert (
        found.settings == written.settings == {"words": 64, "power": 0.5, "names": ["a", "ü"], "none": None}
    )
    assert found.preprocessing == PREPROCESSING
    assert (found.architecture, found.licence, found.provenance) == ("made", "MIT", "made in a test")
    assert list(found.tensors) == sorted(written.tensors)
    for name, tensor in written.tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert found.tensors[name].shape == tensor.shape
        assert found.tensors[name].tobytes() == tensor.tobytes()


def test_equal_bundles_are_equal_files(path, tmp_path):
    write(make(), tmp_path / "again.safetensors")
    assert path.read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_another_library_reads_the_tensors(path):
    assert (safetensors.numpy.load_file(path)["words"] == make().tensors["words"]).all()


def test_header_is_read_alone(path):
    header = read_header(path)
    assert header.fingerprint == make().fingerprint
    assert header.settings["words"] == 64
    assert header.shapes == {"words": (5, 3), "half": (7,), "steps": (), "empty": (0, 4), "codes": (3, 2)}


TENSORS = make().tensors


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "other"},
        {"settings": {"words": 65}},
        {"preprocessing": Preprocessing(641, PREPROCESSING.mean, PREPROCESSING.std)},
        {"preprocessing": dataclasses.replace(PREPROCESSING, channel_order="BGR")},
        {"tensors": {**TENSORS, "half": np.nextafter(TENSORS["half"], np.float16(9))}},
        {"tensors": {**TENSORS, "words": TENSORS["words"].reshape(3, 5)}},
        {"tensors": {**TENSORS, "words": TENSORS["words"].view(np.int32)}},
        {"tensors": {("Words" if name == "words" else name): value for name, value in TENSORS.items()}},
        {"tensors": {name: value for name, value in TENSORS.items() if name != "empty"}},
    ],
)
def test_fingerprint_changes_with_what_decides_descriptors(changes):
    assert make(**changes).fingerprint != make().fingerprint


def test_fingerprint_ignores_the_rest():
    shuffled = dict(reversed(list(TENSORS.items())))
    settings = dict(reversed(list(make().settings.items())))
    other = make(licence="other", provenance="other", tensors=shuffled, settings=settings)
    assert other.fingerprint == make().fingerprint
    assert len(other.fingerprint) == 64


def test_tensors_are_read_only_and_the_callers_stay_writable():
    mine = np.zeros(3, np.float32)
    made = make(tensors={"mine": mine})
    with pytest.raises(ValueError, match="read-only"):
        made.tensors["mine"][0] = 1
    mine[0] = 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"settings": {"x": float("nan")}}, "JSON values"),
        ({"settings": {"x": np.float32(1)}}, "JSON values"),
        ({"tensors": {"x": np.array([1.0, np.inf])}}, "x of a bundle holds NaN or infinity"),
        ({"tensors": {"x": np.zeros(2, np.complex64)}}, "has type complex64"),
    ],
)
def test_what_no_bundle_holds(changes, text):
    with pytest.raises(InvalidInput, match=text):
        make(**changes)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"max_side": 0}, "max_side"),
        ({"max_side": 8, "mean": (0.0, 1.0)}, "mean must be three"),
        ({"max_side": 8, "std": (1.0, 0.0, 1.0)}, "std must be positive"),
        ({"max_side": 8, "channel_order": "GRB"}, "channel_order"),
        ({"max_side": 8, "interpolation": "magic"}, "interpolation"),
    ],
)
def test_wrong_preprocessing(arguments, text):
    with pytest.raises(InvalidInput, match=text):
        Preprocessing(**arguments)


def test_every_truncation_is_refused(path, tmp_path):
    content = path.read_bytes()
    short = tmp_path / "short.safetensors"
    for length in [*range(0, len(content), 9), len(content) - 1]:
        short.write_bytes(content[:length])
        with pytest.raises(InvalidBundle):
            read(short)


def test_every_changed_byte_of_the_tensors_is_refused(path):
    content = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    for place in range(8 + length, len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(InvalidBundle, match=r"changed or damaged|NaN or infinity"):
            read(path)


def test_changed_settings_are_refused(path):
    rewrite_header(path, lambda values: values["settings"].update(words=65))
    with pytest.raises(InvalidBundle, match="changed or damaged after it was written"):
        read(path)


def test_newer_version_is_refused_before_anything_else_is_understood(path):
    def change(values):
        values.clear()
        values["format_version"] = FORMAT_VERSION + 1

    rewrite_header(path, change)
    with pytest.raises(InvalidBundle, match=r"format version 2 and this Resight reads .* upgrade Resight"):
        read(path)


@pytest.mark.parametrize("key", ["architecture", "preprocessing", "fingerprint", "format_version"])
def test_damaged_header(path, key):
    rewrite_header(path, lambda values: values.pop(key))
    with pytest.raises(InvalidBundle, match=r"header of the model bundle .* is damaged"):
        read(path)


def test_foreign_files(tmp_path):
    with pytest.raises(InvalidBundle, match="there is no model bundle at"):
        read(tmp_path / "absent")
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\xff\xd8\xff\xe0 a photo")
    with pytest.raises(InvalidBundle, match="is no model bundle, or a truncated one"):
        read(foreign)
    safetensors.numpy.save_file({"x": np.zeros(2)}, foreign)
    with pytest.raises(InvalidBundle, match="no model bundle of Resight"):
        read(foreign)


def test_failed_write_keeps_the_old_file(path, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageFailed, match="No space left on device"):
        write(make(licence="other"), path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_write_into_no_folder(tmp_path):
    with pytest.raises(StorageFailed, match=r"there is no folder .*absent to write it into"):
        write(make(), tmp_path / "absent" / "made.safetensors")


def test_importing_costs_no_torch_and_no_opencv():
    code = (
        "import sys; import resight.models, resight.models.bundle, resight.models.zoo;"
        "print(sorted({'torch', 'timm', 'torchvision', 'cv2', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_module_face():
    assert bundles.__all__ == sorted(bundles.__all__, key=lambda name: (not name.isupper(), name))
