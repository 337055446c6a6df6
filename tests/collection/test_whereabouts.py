"""Photos that are missing, renamed or moved, collections that were moved, and folders of foreign ones."""

from __future__ import annotations

import json
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import lance
import pytest
from made_photos import stored, write_photo

from resight import Collection
from resight.collection.checksum import CHECKSUM, row_checksums
from resight.collection.header import HEADER_KEY
from resight.collection.roots import Key, Root, Roots
from resight.collection.seal import seal_of
from resight.collection.store import Store
from resight.errors import CollectionDamaged
from resight.pipelines.answers import copy_photos
from resight.reports.sheet import render_sheet


def paths(collection) -> list[str]:
    return sorted(collection)


def test_a_missing_photo_is_marked_in_every_output(collection, photos, tmp_path):
    query = shutil.copy(photos / "a" / "p00.png", tmp_path / "q.png")
    (photos / "a" / "p00.png").unlink()
    answer = collection.answer(collection_query(query))
    assert [hit.missing for hit in answer.hits] == [True, False]
    assert "it is not here" in render_sheet(answer)
    assert copy_photos(answer.hits, tmp_path / "out") == [answer.hits[0].path]
    assert answer.notes == ()


def collection_query(photo):
    from resight.collection import Query

    return Query(photo, top=2)


def test_a_folder_that_is_gone_is_named_with_the_command_that_mends_it(collection, photos, tmp_path):
    query = shutil.copy(photos / "a" / "p00.png", tmp_path / "q.png")
    photos.rename(tmp_path / "new place")
    command = f"`resight info {collection.path} --move-root {photos} NEW`"
    answer = collection.answer(collection_query(query))
    (note,) = answer.notes
    assert command in note
    assert [hit.missing for hit in answer.hits] == [True, True]
    (note,) = collection.check().notes
    assert command in note
    write_photo(tmp_path / "others" / "x.png", 77)
    (note,) = collection.add(tmp_path / "others").notes
    assert command in note
    collection.move_root(photos, tmp_path / "new place")
    assert collection.answer(collection_query(query)).notes == ()
    assert not any(hit.missing for hit in collection.search(query))


def test_a_rename_takes_description_and_metadata_along(collection, photos, model):
    old, new = photos / "a" / "p03.png", photos / "b" / "renamed.png"
    collection.add(photos, metadata={str(old): {"year": 3}})
    object.__setattr__(model, "extract", None)
    old.rename(new)
    report = collection.add(photos, metadata={str(new): {"who": "me"}})
    assert (report.added, report.renamed, report.missing) == (1, {str(new): str(old)}, [])
    (row,) = stored(collection).to_table(filter="path LIKE '%renamed%'").to_pylist()
    assert (row["year"], row["who"]) == (3, "me")
    assert len(collection) == 12


def test_a_renamed_folder_and_two_names_for_one_that_is_gone(collection, photos):
    (photos / "a").rename(photos / "c")
    shutil.copy(photos / "c" / "p00.png", photos / "c" / "copy.png")
    report = collection.add(photos)
    assert (report.added, len(report.renamed), report.missing) == (8, 7, [])
    assert len(collection) == 13
    assert collection.check(sample=20).problems == []


def test_a_copy_whose_original_is_there_is_no_rename(collection, photos):
    shutil.copy(photos / "a" / "p00.png", photos / "copy.png")
    report = collection.add(photos)
    assert (report.added, report.renamed, len(collection)) == (1, {}, 13)
    # Nor is the copy's row, once the copy is gone again, the original's.
    (photos / "copy.png").unlink()
    assert collection.add(photos).missing == [str(photos / "copy.png")]


def test_two_names_of_one_file_are_two_photos_of_one_description(collection, photos, model):
    object.__setattr__(model, "extract", None)
    (photos / "b" / "second.png").hardlink_to(photos / "a" / "p00.png")
    assert collection.add(photos).added == 1
    assert {Path(hit.path).name for hit in collection_twins(collection)} == {"p00.png", "second.png"}


def collection_twins(collection):
    table = stored(collection).to_table(columns=["root", "path", "hash"]).to_pylist()
    (twice,) = {row["hash"] for row in table if [r["hash"] for r in table].count(row["hash"]) == 2}
    return [replace_path(row) for row in table if row["hash"] == twice]


def replace_path(row):
    from types import SimpleNamespace

    return SimpleNamespace(path=row["path"])


@pytest.mark.parametrize("inside", [True, False])
def test_a_collection_moved_alone_finds_its_photos_and_doubles_none(tmp_path, model, inside):
    photos = write_photo(tmp_path / "a" / "p" / "0.png", 1).parent
    made = Collection.create((photos if inside else tmp_path / "a") / "c", model=model)
    made.add(photos)
    made.path.rename(tmp_path / "c")
    moved = Collection.open(tmp_path / "c", model=model)
    assert paths(moved) == [str(photos / "0.png")]
    assert not moved.search(photos / "0.png")[0].missing
    report = moved.add(photos)
    assert (report.added, report.unchanged, len(moved)) == (0, 1, 1)
    # It is written for its new place now, and can be moved on.
    (tmp_path / "further").mkdir()
    (tmp_path / "c").rename(tmp_path / "further" / "c")
    assert paths(Collection.open(tmp_path / "further" / "c", model=model)) == [str(photos / "0.png")]


