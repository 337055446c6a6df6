"""The demo, small: what it leaves behind, measures and says, and that a second run uses what is there."""

from __future__ import annotations

import json
import shutil

import pytest

from resight.cli import main
from resight.pipelines import demo as pipeline


@pytest.fixture
def small(monkeypatch):
    for name, value in (("PLACES", 2), ("VIEWS", 2), ("DISTRACTORS", 1)):
        monkeypatch.setattr(pipeline, name, value)


def test_demo_measures_rendered_places(small, tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "2 places, a query each, searched among 4 other photos" in text
    assert text.index("descriptors alone") < text.index("after verification")
    assert text.count("  resight ") == 3
    assert "On a page in your browser: resight serve " in text.splitlines()[-1]
    assert len(list((out / "photos").glob("*.jpg"))) == 5
    assert (out / "answers.html").is_file()
    assert not list(out.glob("*.partial"))


def test_a_second_demo_renders_and_describes_nothing(small, tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "photos").iterdir()}
    assert main(["demo", "--out", str(tmp_path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "photos").iterdir()} == times
    assert "5 of them were there" in captured.err
    for measures in (first["before"], first["after"]):
        assert 0 <= measures["mean_average_precision"] <= 1
    assert first["after"]["mean_average_precision"] >= first["before"]["mean_average_precision"]


def test_a_demo_that_was_killed_while_rendering_starts_rendering_anew(small, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "place_000_view_0.jpg").write_bytes(b"half a photo")
    assert main(["demo", "--out", str(tmp_path)]) == 0
    assert "Rendered" in capsys.readouterr().err
    assert len(list((tmp_path / "photos").iterdir())) == 5


def test_a_folder_of_photos_that_the_demo_has_not_rendered_stays(small, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"mine")
    assert main(["demo", "--out", str(tmp_path)]) == 1
    assert "it holds other things (holiday.jpg): name a new or an empty folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["holiday.jpg"]


def test_demo_on_ones_own_folder(rendered, tmp_path, capsys):
    own = shutil.copytree(rendered, tmp_path / "own")
    (own / "broken.jpg").write_bytes(b"")
    assert main(["demo", str(own), "--out", str(tmp_path / "demo")]) == 0
    captured = capsys.readouterr()
    assert "1 file could not be read" in captured.err
    assert "Of 11 photos tried as a query" in captured.out
    assert "confirmed by geometry" in captured.out
    assert (tmp_path / "demo" / "own.resight").is_dir()
    assert (tmp_path / "demo" / "answers.html").is_file()
    here = {path.name for path in own.iterdir()}
    assert here == {"broken.jpg", *(path.name for path in rendered.iterdir())}


def test_demo_on_a_folder_without_photos_is_one_sentence(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["demo", str(tmp_path / "empty"), "--out", str(tmp_path / "demo")]) == 1
    assert "holds no photo that can be read" in capsys.readouterr().err


def test_the_query_is_no_answer_to_itself(made, rendered):
    from resight.collection import Collection, Query

    query = rendered / "place_000_view_0.jpg"
    answer = Collection.open(made).answer(Query(query, top=5, verify=0))
    others = pipeline.without_query(answer, 3)
    assert answer.hits[0].path == str(query)
    assert [hit.rank for hit in others.hits] == [1, 2, 3]
    assert [hit.path for hit in others.hits] == [hit.path for hit in answer.hits[1:4]]


@pytest.mark.parametrize("words", [("{circle}", "--out", "{out}"), ("--out", "{circle}")])
def test_a_circle_of_links_is_one_sentence(tmp_path, capsys, words):
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    assert main(["demo", *(word.format(circle=circle, out=tmp_path / "out") for word in words)]) == 1
    assert capsys.readouterr().err.count(str(circle)) == 1
