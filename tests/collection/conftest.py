"""Photos and a model for tests of the collection."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Beside this file lie modules that the tests and the processes they start share.
sys.path.insert(0, str(Path(__file__).parent))

from grid_model import grid_model
from made_photos import write_photo

from resight.collection import Collection
from resight.models import Model


@pytest.fixture
def model() -> Model:
    return grid_model()


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder of 12 photos in two folders."""
    folder = tmp_path / "photos"
    for number in range(12):
        write_photo(folder / ("a" if number < 7 else "b") / f"p{number:02d}.png", number)
    return folder


@pytest.fixture
def collection(tmp_path, photos, model) -> Collection:
    """A collection of these."""
    made = Collection.create(tmp_path / "made.resight", model=model, lock_timeout=0.2)
    made.add(photos)
    return made