def test_a_collection_of_before_that_was_moved_alone_doubles_nothing(tmp_path, model):
    photos = write_photo(tmp_path / "a" / "p" / "0.png", 1).parent
    Collection.create(tmp_path / "a" / "c", model=model).add(photos)
    store = Store.open(tmp_path / "a" / "c")
    store.write_header(replace(store.header, place=""))
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "c").rename(tmp_path / "b" / "c")
    moved = Collection.open(tmp_path / "b" / "c", model=model)
    assert moved.search(photos / "0.png")[0].missing
    report = moved.add(photos)
    assert len(report.renamed) == 1
    assert paths(moved) == [str(photos / "0.png")]


def test_moved_together_photos_are_those_beside_the_collection(tmp_path, model):
    photos = write_photo(tmp_path / "a" / "p" / "0.png", 1).parent
    Collection.create(tmp_path / "a" / "c", model=model).add(photos)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copied = Collection.open(tmp_path / "b" / "c", model=model)
    assert paths(copied) == [str(tmp_path / "b" / "p" / "0.png")]
    assert not copied.search(photos / "0.png")[0].missing


def pointed_at(collection: Collection, folder: Path, path: str) -> Collection:
    """Returns the collection after somebody wrote into it that its photos lie in a folder of the reader."""
    dataset = lance.dataset(collection.path / "photos.lance")
    header = json.loads(dataset.schema.metadata[HEADER_KEY.encode()])
    header["roots"][0] |= {"path": str(folder)}
    dataset.update_schema_metadata({HEADER_KEY: json.dumps(header)})
    dataset.update({"path": f"'{path}'"}, where="path = 'a/p00.png'")
    row = dataset.to_table(filter=f"path = '{path}'")
    (checksum,) = row_checksums(row).to_pylist()
    dataset.update({CHECKSUM: str(checksum)}, where=f"path = '{path}'")
    return Collection.open(collection.path, model=collection.model)


@pytest.mark.parametrize("way", ["root", "dots", "absolute", "climbing"])
def test_no_photo_of_the_reader_is_shown_for_a_row_of_a_foreign_collection(
    tmp_path_factory, collection, photos, way
):
    private = write_photo(tmp_path_factory.mktemp("home") / "private.png", 0)
    climb = Path("..", *[".."] * len(collection.path.parts), *private.parent.parts[1:])
    folder, path = {
        "root": (private.parent, private.name),
        "climbing": (climb, private.name),
        "dots": (Path("../photos"), f"../../../../../../../../../..{private}"),
        "absolute": (Path("../photos"), str(private)),
    }[way]
    foreign = pointed_at(collection, folder, path)
    answer = foreign.answer(collection_query(private))
    assert all(hit.missing for hit in answer.hits if hit.path.endswith(private.name))
    assert any(hit.path.endswith(private.name) for hit in answer.hits)
    assert "it is not here" in render_sheet(answer)
    assert copy_photos(answer.hits, tmp_path_factory.mktemp("out"))
    if way in ("root", "climbing"):
        (note,) = answer.notes
        assert "was named on another machine" in note
        foreign.move_root(private.parent, private.parent)
        assert not foreign.answer(collection_query(private)).hits[0].missing


@pytest.mark.parametrize("way", ["parent", "beside", "linked", "linked folder"])
def test_what_lies_beside_a_foreign_collection_is_shown_only_if_it_came_with_it(
    tmp_path_factory, collection, photos, way
):
    home = tmp_path_factory.mktemp("home")
    private = write_photo(home / "pictures" / "private.png", 0)
    # It looks like the photo that was described, and has other bytes.
    private.write_bytes(private.read_bytes() + b"\0")
    shutil.copytree(collection.path, home / "c.resight")
    for folder in (home, home / "photos", home / "pictures"):
        shutil.copytree(photos, folder, dirs_exist_ok=True)
    foreign = Collection.open(home / "c.resight", model=collection.model)
    assert not any(hit.missing for hit in foreign.search(private, verify=0))
    folder, path = {
        "parent": ("..", "pictures/private.png"),
        "beside": ("../pictures", "private.png"),
        "linked": ("../photos", "linked.png"),
        "linked folder": ("../photos", "linked/private.png"),
    }[way]
    if way == "linked":
        (home / "photos" / path).symlink_to(private)
    elif way == "linked folder":
        (home / "photos" / "linked").symlink_to(private.parent)
    foreign = pointed_at(foreign, Path(folder), path)
    answer = foreign.answer(collection_query(private))
    (hit,) = (hit for hit in answer.hits if Path(hit.path).name == Path(path).name)
    assert hit.missing
    assert Path(hit.path).is_file()
    assert "it is not here" in render_sheet(answer)
    named = (home / "c.resight" / folder).resolve()
    # Another writer's work confirms nothing.
    foreign.remove([named / "a" / "p01.png"])
    assert next(hit for hit in foreign.search(private) if hit.path.endswith(Path(path).name)).missing
    if way in ("parent", "beside"):
        foreign.move_root(named, named)
        assert not foreign.search(private)[0].missing


