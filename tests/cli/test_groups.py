"""``resight groups``: the form that other programs read, the page, dry runs and undo."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageOps


@pytest.fixture(scope="module")
def edits(tmp_path_factory, rendered) -> Path:
    """A folder of a photo, a crop and a mirrored copy of it, and another place; with its collection."""
    from resight.collection import Collection

    folder = tmp_path_factory.mktemp("edits")
    (folder / "photos").mkdir()
    photo = Image.open(rendered / "place_000_view_0.jpg")
    photo.save(folder / "photos" / "a.png")
    width, height = photo.size
    photo.crop((10, 30, 10 + width // 2, 30 + height // 2)).save(folder / "photos" / "<b>.jpg", quality=90)
    ImageOps.mirror(photo).save(folder / "photos" / "c.jpg", quality=90)
    shutil.copy(rendered / "place_001_view_0.jpg", folder / "photos" / "d.jpg")
    Collection.create(folder / "edits.resight", model="sift").add(folder / "photos")
    return folder


@pytest.fixture
def copied(edits, tmp_path) -> Path:
    return shutil.copytree(edits, tmp_path / "copy") / "edits.resight"


def test_json_has_the_form_that_programs_rely_on(run, edits):
    code, out, _ = run("groups", edits / "edits.resight", "--of", "copies", "--json")
    found = json.loads(out)
    assert code == 0
    assert list(found) == ["groups", "photos", "seconds"]
    assert found["photos"] == 4
    (group,) = found["groups"]
    assert list(group) == ["kind", "keep", "members"]
    assert (group["kind"], group["keep"]) == ("copies", str(edits / "photos" / "a.png"))
    assert all(list(member) == ["path", "edit", "inliers", "share"] for member in group["members"])
    kept, mirror, crop = group["members"]
    assert (kept["path"], kept["edit"], kept["share"]) == (group["keep"], None, 1.0)
    assert (Path(mirror["path"]).name, mirror["edit"]) == ("c.jpg", "mirrored")
    assert crop["edit"].startswith("cropped to 10,30,")
    assert crop["share"] == pytest.approx(0.25, abs=0.01)
    assert crop["inliers"] > 20


def test_table_csv_and_page(run, edits, tmp_path):
    page, table = tmp_path / "g.html", tmp_path / "g.csv"
    code, out, _ = run("groups", edits / "edits.resight", "--html", page, "--csv", table)
    assert code == 0
    assert "1 group of copies with 3 of 4 photos" in out
    assert "mirrored" in out
    assert len(table.read_text().splitlines()) == 4
    html = page.read_text()
    assert "&lt;b&gt;.jpg" in html
    assert "<b>.jpg" not in html
    assert html.count("<polygon class=") == 1
    # The outline has the number of its member.
    assert len(re.findall(r'<text x="[\d.]+" y="[\d.]+" font-size="[\d.]+">[12]</text>', html)) == 1
    # The photo to keep, two members, and each of these laid over it.
    assert html.count("data:image/jpeg") == 5


def test_trash_is_a_dry_run_until_yes_and_is_undone(run, copied, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    run("index", copied.parent / "photos", "--collection", copied)
    names = {"a.png", "<b>.jpg", "c.jpg", "d.jpg"}

    def here():
        return {path.name for path in (copied.parent / "photos").iterdir()}

    code, _, err = run("groups", copied, "--trash")
    assert code == 0
    assert "would trash: " in err
    assert "nothing was done: 2 files with --yes" in err
    assert here() == names
    code, _, err = run("groups", copied, "--trash", "--yes")
    assert here() == {"a.png", "d.jpg"}
    assert {path.name for path in (tmp_path / "data/Trash/files").iterdir()} == {"<b>.jpg", "c.jpg"}
    (record,) = (copied / "groups").glob("undo-*.jsonl")
    assert "2 files put into the trash, 0 left alone" in err
    assert str(record) in err
    code, _, err = run("groups", copied, "--undo", record)
    assert "2 files taken back, 0 left alone" in err
    assert here() == names
    # The record is no hindrance to what is kept beside it.
    assert run("groups", copied)[0] == 0


def test_the_dry_run_says_what_would_be_left_alone_and_a_relative_data_folder_counts_for_nothing(
    run, copied, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    run("index", copied.parent / "photos", "--collection", copied)
    (copied.parent / "photos" / "c.jpg").unlink()
    _, _, err = run("groups", copied, "--trash")
    assert f"-> {tmp_path / '.local/share/Trash/files'}" in err
    assert "c.jpg: it is not there, or not as it was indexed" in err


def test_the_record_of_a_collection_in_a_bucket_is_a_file_here(monkeypatch, tmp_path):
    from resight.cli import groups

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(groups, "object_path", lambda path: "an address" if "s3:" in str(path) else None)
    assert groups._record(Path("s3:/bucket/c.resight")).parent == tmp_path
    assert groups._record(Path("c.resight")).parent == tmp_path / "c.resight" / "groups"


def test_the_record_of_a_collection_that_may_not_be_written_to_is_a_file_here(monkeypatch, tmp_path):
    from resight.cli import groups

    monkeypatch.chdir(tmp_path)
    collection = tmp_path / "c.resight"
    (collection / "groups").mkdir(parents=True)
    for closed in (collection, collection / "groups"):
        monkeypatch.setattr(os, "access", lambda place, _, closed=closed: place != closed)
        assert groups._record(collection).parent == tmp_path
    monkeypatch.setattr(os, "access", lambda *_: True)
    assert groups._record(collection).parent == collection / "groups"


def test_what_is_left_alone_stays_on_one_line(run, tmp_path):
    record = tmp_path / "undo.jsonl"
    step = {"action": "move", "source": str(tmp_path / "a\nb.jpg"), "target": str(tmp_path / "c\nd.jpg")}
    record.write_text(json.dumps(step) + "\n")
    _, _, err = run("groups", tmp_path, "--undo", record)
    first, second = err.splitlines()
    assert first == "0 files taken back, 1 left alone"
    assert second.endswith("a\\nb.jpg: it is neither there nor at " + str(tmp_path / "c") + "\\nd.jpg")


def test_index_looks_at_new_photos_once_there_are_groups(run, copied):
    from resight.collection import Collection

    photos = copied.parent / "photos"
    shutil.rmtree(copied / "groups", ignore_errors=True)
    run("index", photos, "--collection", copied)
    assert Collection.open(copied).known_groups() is None
    run("groups", copied)
    Image.open(photos / "d.jpg").rotate(90, expand=True).save(photos / "e.jpg")
    run("index", photos, "--collection", copied)
    known = Collection.open(copied).known_groups()
    assert known.waiting == 0
    assert [len(group) for group in known] == [3, 2]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--trash", "--move-to", "x"), "give one of --move-to and --trash"),
        (("--yes",), "it needs --move-to, --link-to or --trash"),
        (("--of", "things", "--trash"), "photos of one thing are different photos"),
        (("--move-to", "{}/x"), "it lies in the collection, which holds no photos"),
        (("--link-to", "{}"), "it lies in the collection, which holds no photos"),
    ],
)
def test_contradictions_are_refused(run, edits, words, sentence):
    collection = edits / "edits.resight"
    code, _, err = run("groups", collection, *(word.format(collection) for word in words))
    assert code == 2
    assert sentence in " ".join(err.replace("│", " ").split())


def test_export_and_index_from_it(run, edits, tmp_path):
    code, out, _ = run("export", edits / "edits.resight", "--to", "faiss", "--out", tmp_path / "d.faiss")
    assert code == 0
    assert out.startswith("4 photos of ")
    again = ("--collection", tmp_path / "again.resight", "--from", tmp_path / "d.faiss")
    code, out, _ = run("index", edits / "photos", *again)
    assert code == 0
    assert "4 added" in out
    code, _, err = run("export", edits / "edits.resight", "--to", "lmdb", "--out", tmp_path / "x")
    assert code == 2
    assert "hloc, clip-retrieval, oml, faiss, parquet" in " ".join(err.replace("│", " ").split())


def test_several_prints_where_each_thing_is(run, edits):
    photo = edits / "photos" / "d.jpg"
    code, out, _ = run("search", edits / "edits.resight", photo, "--several", "--json")
    (answer,) = json.loads(out)
    assert code == 0
    assert len(answer["queries"][0]["box"]) == 4
    assert answer["hits"][0]["path"] == str(photo)
    _, out, _ = run("search", edits / "edits.resight", photo, "--several")
    assert "d.jpg, at " in out
    assert "--box" in out
    code, _, err = run("search", edits / "edits.resight", photo, photo, "--several")
    assert code == 2
    assert "several things are looked for in one photo" in err
