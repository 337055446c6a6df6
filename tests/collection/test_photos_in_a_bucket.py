"""Photos in a bucket: listed, described once, remembered by their versions, missing, broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_bucket import Bucket, name_store, serving
from made_photos import write_photo

from resight.collection import Collection, Query, find_photos
from resight.errors import InvalidInput, UnreadableImage
from resight.files import object_path
from resight.pipelines.several import answer_several
from resight.reports.sheet import write_sheet

pytest.importorskip("obstore")


@pytest.fixture
def bucket(monkeypatch, photos) -> Iterator[Bucket]:
    """A bucket with the twelve photos, and what is none."""
    made = Bucket("photos")
    for file in photos.rglob("*.png"):
        made.put(f"pictures/{file.relative_to(photos).as_posix()}", file.read_bytes())
    made.put("pictures/a/notes.txt", b"no photo")
    made.put("pictures/.hidden.png", b"")
    made.put("pictures/b/broken.jpg", b"no photo")
    # As some programs mark folders.
    made.put("pictures/", b"")
    made.put("pictures/a/", b"")
    made.put("pictures-of-others/x.png", b"no photo")
    with serving(made) as address:
        name_store(monkeypatch, address)
        yield made


@pytest.fixture
def made(bucket, tmp_path, model) -> Collection:
    collection = Collection.create(tmp_path / "of-a-bucket.resight", model=model)
    report = collection.add("s3://photos/pictures/")
    assert report.added == 12
    assert [one.path for one in report.broken] == ["s3://photos/pictures/b/broken.jpg"]
    assert report.passed_over == {".txt": 1}
    return collection


def gets(bucket: Bucket) -> list[str]:
    return [key for method, key in bucket.asked if method == "GET" and key.endswith((".png", ".jpg"))]


def test_answers_name_the_objects_and_are_those_of_the_files(made, collection, photos):
    query = photos / "a" / "p03.png"
    there, here = made.search(query), collection.search(query)
    assert [hit.similarity for hit in there] == [hit.similarity for hit in here]
    assert there[0].path == "s3://photos/pictures/a/p03.png"
    assert there[0].path in made
    assert "s3://photos/pictures/a/none.png" not in made
    assert not there[0].missing
    assert not there[0].changed
    assert made.check().problems == []


def test_what_is_unchanged_is_not_read_again_and_what_is_changed_is(made, bucket, photos):
    bucket.asked.clear()
    report = made.add("s3://photos/pictures")
    assert (report.added, report.updated, report.unchanged) == (0, 0, 12)
    assert gets(bucket) == []
    # Of the same length and in the same second: the ETag alone is another.
    old = bucket.objects["pictures/a/p03.png"]
    numbers = iter(range(50, 100))
    while len(data := write_photo(photos / "new.png", next(numbers)).read_bytes()) > len(old.data):
        pass
    bucket.objects["pictures/a/p03.png"] = replace(old, data=data.ljust(len(old.data), b"\0"))
    (hit,) = [hit for hit in made.search(photos / "a" / "p03.png", top=12) if hit.path.endswith("p03.png")]
    assert hit.changed
    report = made.add("s3://photos/pictures")
    assert (report.updated, report.unchanged) == (1, 11)
    assert made.search(photos / "new.png")[0].path == "s3://photos/pictures/a/p03.png"


def test_gone_ones_are_missing_and_forgotten_when_wished(made, bucket):
    del bucket.objects["pictures/a/p00.png"]
    report = made.add("s3://photos/pictures")
    assert report.missing == ["s3://photos/pictures/a/p00.png"]
    assert made.info().roots[0].missing == 1
    assert len(made) == 12
    made.add("s3://photos/pictures", forget_missing=True)
    assert len(made) == 11
    for key in bucket.keys("pictures/"):
        del bucket.objects[key]
    # Nothing is there any more: more often a mistake than a wish.
    report = made.add("s3://photos/pictures", forget_missing=True)
    assert len(report.missing) == 12
    assert len(made) == 11
    assert "s3://photos/pictures, which photos of this collection lie in, is not there" in report.notes[0]


def test_one_object_by_itself_a_renamed_one_and_one_that_is_removed(made, bucket, photos):
    bucket.put("pictures/odd", write_photo(photos / "odd.png", 60).read_bytes())
    assert made.add("s3://photos/pictures/odd").added == 1
    assert made.add("s3://photos/pictures").missing == []
    bucket.objects["pictures/c.png"] = bucket.objects.pop("pictures/b/p09.png")
    report = made.add("s3://photos/pictures")
    assert report.renamed == {"s3://photos/pictures/c.png": "s3://photos/pictures/b/p09.png"}
    assert made.remove("s3://photos/pictures/a") == 7
    assert made.remove(["s3://photos/pictures/c.png"]) == 1
    assert "s3://photos/pictures/odd" in list(made)
    with pytest.raises(InvalidInput, match="is not in the collection"):
        made.remove("s3://photos/pictures/none.png")


def test_patterns_collections_and_metadata(bucket, tmp_path, model, photos):
    collection = Collection.create("s3://photos/pictures/c.resight", model=model)
    report = collection.add(
        "s3://photos/pictures",
        exclude=["b/"],
        metadata={"s3://photos/pictures/a/p00.png": {"place": "here"}},
    )
    assert report.added == 7
    assert report.left_out == {"b/": 1}
    assert report.unmatched == []
    assert report.passed_over == {".txt": 1}
    (hit,) = collection.search(photos / "a" / "p00.png", where="place = 'here'")
    assert hit.metadata == {"place": "here"}
    assert collection.info().roots[0].path == "s3://photos/pictures"


def test_both_kinds_of_places_at_once_and_each_once(bucket, photos, tmp_path, model):
    collection = Collection.create(tmp_path / "c.resight", model=model)
    report = collection.add([photos, "s3://photos/pictures", "s3://photos/pictures/a/p00.png"])
    assert report.added == 24
    assert len(find_photos(["s3://photos/pictures/a", "s3://photos/pictures/a/"])) == 7


def test_what_is_wrong_is_said(made, bucket, monkeypatch):
    with pytest.raises(InvalidInput, match="there is no object s3://photos/none, nor any below it"):
        made.add("s3://photos/none")
    with pytest.raises(InvalidInput, match="there is no bucket nowhere"):
        made.add("s3://nowhere/pictures")
    with pytest.raises(
        UnreadableImage, match=r"cannot read s3://photos/pictures/a/p77.png: there is no such"
    ):
        made.search("s3://photos/pictures/a/p77.png")
    with pytest.raises(UnreadableImage, match=r"cannot read s3://photos/pictures/b/broken.jpg: it is a text"):
        made.search("s3://photos/pictures/b/broken.jpg")
    with pytest.raises(InvalidInput, match="names no bucket"):
        made.search("s3://No Bucket/p00.png")
    bucket.put("odd/../x.png", b"")
    with pytest.raises(InvalidInput, match=r"an object whose key is no path, \"odd/../x.png\": a part"):
        made.add("s3://photos/odd")
    name_store(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(InvalidInput, match="does not answer"):
        made.add("s3://photos/others")
    with pytest.raises(UnreadableImage, match=r"s3://photos/pictures/a/p00.png: .*does not answer"):
        made.search("s3://photos/pictures/a/p00.png")


def test_a_collection_from_elsewhere_makes_nobody_ask_its_bucket(made, bucket, monkeypatch, photos, model):
    from resight.collection import seal

    monkeypatch.setattr(seal, "_machine", lambda: b"another")
    bucket.asked.clear()
    opened = Collection.open(made.path, model=model)
    assert all(hit.missing for hit in opened.search(photos / "a" / "p00.png"))
    opened.info()
    opened.check()
    assert bucket.asked == []


def test_groups_sheets_and_parts_read_objects(made, bucket, tmp_path, photos):
    bucket.put("pictures/copy.png", bucket.objects["pictures/a/p03.png"].data)
    made.add("s3://photos/pictures", regions=4 * 1024)
    assert len(made.groups().groups) == 1
    answer = made.answer(photos / "a" / "p03.png")
    write_sheet(answer, tmp_path / "sheet.html")
    text = (tmp_path / "sheet.html").read_text()
    assert text.count("data:image/jpeg") >= 10


def test_a_query_photo_is_an_object_wherever_it_is_a_file(made, bucket, tmp_path, photos, model):
    bucket.put("asked/p03.png", (photos / "a" / "p03.png").read_bytes())
    there, here = made.answer("s3://photos/asked/p03.png"), made.answer(photos / "a" / "p03.png")
    assert [hit.similarity for hit in there.hits] == [hit.similarity for hit in here.hits]
    assert there.queries[0].path == "s3://photos/asked/p03.png"
    write_sheet(there, tmp_path / "sheet.html")
    assert (tmp_path / "sheet.html").read_text().count("data:image/jpeg") >= 10
    box = (0, 0, 40, 40)
    boxed = made.search("s3://photos/asked/p03.png", box=box)
    assert [hit.similarity for hit in boxed] == [
        hit.similarity for hit in made.search(photos / "a" / "p03.png", box=box)
    ]
    # As the command line has it: Path makes one slash of two.
    asked, unwanted = Path("s3://photos/asked/p03.png"), "s3://photos/pictures/a/p00.png"
    combined = made.answer(Query([asked], without=[unwanted]))
    assert [query.path for query in combined.queries] == ["s3://photos/asked/p03.png", unwanted]
    assert unwanted not in [hit.path for hit in combined.hits]
    assert len(answer_several(made, Query("s3://photos/asked/p03.png"))) == len(
        answer_several(made, Query(photos / "a" / "p03.png"))
    )


def test_photos_that_moved_into_a_bucket_or_out_of_it_are_followed(collection, photos, bucket, tmp_path):
    collection.add(photos)
    before = {hit.path for hit in collection.search(photos / "a" / "p03.png", top=12)}
    moved = collection.info().roots[0].path
    collection.move_root(moved, Path("s3://photos/pictures/"))
    hits = collection.search(photos / "a" / "p03.png", top=12)
    assert {hit.path for hit in hits} == {path.replace(moved, "s3://photos/pictures") for path in before}
    assert not any(hit.missing for hit in hits)
    report = collection.add("s3://photos/pictures")
    assert (report.added, report.updated, report.unchanged) == (0, 0, 12)
    collection.move_root("s3://photos", "s3://photos")
    with pytest.raises(InvalidInput, match=r"there lies nothing below s3://photos/none: name the folder"):
        collection.move_root("s3://photos/pictures", "s3://photos/none")
    with pytest.raises(
        InvalidInput, match=r"at or below s3://photos/pict; its folders are: s3://photos/pict"
    ):
        collection.move_root("s3://photos/pict", "s3://photos/pictures")
    collection.move_root("s3://photos/pictures", photos)
    assert {hit.path for hit in collection.search(photos / "a" / "p03.png", top=12)} == before
    assert collection.add(photos).unchanged == 12


def test_folders_below_the_one_that_moved_are_followed_and_none_overlaps(bucket, tmp_path, model):
    collection = Collection.create(tmp_path / "two.resight", model=model)
    collection.add(["s3://photos/pictures/a", "s3://photos/pictures/b"])
    for key in bucket.keys("pictures/"):
        bucket.put(f"new/{key}", bucket.objects[key].data)
    with pytest.raises(
        InvalidInput, match=r"s3://photos/pictures/b would overlap s3://photos/pictures/b, anot"
    ):
        collection.move_root("s3://photos/pictures/a", "s3://photos/pictures/b")
    collection.move_root("s3://photos/pictures", "s3://photos/new/pictures")
    assert [root.path for root in collection.info().roots] == [
        "s3://photos/new/pictures/a",
        "s3://photos/new/pictures/b",
    ]
    assert len(list(collection)) == 12
    assert all(path.startswith("s3://photos/new/pictures/") for path in collection)


def test_an_address_is_one_however_it_is_written(bucket):
    assert str(object_path("s3:/photos/pictures/")) == "s3://photos/pictures"
    assert str(object_path("s3://photos")) == "s3://photos"