def test_a_row_of_a_folder_that_the_header_does_not_know_is_damage(collection, photos):
    lance.dataset(collection.path / "photos.lance").update({"root": "7"}, where="path = 'a/p00.png'")
    foreign = Collection.open(collection.path, model=collection.model)
    with pytest.raises(CollectionDamaged, match=r"a/p00\.png lies in the folder number 7, which the header"):
        foreign.search(photos / "a" / "p00.png", verify=0)


def test_a_foreign_folder_is_not_looked_at(tmp_path, monkeypatch):
    looked: list[str] = []
    for name in ("_is_file_of", "is_file", "is_folder"):
        monkeypatch.setattr(f"resight.collection.roots.{name}", looked.append)
    for place in ("/net/host/share", "../../../../net/host/share"):
        roots = Roots([Root(0, place)], tmp_path / "a" / "c", place="/b/c", samples={0: [("x.png", 1)]})
        assert "was named on another machine" in roots.notes()[0]
        assert not roots.is_here(Key(0, "x.png"))
    Roots([Root(0, "../p")], tmp_path / "c", place="/b/c", samples={0: [("../../../net/host", 1)]})
    assert not any("net" in path for path in looked)


def test_a_seal_is_of_folder_collection_and_machine(monkeypatch):
    seal = seal_of("/a", "one")
    assert len({seal, seal_of("/b", "one"), seal_of("/a", "two")}) == 3
    assert seal_of("/a", "one") == seal
    monkeypatch.setattr("resight.collection.seal._machine", lambda: b"another")
    assert seal_of("/a", "one") != seal


def test_a_folder_indexed_here_is_known_here(tmp_path):
    roots = Roots([Root(0, "/elsewhere")], tmp_path / "c", identity="one")
    assert not roots.is_known_here(roots.stored[0])
    indexed = roots.including("/elsewhere")
    assert indexed.is_known_here(indexed.stored[0])
    # One below it alone says nothing of it.
    assert roots.including("/elsewhere/in") is roots


def test_again_reads_what_size_and_time_call_unchanged(collection, photos):
    import os

    path = photos / "a" / "p00.png"
    data, status = path.read_bytes(), path.stat()
    write_photo(path, 500)
    changed = path.read_bytes()
    path.write_bytes(changed + bytes(max(0, len(data) - len(changed))))
    size = path.stat().st_size
    store = Store.open(collection.path)
    store._dataset.update({"file_size": str(size)}, where="path = 'a/p00.png'")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    (note,) = collection.check(sample=100).notes
    assert "has changed since it was described" in note
    assert collection.add(photos).updated == 0
    assert collection.add(photos, again=True).updated == 1
    assert collection.check(sample=100).notes == []
    write_photo(path, 501)
    assert collection.add(path).updated == 1


def test_check_calls_no_photo_changed_that_was_only_touched(collection, photos):
    import os

    os.utime(photos / "a" / "p00.png", (1, 1))
    assert collection.check(sample=0).notes == []
    write_photo(photos / "a" / "p01.png", 501)
    (note,) = collection.check(sample=0).notes
    assert "p01.png has changed" in note


@pytest.mark.parametrize("time_ns", [-(10**18), 10**19, -(2**62)])
def test_times_that_do_not_fit_are_clipped(collection, photos, time_ns):
    import os

    path = write_photo(photos / "old.png", 40)
    os.utime(path, ns=(time_ns, time_ns))
    assert collection.add(photos).added == 1
    assert collection.add(photos).unchanged == 13


def test_names_in_either_form_are_one_name(collection, photos):
    decomposed = unicodedata.normalize("NFD", "Kölner Dom.png")
    composed = photos / unicodedata.normalize("NFC", decomposed)
    write_photo(photos / decomposed, 50)
    report = collection.add(photos, metadata={str(composed): {"label": "cathedral"}})
    assert (report.annotated, report.unmatched) == (1, [])
    assert composed in collection
    (photos / decomposed).unlink()
    # By its name alone: nothing is on the disk any more.
    assert collection.remove(composed) == 1


def test_a_folder_of_the_other_form_is_indexed_and_removed(collection, photos):
    folder = photos / unicodedata.normalize("NFD", "Zürich")
    write_photo(folder / "a.png", 51)
    composed = photos / unicodedata.normalize("NFC", "Zürich")
    assert collection.add(composed).added == 1
    shutil.rmtree(folder)
    assert collection.remove(composed) == 1
