"""Rendered photos and a collection of them, made once."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from resight.cli import main
from resight.scenes.render import write_collection


@pytest.fixture(autouse=True)
def same_hook_afterwards(monkeypatch):
    """The command line sets the interpreter's hook for unforeseen errors; no other test shall meet it."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch):
    """On a busy machine small jobs take long enough for a line of progress."""
    monkeypatch.setattr("resight.cli.progress._FIRST_LINE_SECONDS", 3600.0)


@pytest.fixture
def run(capsys):
    """Runs a command line; returns its exit code, stdout and stderr."""

    def run_line(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_line


@pytest.fixture(scope="session")
def rendered(tmp_path_factory) -> Path:
    """A folder of three places in three views and two distractors; not to be changed."""
    folder = tmp_path_factory.mktemp("rendered") / "photos"
    write_collection(folder, places=3, views=3, distractors=2, side=400)
    return folder


@pytest.fixture(scope="session")
def made(rendered: Path) -> Path:
    """A collection of the rendered photos with metadata; not to be changed."""
    table = rendered.parent / "values.csv"
    names = sorted(path.name for path in rendered.iterdir())
    rows = [f"photos/{name},{1990 + number},town" for number, name in enumerate(names)]
    table.write_text("\n".join(["path,year,kind", *rows]), encoding="utf-8")
    path = rendered.parent / "photos.resight"
    hook = sys.excepthook
    assert main(["index", str(rendered), "--collection", str(path), "--metadata", str(table)]) == 0
    sys.excepthook = hook
    return path


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A copy of the collection, its photos beside it, that a test may change."""
    return shutil.copytree(made.parent, tmp_path / "copy") / made.name
