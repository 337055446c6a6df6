"""Folders that went, emptied or were left, files with other bytes than were indexed: one story everywhere."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from made_photos import write_photo

from resight import Collection, images
from resight.cli import main
from resight.collection.store import Store
from resight.reports.sheet import render_sheet


def told(collection) -> set[str]:
    """Returns the commands that `check` names."""
    notes = collection.check(sample=100).notes
    return {part for note in notes for part in note.split("`")[1::2]}


def obey(command: str, monkeypatch, model) -> int:
    """Runs a command as it is printed, with the model of the tests."""
    monkeypatch.setattr("resight.models.load_recorded", lambda name, fingerprint: model)
    program, *words = shlex.split(command)
    assert program == "resight"
    return main(words)


def test_a_root_that_no_photo_lies_in_any_more_is_left(collection, photos, tmp_path):
    photos.rename(tmp_path / "moved")
    report = collection.add(tmp_path / "moved")
    assert (len(report.renamed), report.missing, report.notes) == (12, [], [])
    assert [root.path for root in collection.info().roots] == [str(tmp_path / "moved")]
    assert collection.check(sample=0).notes == []
    collection.remove(tmp_path / "moved")
    assert collection.info().roots == []


def test_an_inner_root_that_was_renamed_is_followed_by_indexing_the_outer_one(tmp_path, photos, model):
    made = Collection.create(tmp_path / "c", model=model)
    made.add(photos / "a")
    made.add(photos)
    (photos / "a").rename(photos / "z")
    assert any(str(photos / "a") in note for note in made.check(sample=0).notes)
    report = made.add(photos)
    assert (report.added, len(report.renamed), report.notes, len(made)) == (7, 7, [], 12)


@pytest.mark.parametrize("forget", [False, True])
def test_an_empty_folder_is_taken_for_a_disk_that_is_not_mounted(
    collection, photos, tmp_path, monkeypatch, model, forget
):
    query = shutil.copy(photos / "a" / "p00.png", tmp_path / "q.png")
    photos.rename(tmp_path / "away")
    photos.mkdir()
    (note,) = collection.add(photos, forget_missing=forget).notes
    assert "is empty: if its disk is not mounted, mount it" in note
    assert len(collection) == 12
    answer = collection.search(query, top=3)
    assert all(hit.missing for hit in answer)
    assert collection.check(sample=3).notes == [note]
    assert [root.missing for root in collection.info().roots] == [12]
    if forget:
        (command,) = told(collection)
        assert obey(command, monkeypatch, model) == 0
        assert len(collection) == 0
    else:
        photos.rmdir()
        (tmp_path / "away").rename(photos)
        assert collection.add(photos).notes == []
        assert not any(hit.missing for hit in collection.search(query, top=3))


@pytest.mark.parametrize("kind", ["photo", "folder"])
def test_what_a_link_that_leads_nowhere_held_is_not_forgotten(tmp_path, model, kind):
    disk = write_photo(tmp_path / "disk" / "p.png", 1).parent
    folder = write_photo(tmp_path / "photos" / "own.png", 2).parent
    (folder / "link.png").symlink_to(disk / "p.png") if kind == "photo" else (folder / "link").symlink_to(
        disk
    )
    made = Collection.create(tmp_path / "c", model=model)
    made.add(folder)
    disk.rename(tmp_path / "unplugged")
    assert made.add(folder, forget_missing=True).forgotten == []
    assert len(made) == 2
    (tmp_path / "unplugged").rename(disk)
    assert made.add(folder).unchanged == 2


def test_forgotten_are_those_missing_photos_whose_folder_is_there(collection, photos):
    (photos / "a" / "p00.png").unlink()
    report = collection.add(photos)
    assert (report.missing, report.forgotten) == ([str(photos / "a" / "p00.png")], [])
    assert [root.missing for root in collection.info().roots] == [1]
    report = collection.add([photos, photos / "a" / "p00.png"], forget_missing=True)
    assert report.forgotten == report.missing == [str(photos / "a" / "p00.png")]
    assert [root.missing for root in collection.info().roots] == [0]


@pytest.mark.parametrize("way", ["other size", "other time", "swapped", "emptied", "touched", "same"])
def test_an_answer_whose_file_has_other_bytes_is_marked(collection, photos, tmp_path, way):
    path, other = photos / "a" / "p00.png", photos / "a" / "p01.png"
    query = shutil.copy(path, tmp_path / "q.png")
    before = path.stat()
    if way == "other size":
        write_photo(path, 500, width=120)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif way == "other time":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    elif way == "swapped":
        path.rename(tmp_path / "x")
        other.rename(path)
        (tmp_path / "x").rename(other)
    elif way == "emptied":
        path.write_bytes(b"")
    elif way == "touched":
        os.utime(path, (1, 1))
    (hit,) = collection.search(query, top=1)
    assert (hit.path, hit.missing) == (str(path), False)
    assert hit.changed == (way not in ("touched", "same"))
    collection.add(photos)
    assert not any(hit.changed for hit in collection.search(query, top=12))


def test_a_sheet_draws_nothing_over_a_photo_that_has_changed(collection, photos, tmp_path):
    from resight.collection import Query

    query = shutil.copy(photos / "a" / "p00.png", tmp_path / "q.png")
    write_photo(photos / "a" / "p00.png", 500)
    answer = collection.answer(Query(query, top=1))
    assert "Nothing is drawn: the file has changed since it was indexed." in render_sheet(answer)
    unchanged = replace(answer, hits=[replace(answer.hits[0], changed=False)])
    assert "Nothing is drawn" not in render_sheet(unchanged)


@pytest.mark.parametrize("way", ["changed", "unseen", "gone", "renamed"])
def test_the_command_that_check_names_mends_it(collection, photos, monkeypatch, model, way):
    path = photos / "a" / "p00.png"
    if way == "changed":
        write_photo(path, 500)
    elif way == "unseen":
        store, size = Store.open(collection.path), write_photo(path, 501).stat()
        values = {"file_size": str(size.st_size), "modified_ns": str(size.st_mtime_ns), "_checksum": "0"}
        store._dataset.update(values, where="path = 'a/p00.png'")
        from resight.collection.checksum import row_checksums

        row = store._dataset.to_table(filter="path = 'a/p00.png'")
        Store.open(collection.path)._dataset.update(
            {"_checksum": str(row_checksums(row)[0].as_py())}, where="path = 'a/p00.png'"
        )
    elif way == "gone":
        path.unlink()
    else:
        path.rename(path.with_name("new.png"))
    (command,) = told(collection)
    assert ("--again" in command) == (way == "unseen")
    assert obey(command, monkeypatch, model) == 0
    if way == "gone":
        assert len(told(collection)) == 1
        assert obey(f"{command} --forget-missing", monkeypatch, model) == 0
    assert collection.check(sample=100).notes == []
    assert collection.check(sample=100).problems == []


def test_photos_of_the_same_names_beside_a_moved_collection_are_not_taken_for_its_own(tmp_path, model):
    for number in range(3):
        write_photo(tmp_path / "a" / "p" / f"{number}.png", number)
        write_photo(tmp_path / "b" / "p" / f"{number}.png", number + 50, width=120)
    made = Collection.create(tmp_path / "a" / "c", model=model)
    made.add(tmp_path / "a" / "p")
    made.path.rename(tmp_path / "b" / "c")
    moved = Collection.open(tmp_path / "b" / "c", model=model)
    assert sorted(moved) == [str(tmp_path / "a" / "p" / f"{number}.png") for number in range(3)]
    assert moved.add([tmp_path / "a" / "p", tmp_path / "b" / "p"]).unchanged == 3
    assert len(moved) == 6


def test_a_folder_that_would_overlap_another_is_followed_by_indexing_it(tmp_path, photos, model):
    from resight.errors import InvalidInput

    made = Collection.create(tmp_path / "c", model=model)
    made.add(photos / "a")
    made.add(photos)
    (photos / "a").rename(photos / "z")
    with pytest.raises(InvalidInput, match=f"index {photos / 'z'} instead"):
        made.move_root(photos / "a", photos / "z")
    assert len(made.add(photos / "z").renamed) == 7
    assert len(made) == 12


@pytest.mark.parametrize("kind", ["appended", "overwritten", "touched"])
def test_a_file_that_is_written_to_while_it_is_indexed_is_reported_and_read_anew(
    tmp_path, photos, model, monkeypatch, kind
):
    made = Collection.create(tmp_path / "c", model=model)
    target = next(iter(sorted((photos / "b").glob("*.png"))))
    other = sorted((photos / "a").glob("*.png"))[0].read_bytes()
    read = images.read

    def read_and_write(source, **settings):
        photo = read(source, **settings)
        if source.name == str(target):
            if kind == "appended":
                with target.open("ab") as file:
                    file.write(b"more")
            elif kind == "overwritten":
                target.write_bytes(other)
            status = target.stat()
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns + 5_000_000))
        return photo

    monkeypatch.setattr("resight.models.extract.images.read", read_and_write)
    report = made.add(photos / "b")
    assert [(file.path, file.reason) for file in report.broken] == [
        (str(target), "it was written to while it was read: index it again")
    ]
    monkeypatch.setattr("resight.models.extract.images.read", read)
    report = made.add(photos / "b")
    assert (report.updated + report.added, report.broken) == (1, [])
    assert made.check(sample=1).problems == []


@pytest.fixture
def closed(monkeypatch):
    """Paths that may not be entered (all below them) or read, whoever runs the tests."""
    paths: set[str] = set()
    stat, access = os.stat, os.access

    def guarded(path, **options):
        if isinstance(path, str) and any(path.startswith(f"{one}/") for one in paths):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", guarded)
    monkeypatch.setattr(os, "access", lambda path, mode: path not in paths and access(path, mode))
    return paths


def test_what_may_not_be_read_is_not_called_missing(collection, photos, closed):
    one = str(photos / "b" / "p07.png")
    for path, count in ((str(photos / "a"), 7), (one, 1)):
        closed.clear()
        closed.add(path)
        notes = collection.check(sample=0).notes
        assert len(notes) == count
        expected = "may not be read (Permission denied): give access to it, and to the folders that it is in"
        assert all(note.startswith(path) and note.endswith(expected) for note in notes)
    Path(one).unlink()
    closed.clear()
    (note,) = collection.check(sample=0).notes
    assert f"{one} is missing" in note


def test_a_root_that_may_not_be_looked_at_is_not_called_gone(collection, photos, closed):
    closed.add(str(photos.parent))
    (note,) = collection.check(sample=0).notes
    assert note.startswith(f"the folder {photos}, which photos of this collection lie in, may not be read")
    assert "if it has moved" not in note
