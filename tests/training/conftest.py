"""Made photos and a recipe for them, shared by the tests of training."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("made_recipes", Path(__file__).with_name("made_recipes.py"))
made_recipes = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(made_recipes)


@pytest.fixture(scope="session")
def made_photos(tmp_path_factory) -> Path:
    """A folder of ten training and three test classes of six photos; not to be changed."""
    folder = tmp_path_factory.mktemp("photos") / "photos"
    made_recipes.write_photos(folder)
    return folder


@pytest.fixture
def recipe_file(made_photos, tmp_path) -> Path:
    """A recipe for them."""
    return made_recipes.write_recipe(tmp_path, made_photos)
