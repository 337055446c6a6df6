"""Answers copied, linked and listed."""

from __future__ import annotations

import csv
import errno
import shutil

import pytest
from made_photos import write_photo

from resight.collection import Collection, Query
from resight.errors import InvalidInput
from resight.files import read_rows
from resight.pipelines.answers import copy_photos, link_photos, only, write_table


@pytest.fixture
def answer(collection, tmp_path):
    return collection.answer(Query(tmp_path / "bare" / "0.png", top=3, verify=2))


def test_photos_are_copied_by_rank(answer, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert copy_photos(answer.hits, tmp_path / "out") == []
    copies = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert copies[0] == "001-0.png"
    assert [name[:4] for name in copies[:3]] == ["001-", "002-", "003-"]
    assert copies[3:] == ["notes.txt"]
    for hit in answer.hits:
        name = hit.path.rpartition("/")[2]
        original = tmp_path / "bare" / name
        assert (tmp_path / "out" / f"{hit.rank:03d}-{name}").read_bytes() == original.read_bytes()


def test_links_lead_to_the_photos_and_are_made_anew(answer, tmp_path):
    for _ in range(2):
        assert link_photos(answer.hits, tmp_path / "out") == []
    first = tmp_path / "out" / "001-0.png"
    assert first.is_symlink()
    assert first.resolve() == tmp_path / "bare" / "0.png"
    first.unlink()
    first.write_text("a file")
    with pytest.raises(InvalidInput, match=r"001-0\.png is there and is something else"):
        link_photos(answer.hits, tmp_path / "out")
    assert first.read_text() == "a file"


def test_photos_that_are_gone_are_named_and_a_file_is_no_folder(answer, tmp_path):
    (tmp_path / "bare" / "0.png").unlink()
    assert copy_photos(answer.hits, tmp_path / "out") == [str(tmp_path / "bare" / "0.png")]
    assert len(list((tmp_path / "out").iterdir())) == 2
    with pytest.raises(InvalidInput, match="is a file: name a folder"):
        copy_photos(answer.hits, tmp_path / "bare" / "1.png")


@pytest.mark.parametrize("kept", [None, "out", "out/more"], ids=["nothing", "folder", "folder-above"])
def test_a_full_disk_leaves_no_empty_folder(answer, tmp_path, monkeypatch, kept):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if kept is not None:
        (tmp_path / kept).mkdir(parents=True)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        copy_photos(answer.hits, tmp_path / "out" / "more" / "copies")
    left = {"out", "out/more"} if kept == "out/more" else {kept} - {None}
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("out/**")} == left


def test_a_table_of_answers(model, tmp_path):
    write_photo(tmp_path / "photos" / 'a, "b".png', 1)
    collection = Collection.create(tmp_path / "c", model=model)
    collection.add(tmp_path / "photos")
    answer = collection.answer(Query(tmp_path / "photos" / 'a, "b".png', verify=1))
    write_table(answer.hits, tmp_path / "answers.csv")
    (row,) = read_rows(tmp_path / "answers.csv")
    (hit,) = answer.hits
    assert row["path"] == hit.path
    assert (row["rank"], row["verdict"], row["inliers"]) == ("1", hit.verdict, str(hit.inliers))
    assert float(row["similarity"]) == pytest.approx(min(hit.similarity, 1.0), abs=1e-6)
    write_table([], tmp_path / "none.csv")
    with (tmp_path / "none.csv").open() as stream:
        assert list(csv.reader(stream)) == [
            ["rank", "path", "similarity", "verdict", "inliers", "chance", "missing"]
        ]


def test_one_verdict_alone_keeps_its_ranks(answer):
    verdicts = {hit.verdict for hit in answer.hits}
    for verdict in ("confirmed", "likely", "unlikely", "unchecked"):
        chosen = only(answer, verdict)
        assert [hit.rank for hit in chosen.hits] == [
            hit.rank for hit in answer.hits if hit.verdict == verdict
        ]
        assert bool(chosen.hits) == (verdict in verdicts)
