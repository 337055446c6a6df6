"""A collection that is made for nothing does not stay."""

from __future__ import annotations

import pytest
from made_photos import write_photo

from resight.collection import Collection
from resight.errors import InvalidInput
from resight.pipelines.index import index_photos


def test_photos_go_into_a_new_collection_and_then_into_the_same(tmp_path):
    write_photo(tmp_path / "photos" / "a.png", 1)
    steps = []
    first = index_photos(
        tmp_path / "c", [tmp_path / "photos"], progress=lambda done, total: steps.append((done, total))
    )
    assert (first.photos, first.report.added, steps) == (1, 1, [(1, 1)])
    write_photo(tmp_path / "photos" / "b.png", 2)
    second = index_photos(tmp_path / "c", [tmp_path / "photos"])
    assert (second.photos, second.report.added, second.report.unchanged) == (2, 1, 1)


@pytest.mark.parametrize("had_folder", [False, True])
def test_a_failure_leaves_no_empty_collection(tmp_path, had_folder):
    path = tmp_path / "new.resight"
    if had_folder:
        path.mkdir()
    with pytest.raises(InvalidInput, match="there is no file or folder"):
        index_photos(path, [tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    assert index_photos(path, [tmp_path / "empty"]).photos == 0
    assert path.is_dir() == had_folder
    assert not had_folder or not list(path.iterdir())


def test_an_old_collection_and_one_that_knows_broken_files_stay(tmp_path):
    path = tmp_path / "old.resight"
    Collection.create(path, model="sift")
    with pytest.raises(InvalidInput):
        index_photos(path, [tmp_path / "nowhere"])
    assert len(Collection.open(path)) == 0
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    index_photos(tmp_path / "new.resight", [tmp_path / "broken.jpg"])
    assert len(Collection.open(tmp_path / "new.resight").info().broken) == 1


def test_a_column_that_is_text_for_want_of_values_is_told(tmp_path):
    for number, name in enumerate("ab"):
        write_photo(tmp_path / "photos" / f"{name}.png", number)
    table = tmp_path / "m.csv"
    table.write_text("path,year\nphotos/a.png,1248\nphotos/b.png,NA\n")
    report = index_photos(tmp_path / "c", [tmp_path / "photos"], metadata=table).report
    (note,) = report.notes
    assert "the column year is kept as text" in note
