"""``resight convert``: a checkpoint of the authors in, a bundle and a report out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from resight.cli import main
from resight.models import checkpoints, load_model
from resight.models.bundle import read

torch = pytest.importorskip("torch")

# cnnimageretrieval-pytorch's AlexNet with GeM: torchvision's first layers, and an exponent.
SHAPES = {
    "features.0.weight": (64, 3, 11, 11),
    "features.0.bias": (64,),
    "features.3.weight": (192, 64, 5, 5),
    "features.3.bias": (192,),
    "features.6.weight": (384, 192, 3, 3),
    "features.6.bias": (384,),
    "features.8.weight": (256, 384, 3, 3),
    "features.8.bias": (256,),
    "features.10.weight": (256, 256, 3, 3),
    "features.10.bias": (256,),
    "pool.p": (1,),
}


@pytest.fixture
def checkpoint(tmp_path):
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.rand(shape, generator=generator) * 0.01 for name, shape in SHAPES.items()}
    state["pool.p"] = torch.tensor([2.9])
    meta = {"architecture": "alexnet", "pooling": "gem", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.2]}
    torch.save({"state_dict": state, "meta": meta}, tmp_path / "alexnet.pth")
    return tmp_path / "alexnet.pth"


def test_the_report_names_every_tensor(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", "alexnet.pth", "--out", "net.safetensors", "--licence", "MIT"]) == 0
    out = capsys.readouterr().out
    for name in SHAPES:
        assert name in out
    assert "64 x 3 x 11 x 11" in out
    assert "cirtorch: 11 tensors taken over, 0 left out; gem written to net.safetensors" in out
    bundle = read("net.safetensors")
    assert bundle.licence == "MIT"
    assert "alexnet.pth (cirtorch; SHA-256" in bundle.provenance
    assert load_model("net.safetensors").dim == 256


def test_json_and_scales(checkpoint, tmp_path, capsys):
    out = tmp_path / "net.safetensors"
    words = [
        "convert",
        str(checkpoint),
        "--out",
        str(out),
        "--scales",
        "1,0.5",
        "--max-side",
        "362",
        "--json",
    ]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert {match["source"] for match in found["matches"]} == set(SHAPES)
    assert found["fingerprint"] == read(out).fingerprint
    assert read(out).settings["scales"] == [1.0, 0.5]
    assert read(out).preprocessing.max_side == 362


def test_errors_leave_no_bundle(checkpoint, tmp_path, capsys):
    out = tmp_path / "net.safetensors"
    assert main(["convert", str(checkpoint), "--out", str(out), "--family", "cvnet"]) == 1
    assert "encoder_q.head.fc.weight is missing" in capsys.readouterr().err
    assert main(["convert", str(checkpoint), "--out", str(out), "--scales", "1,x"]) == 2
    assert "scales are positive numbers" in capsys.readouterr().err
    assert not out.exists()


def test_a_name_keeps_the_bundle(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    entry = replace(checkpoints.checkpoints()["gl18-resnet50-gem-w"], trunk="torchvision:alexnet")
    monkeypatch.setattr(checkpoints, "checkpoints", lambda: {entry.name: entry})
    assert main(["convert", str(checkpoint), "--as", entry.name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{entry.name} is kept in ")
    assert f"resight index PHOTOS --model {entry.name}" in out
    assert (tmp_path / ".cache" / "resight" / "models" / f"{entry.name}.safetensors").is_file()
    for words, text in (
        (["--as", "gl18-resnet5-gem-w"], "is no checkpoint of authors: gl18-resnet50-gem-w"),
        ([], "name the bundle to write, or a model with --as"),
    ):
        assert main(["convert", str(checkpoint), *words]) == 2
        assert text in capsys.readouterr().err
