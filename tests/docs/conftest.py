"""Rendered photos for the blocks of the documentation, made once."""

from __future__ import annotations

import shutil

import pytest

from resight.scenes import write_collection


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """Photos in every layout that a page names: ``Pictures``, ``places/train``, ``places/test``, queries."""
    folder = tmp_path_factory.mktemp("photos")
    for photo in write_collection(folder / "rendered", places=10, views=4, distractors=0, side=320):
        split = "test" if photo.place < 4 else "train"
        (folder / "places" / split / f"place_{photo.place}").mkdir(parents=True, exist_ok=True)
        shutil.copy(photo.path, folder / "places" / split / f"place_{photo.place}" / f"{photo.view}.jpg")
    (folder / "rendered" / "place_000_view_0.jpg").rename(folder / "query.jpg")
    (folder / "rendered" / "place_001_view_0.jpg").rename(folder / "other.jpg")
    (folder / "rendered").rename(folder / "Pictures")
    return folder
