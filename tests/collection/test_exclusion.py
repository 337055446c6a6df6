"""What indexing leaves out of folders: thumbnails, waste bins, and what the user names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from made_photos import write_photo

from resight import Collection
from resight.collection import find_photos
from resight.collection.exclusion import Exclusion
from resight.collection.scan import scan
from resight.errors import InvalidInput


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
        "iPhoto Library/Previews/2009/a.jpg",
        "appdata_oc1/preview/4/a.jpg",
        "files_trashbin/files/a.jpg",
        "Session/CaptureOne/Cache/Thumbnails/a.jpg",
        "Cloud.lrlibrary/3f/Previews/a.jpg",
        "LOST.DIR/a.jpg",
        "@Transcode/a.jpg",
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
        "resight.collection.roots.is_file", lambda path: "/b/" not in path and Path(path).is_file()
    )
    report = collection.add(photos, forget_missing=True)
    assert [Path(file.path).name for file in report.broken] == ["b"]
    assert (report.missing, len(collection)) == ([], 12)


_TREE = (
    *(
        "top.jpg",
        "keep.jpg",
        "thumbs/a.jpg",
        "x/top/b.jpg",
        "top/b.jpg",
        "My Photos/c d.jpg",
        "x/a1.jpg",
        "x/a2.jpg",
    ),
    *("x/ab.jpg", "x/thumbs.jpg", "Thumbs/q.jpg", "2019/a.jpg", "2019/in/a.jpg", "x/[b]/c.jpg", "x/!odd.jpg"),
    *("\u00e4/\u00f6.jpg", "x/y/thumbs/a.jpg"),
)


@pytest.mark.parametrize(
    "patterns",
    [
        *(
            ["**/thumbs"],
            ["/top"],
            ["top"],
            ["top/"],
            ["thumbs"],
            ["*.jpg", "!keep.jpg"],
            ["x/*", "!x/a1.jpg"],
        ),
        *(
            ["2019/*.jpg"],
            ["2019/**"],
            ["2019/**/*.jpg"],
            ["My Photos/"],
            ["c d.jpg"],
            ["a[12].jpg"],
            ["a[!12].jpg"],
        ),
        *(
            ["a[^1-9].jpg"],
            ["a?.jpg"],
            ["\\[b\\]"],
            ["\\!odd.jpg"],
            ["THUMBS"],
            ["thumbs/a.jpg"],
            ["**/top/**"],
        ),
        *(
            ["x/**/a.jpg"],
            ["*"],
            ["/*", "!/x"],
            ["\u00e4"],
            ["*s/a.jpg"],
            ["x", "!x/a1.jpg"],
            ["a*b*.jpg"],
            ["/"],
        ),
    ],
)
def test_patterns_mean_what_git_says_they_mean(tmp_path, patterns):
    for name in _TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".git" / "info" / "exclude").write_text("\n".join(patterns), encoding="utf-8")
    line = ["git", "ls-files", "-o", "-z", "--exclude-standard"]
    kept = subprocess.run(line, cwd=tmp_path, capture_output=True, check=True).stdout
    ours = {str(path.relative_to(tmp_path)) for path in map(Path, find(tmp_path, patterns))}
    assert ours == set(os.fsdecode(kept).split("\0")[:-1])


def find(folder: Path, patterns: list[str]) -> list[str]:
    return [photo.path for photo in scan([folder], patterns).photos]


def test_what_differs_from_git_leaves_out_more_or_takes_a_name_with_a_hash(tmp_path):
    for name in ("thumbs/a.jpg", "x/y/thumbs/a.jpg", "#rec/b.jpg", "@eaDir/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find(tmp_path, ["*/thumbs/*"]) == find(tmp_path, ["thumbs"]) == [str(tmp_path / "#rec/b.jpg")]
    assert len(find(tmp_path, ["#rec"])) == 2
    assert find(tmp_path, ["./thumbs"])[1:] == [str(tmp_path / "x/y/thumbs/a.jpg")]
    # Known folders are taken back in the same way.
    assert str(tmp_path / "@eaDir/c.jpg") in find(tmp_path, ["!@eaDir"])


@pytest.mark.parametrize("pattern", ["[]", "[z-a]", "**/a/**/b/**/c/**/d"])
def test_a_pattern_that_is_none_is_refused_and_not_kept(collection, photos, pattern):
    with pytest.raises(InvalidInput, match="to exclude"):
        collection.add(photos, exclude=pattern)
    assert collection.add(photos).unchanged == 12


def test_a_pattern_made_to_take_for_ever_does_not():
    exclusion = Exclusion(("*a" * 20 + "b", "**/x/**/y*z*w"))
    assert exclusion.pattern_of("/r/" + "a" * 255, "/r", is_folder=False) is None
    assert exclusion.pattern_of("/r" + "/aaaaaaaa" * 400, "/r", is_folder=True) is None


def test_a_photo_met_behind_a_link_and_then_by_itself_is_one(tmp_path, model):
    write_photo(tmp_path / "elsewhere" / "a.png", 1)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "elsewhere")
    collection = Collection.create(tmp_path / "c", model=model)
    inside = str(tmp_path / "photos" / "link" / "a.png")
    collection.add(tmp_path / "photos", metadata={inside: {"year": 1}})
    assert list(collection) == [inside]
    both = [tmp_path / "photos", tmp_path / "elsewhere"]
    assert len(collection.add(both).renamed) == 1
    assert list(collection) == [str(tmp_path / "elsewhere" / "a.png")]
    assert collection.search(tmp_path / "elsewhere" / "a.png")[0].metadata == {"year": 1}
    assert [
        collection.add(paths).unchanged for paths in (both, tmp_path / "photos", tmp_path / "elsewhere")
    ] == [1, 1, 1]
