"""Each example runs as its first lines say, on rendered photos."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from resight.scenes import write_collection

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, one_thread):
    """Runs an example with arguments in an empty folder, and returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def run_example(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run_example


@pytest.fixture
def classes(tmp_path):
    """Vectors of ten things, five of each, and their labels."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.standard_normal((10, 32)), 5, axis=0) + 0.7 * rng.standard_normal((50, 32))
    np.save(tmp_path / "vectors.npy", vectors)
    np.save(tmp_path / "query.npy", vectors[7] + 0.1 * rng.standard_normal(32))
    (tmp_path / "labels.txt").write_text("".join(f"thing {row // 5}\n" for row in range(50)))


def test_photos_are_searched(run, tmp_path):
    first, *_ = write_collection(tmp_path / "photos", places=3, views=3, distractors=0, side=320)
    query = first.path.rename(tmp_path / "query.jpg")
    for added in (8, 0):
        printed = run("search_photos.py", "photos", query.name)
        assert f"{added} photos added, 8 in photos.resight" in printed
        assert printed.splitlines()[1].split()[:2] == ["1", "confirmed"]
        assert "place_000" in printed.splitlines()[1]
    assert (tmp_path / "answers.html").stat().st_size > 50_000


def test_a_model_is_trained_and_compared(run, tmp_path):
    for photo in write_collection(tmp_path / "made", places=6, views=4, distractors=0, side=128):
        folder = tmp_path / "photos" / ("test" if photo.place < 2 else "train") / str(photo.place)
        folder.mkdir(parents=True, exist_ok=True)
        photo.path.rename(folder / photo.path.name)
    small = ["model.trunk={name: test_resnet, pretrained: false}", "sampler.batch=16", "training.epochs=1"]
    printed = run("train_on_classes.py", "photos", *small, "selection.on=last", "training.precision=fp32")
    assert "MAP@R" in printed
    assert (tmp_path / "runs" / "own" / "model.safetensors").is_file()


def test_descriptors_of_others_are_measured(run, classes):
    lines = run("evaluate_descriptors.py", "vectors.npy", "labels.txt").splitlines()
    assert [line.split()[0] for line in lines] == ["R@1", "R@2", "R@4", "R@8", "MAP@R", "R-precision"]
    assert all(float(line.split()[1]) > 0.95 for line in lines)


def test_answers_of_a_database_are_refined(run, classes):
    lines = run("refine_answers.py", "query.npy", "vectors.npy").splitlines()
    assert len(lines) == 4
    for line in lines:
        assert {int(row) for row in line.split()[-10:][:5]} == {5, 6, 7, 8, 9}


def test_an_example_is_one_page_and_says_what_it_takes(run):
    for example in EXAMPLES.glob("*.py"):
        assert len(example.read_text(encoding="utf-8").splitlines()) <= 60, example
    with pytest.raises(SystemExit, match=r"python examples/refine_answers.py QUERY.npy ANSWERS.npy"):
        run("refine_answers.py")
