"""``resight doctor``: words for people, JSON for programs, an exit code for scripts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from resight.cli import main


@pytest.fixture
def folder(tmp_path):
    """Two classes of two photos."""
    for number, name in enumerate(["a/1.png", "a/2.png", "b/1.png", "b/2.png"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path


def test_a_sound_copy(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["doctor", "folder"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "note     counts         training: 2 photos of 1 classes; test: 2 photos of 1 classes",
        "folder in . is sound.",
    ]


def test_a_copy_with_problems(folder, capsys):
    (folder / "b" / "2.png").write_bytes(b"broken")
    assert main(["doctor", "folder", "--root", str(folder)]) == 1
    captured = capsys.readouterr()
    assert "problem  unreadable" in captured.out
    assert "b/2.png" in captured.out
    assert "is not sound: 1 problem." in captured.out
    assert "Traceback" not in captured.err


def test_json(folder, capsys):
    (folder / "b" / "2.png").write_bytes((folder / "a" / "1.png").read_bytes())
    assert main(["doctor", "folder", "--root", str(folder), "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert findings[0]["kind"] == "leak"
    assert findings[0]["problem"] is True
    assert findings[0]["paths"] == ["b/2.png"]
    assert set(findings[0]) == {"kind", "problem", "sentence", "paths"}


def test_help_and_errors(capsys):
    assert main(["doctor", "--help"]) == 0
    assert "resight doctor cub200 --root" in capsys.readouterr().out
    assert main(["doctor", "birds"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("resight: there is no benchmark 'birds'")
    assert captured.err.count("\n") == 1
