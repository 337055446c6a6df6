"""The user's values of photos."""

from __future__ import annotations

import pytest
from made_photos import stored

from resight.collection.checksum import CHECKSUM
from resight.errors import InvalidInput


def values_of(collection) -> dict[str, dict[str, object]]:
    table = stored(collection)
    names = ["path", *(name for name in table.schema.names[10:] if name != CHECKSUM)]
    return {
        row.pop("path"): {name: value for name, value in row.items() if value is not None}
        for row in table.to_table(columns=names).to_pylist()
    }


def test_values_of_every_kind_are_kept_with_new_photos(tmp_path, photos, model):
    from resight.collection import Collection

    collection = Collection.create(tmp_path / "c", model=model)
    path = photos / "a" / "p00.png"
    row = {"title": "Über all", "year": 1999, "sharpness": 0.5, "mine": True, "nothing": None}
    collection.add(photos, metadata={str(path): row})
    (hit,) = collection.search(path, where="mine AND year = 1999 AND sharpness < 1 AND title LIKE 'Ü%'")
    assert hit.metadata == {"title": "Über all", "year": 1999, "sharpness": 0.5, "mine": True}
    assert collection.info().metadata == ["mine", "sharpness", "title", "year"]


def test_values_change_without_describing_and_others_stay(collection, photos, model):
    first, second = photos / "a" / "p00.png", photos / "a" / "p01.png"
    collection.add(photos, metadata={str(first): {"year": 1, "who": "me"}, str(second): {"year": 2}})
    object.__setattr__(model, "extract", None)
    collection.add(photos, metadata={str(first): {"year": 3}, str(second): {"year": None, "who": "you"}})
    held = values_of(collection)
    assert held["a/p00.png"] == {"year": 3, "who": "me"}
    assert held["a/p01.png"] == {"who": "you"}
    assert held["a/p02.png"] == {}
    assert len(collection) == 12


def test_values_survive_a_new_description(collection, photos):
    from made_photos import write_photo

    path = photos / "a" / "p00.png"
    collection.add(photos, metadata={str(path): {"year": 1}})
    write_photo(path, 900)
    assert collection.add(photos).updated == 1
    assert values_of(collection)["a/p00.png"] == {"year": 1}
    write_photo(path, 901)
    assert collection.add(photos, metadata={str(path): {"who": "me"}}).updated == 1
    assert values_of(collection)["a/p00.png"] == {"year": 1, "who": "me"}


def test_the_same_values_again_write_nothing(collection, photos):
    values = {str(photos / "a" / "p00.png"): {"year": 1}}
    collection.add(photos, metadata=values)
    version = stored(collection).version
    collection.add(photos, metadata=values)
    assert stored(collection).version == version


def test_whole_numbers_fit_a_column_of_numbers(collection, photos):
    first, second = photos / "a" / "p00.png", photos / "a" / "p01.png"
    collection.add(photos, metadata={str(first): {"x": 1}, str(second): {"x": 1.5}})
    collection.add(photos, metadata={str(first): {"x": 2}})
    assert values_of(collection)["a/p00.png"] == {"x": 2.0}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([{"a b": 1}], "letter followed by"),
        ([{"1a": 1}], "letter followed by"),
        ([{"path": 1}], "cannot be a metadata name"),
        ([{"Descriptor": 1}], "cannot be a metadata name"),
        ([{"year": [1]}], "cannot be kept"),
        ([{"year": float("nan")}], "cannot be kept"),
        ([{"year": 2**63}], "cannot be kept"),
        ([{"year": 1}, {"year": "one"}], "does not fit"),
        ([{"year": 1}, {"year": True}], "does not fit"),
        ([{"year": 1}, {"Year": 1}], "differ by more than case"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_written(collection, photos, rows, text):
    paths = sorted(photos.rglob("*.png"))
    version = stored(collection).version
    with pytest.raises(InvalidInput, match=text):
        collection.add(photos, metadata=dict(zip(map(str, paths), rows, strict=False)))
    assert stored(collection).version == version


def test_values_must_fit_what_is_there(collection, photos):
    path = str(photos / "a" / "p00.png")
    collection.add(photos, metadata={path: {"year": 1}})
    for row in ({"year": "one"}, {"year": 1.5}, {"YEAR": 2}):
        with pytest.raises(InvalidInput, match="year"):
            collection.add(photos, metadata={path: row})


def test_values_for_another_photo_are_reported_and_the_others_kept(collection, photos, tmp_path):
    here, other = str(photos / "a" / "p00.png"), str(tmp_path / "other.png")
    report = collection.add(photos, metadata={other: {"year": 1}, here: {"year": 2}})
    assert (report.annotated, report.unmatched) == (1, [other])
    assert values_of(collection)["a/p00.png"] == {"year": 2}


def exif_photo(path, number, *, when, latitude):
    from made_photos import picture
    from PIL import Image

    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = when
    exif.get_ifd(0x8825).update({1: "N", 2: (latitude, 0.0, 0.0), 3: "E", 4: (8.0, 0.0, 0.0)})
    Image.fromarray(picture(number)).save(path, exif=exif.tobytes())


def test_date_and_place_of_photos_are_columns(collection, photos):
    first, second = photos / "a" / "e0.png", photos / "a" / "e1.png"
    exif_photo(first, 50, when="2024:05:31 18:30:05", latitude=47.0)
    exif_photo(second, 51, when="2023:01:01 00:00:00", latitude=48.0)
    assert collection.info().metadata == []
    collection.add(photos)
    assert collection.info().metadata == ["latitude", "longitude", "taken"]
    assert values_of(collection)["a/e0.png"] == {
        "taken": "2024-05-31T18:30:05",
        "latitude": 47.0,
        "longitude": 8.0,
    }
    for where, right in (("taken = '2024-05-31'", first), ("latitude > 47.5 AND longitude = 8", second)):
        assert [hit.path for hit in collection.search(first, where=where)] == [str(right)]
    version = stored(collection).version
    collection.add(photos)
    assert stored(collection).version == version


def test_the_users_date_and_place_come_first(collection, photos):
    first, second = photos / "a" / "e0.png", photos / "a" / "e1.png"
    exif_photo(first, 50, when="2024:05:31 18:30:05", latitude=47.0)
    collection.add(photos, metadata={str(first): {"taken": "1999"}})
    assert values_of(collection)["a/e0.png"] == {"taken": "1999", "latitude": 47.0, "longitude": 8.0}
    exif_photo(second, 51, when="2023:01:01 00:00:00", latitude=48.0)
    collection.add(photos, metadata={str(second): {"Where": "home"}})
    assert values_of(collection)["a/e1.png"]["Where"] == "home"
    assert values_of(collection)["a/e0.png"]["taken"] == "1999"


def test_columns_of_the_user_that_mean_something_else_stay(collection, photos):
    path = photos / "a" / "e0.png"
    collection.add(photos, metadata={str(photos / "a" / "p00.png"): {"taken": 3, "Latitude": "north"}})
    exif_photo(path, 50, when="2024:05:31 18:30:05", latitude=47.0)
    collection.add(photos)
    assert values_of(collection)["a/e0.png"] == {"longitude": 8.0}
