"""The photos and models that other rooms' tests make."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "collection"))
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
sys.path.insert(0, str(Path(__file__).parents[1] / "sfm"))

from grid_model import grid_model
from made_photos import write_photo

from resight.collection import Collection
from resight.models import Model


@pytest.fixture
def model() -> Model:
    return grid_model()


@pytest.fixture
def collection(tmp_path, model) -> Collection:
    """A collection of a few photos without metadata."""
    for number in range(3):
        write_photo(tmp_path / "bare" / f"{number}.png", number)
    made = Collection.create(tmp_path / "made.resight", model=model, lock_timeout=0.2)
    made.add(tmp_path / "bare")
    return made
