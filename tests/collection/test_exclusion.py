"""What indexing leaves out of folders: thumbnails, waste bins, and what the user names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from made_photos import write_photo

from resight import Collection
from resight.collection import find_photos
from resight.collection.scan import scan


@pytest.mark.parametrize(
    "place",
    [
        "@eaDir/tower.jpg/SYNOPHOTO_THUMB_B.jpg",
        "#Recycle/deleted.jpg",
        "in/@Recycle/deleted.jpg",
        "$Recycle.Bin/S-1-5/a.jpg",
        ".Trash-1000/files/a.jpg",
        ".thumbnails/normal/a.jpg",
        "lost+found/a.jpg",
        "Holiday Previews.lrdata/0/a.jpg",
        "All.photoslibrary/resources/derivatives/a.jpg",
        "Old.photolibrary/Thumbnails/a.jpg",
    ],
)
def test_thumbnails_and_waste_bins_are_left_out_and_said(tmp_path, place):
    write_photo(tmp_path / "tower.png", 1)
    write_photo(tmp_path / "All.photoslibrary/originals/0/b.png", 2)
    write_photo(tmp_path / place, 3)
    looked = scan([tmp_path])
    assert [Path(photo.path).name for photo in looked.photos] == ["b.png", "tower.png"]
    assert list(looked.left_out.values()) == [1]
    # What is given by itself is taken.
    assert find_photos([tmp_path / place]) == [tmp_path / place]


@pytest.mark.parametrize("pattern", ["a", "a/*", "{photos}/a", "p0[0-6].png", "a/"])
def test_a_pattern_is_a_name_or_a_path_and_is_kept(tmp_path, photos, model, pattern):
    collection = Collection.create(tmp_path / "c", model=model)
    report = collection.add(photos, exclude=pattern.format(photos=photos))
    assert report.added == 5
    assert sum(report.left_out.values()) in (1, 7)
    again = Collection.open(tmp_path / "c", model=model).add(photos)
    assert (again.added, again.left_out) == (0, report.left_out)
    # A further pattern is added to it; an empty one forgets them all.
    assert sum(collection.add(photos, exclude=["p11.png"]).left_out.values()) > sum(again.left_out.values())
    assert collection.add(photos, exclude="").added == 7


def test_photos_that_are_left_out_from_now_on_count_as_missing(collection, photos):
    report = collection.add(photos, exclude=["b"])
    assert [Path(path).parent.name for path in report.missing] == ["b"] * 5
    assert len(collection) == 12
    collection.add(photos, forget_missing=True)
    assert len(collection) == 7


def test_photos_of_a_folder_that_cannot_be_listed_are_not_forgotten(collection, photos, monkeypatch):
    listing = os.scandir

    def refuse(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr("resight.collection.scan.os.scandir", refuse)
    monkeypatch.setattr(
        "resight.collection.roots._is_file", lambda path: "/b/" not in path and Path(path).is_file()
    )
    report = collection.add(photos, forget_missing=True)
    assert [Path(file.path).name for file in report.broken] == ["b"]
    assert (report.missing, len(collection)) == ([], 12)
