"""What becomes of answers: paths for other programs, copies, links, tables, and an exit code for none."""

from __future__ import annotations

import errno
import html
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from resight.collection import searching
from resight.files import read_rows
from resight.pipelines import answers


@pytest.fixture
def query(rendered):
    return rendered / "place_001_view_0.jpg"


def test_paths_alone_for_other_programs(run, made, query):
    code, out, err = run("search", made, query, "--paths", "--top", 3)
    assert (code, err) == (0, "")
    paths = out.splitlines()
    assert paths[0] == str(query)
    assert len(paths) == 3
    assert run("search", made, query, "-0", "--top", 3)[1].split("\0") == [*paths, ""]


def test_answers_are_copied_linked_and_listed(run, made, query, tmp_path):
    outputs = ("--copy-to", tmp_path / "c", "--link-to", tmp_path / "l", "--csv", tmp_path / "a.csv")
    code, out, _ = run("search", made, query, "--top", 4, *outputs)
    assert code == 0
    assert "See why" in out
    names = sorted(path.name for path in (tmp_path / "c").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "l").iterdir())
    assert names[0] == "001-place_001_view_0.jpg"
    assert (tmp_path / "l" / names[0]).resolve() == query
    rows = list(read_rows(tmp_path / "a.csv"))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0]["path"] == str(query)


def test_no_cosine_above_one_is_written_for_the_rounding_of_what_is_stored(
    run, made, query, tmp_path, monkeypatch
):
    found = searching._hits

    def rounded(*arguments):
        scores = (1.000014, 0.9999, 1.4, -1.0)
        return [replace(hit, similarity=score) for hit, score in zip(found(*arguments), scores, strict=False)]

    monkeypatch.setattr(searching, "_hits", rounded)
    table = tmp_path / "a.csv"
    code, out, _ = run("search", made, query, "--top", 4, "--csv", table, "--json")
    assert code == 0
    hits = json.loads(out)["hits"]
    # That of a refinement may be larger.
    assert [hit["similarity"] for hit in hits] == [hit["score"] for hit in hits] == [1.0, 0.9999, 1.4, -1.0]
    written = [row["similarity"] for row in read_rows(table)]
    assert written == ["1.000000", "0.999900", "1.400000", "-1.000000"]


def test_what_is_in_a_folder_stays(run, made, query, tmp_path):
    copies, links = tmp_path / "c", tmp_path / "l"
    line = ("search", made, query, "--top", 3, "--copy-to", copies, "--link-to", links)
    assert run(*line)[0] == 0
    before = {path.name: path.stat().st_mtime_ns for path in copies.iterdir()}
    # The same answer again changes nothing.
    assert run(*line)[0] == 0
    assert {path.name: path.stat().st_mtime_ns for path in copies.iterdir()} == before
    names = sorted(before)
    for folder, option in ((copies, "--copy-to"), (links, "--link-to")):
        (folder / names[0]).unlink()
        (folder / names[1]).unlink()
        (folder / names[1]).write_text("mine")
        code, _, err = run("search", made, query, "--top", 3, option, folder)
        assert code == 1
        assert f"{names[1]} is there and is something else: name another folder for the" in err
        assert (folder / names[1]).read_text() == "mine"
        assert not (folder / names[0]).exists()
    # A link at a copy's place is not written through.
    (copies / names[1]).unlink()
    (copies / names[1]).symlink_to(tmp_path / "elsewhere")
    assert run("search", made, query, "--top", 3, "--copy-to", copies)[0] == 1
    assert not (tmp_path / "elsewhere").exists()


def test_copies_that_fail_leave_nothing(run, made, query, tmp_path, monkeypatch):
    real, written = answers.whole_file, []

    def failing(place, **options):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(place))
        written.append(place)
        return real(place, **options)

    monkeypatch.setattr(answers, "whole_file", failing)
    code, _, err = run("search", made, query, "--top", 4, "--copy-to", tmp_path / "c")
    assert code == 1
    assert "No space left on device" in err
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("name", ["a #1?100% b.jpg", "quo\"te'&<b>.jpg", "new\nline.jpg"])
def test_the_sheet_links_to_the_photos_whatever_their_names_hold(run, query, tmp_path, name):
    photo = tmp_path / "photos" / name
    photo.parent.mkdir()
    shutil.copy(query, photo)
    assert run("index", photo.parent, "--collection", tmp_path / "c")[0] == 0
    code, _, err = run("search", tmp_path / "c", photo, "--html", tmp_path / "a.html")
    assert code == 0
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    links = [html.unescape(link) for link in re.findall(r'<a href="([^"]*)"', text)]
    assert links == [photo.as_uri()] * 2
    assert Path(url2pathname(urlsplit(links[0]).path)) == photo
    code, _, err = run("search", tmp_path / "c", photo, "--paths")
    assert ("-0 tells the paths apart" in err) == ("\n" in name)


def test_only_what_geometry_confirms(run, made, query, tmp_path):
    code, _, _ = run("search", made, query, "--top", 11, "--verify", 11, "--csv", tmp_path / "all.csv")
    confirmed = [row["path"] for row in read_rows(tmp_path / "all.csv") if row["verdict"] == "confirmed"]
    assert code == 0
    assert 0 < len(confirmed) < 11
    line = ("search", made, query, "--top", 11, "--verify", 11, "--only", "confirmed", "--paths")
    assert run(*line)[1].splitlines() == confirmed


def test_no_answer_is_exit_code_four_if_asked_for(run, made, query):
    # Nothing is verified, so that nothing is confirmed.
    line = ("search", made, query, "--verify", 0, "--only", "confirmed")
    assert run(*line)[0] == 0
    code, out, _ = run(*line, "--fail-if-none", "--paths")
    assert (code, out) == (4, "")
    assert run("search", made, query, "--fail-if-none")[0] == 0


def test_a_condition_that_no_photo_meets_is_told(run, made, query):
    for line in (["width = 1"], ["path = 'x'", "--json"], ["false", "--paths"]):
        code, _, err = run("search", made, query, "--where", *line)
        assert (code, err) == (0, f"no photo of the collection meets the condition {line[0]!r}\n")
    assert run("search", made, query, "--where", "width > 1", "--top", 1)[2] == ""


def test_contradicting_outputs_are_refused(run, made, query):
    code, _, err = run("search", made, query, "--json", "--paths")
    assert code == 2
    assert "give one of --json and --paths" in err


def test_a_line_of_json_for_each_answer(run, made, query):
    code, out, _ = run("search", made, query, "--json-lines", "--top", 3)
    hits = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert {hit["query_path"] for hit in hits} == {str(query)}
    assert hits[0]["path"] == str(query)
    # What a person reads on the line comes before hundreds of coordinates.
    assert list(hits[0]).index("path") < list(hits[0]).index("query_points")
    assert ": " not in out


def test_each_photo_is_a_query_of_its_own(run, made, rendered):
    queries = [rendered / "place_001_view_0.jpg", rendered / "place_002_view_1.jpg"]
    alone = [json.loads(run("search", made, query, "--json", "--top", 3)[1]) for query in queries]
    code, out, _ = run("search", made, *queries, "--each", "--json", "--top", 3)
    assert code == 0
    for answer, right in zip(json.loads(out), alone, strict=True):
        assert answer["queries"] == right["queries"]
        assert answer["hits"] == right["hits"]
    paths = [[hit["path"] for hit in answer["hits"]] for answer in alone]
    line = ("search", made, *queries, "--each", "--top", 3)
    assert run(*line, "--paths")[1] == "".join("\n".join([*each, "", ""]) for each in paths)
    assert run(*line, "-0")[1] == "".join("\0".join([*each, "", ""]) for each in paths)
    lines = [json.loads(hit) for hit in run(*line, "--json-lines")[1].splitlines()]
    assert [hit["path"] for hit in lines] == [*paths[0], *paths[1]]
    assert [hit["query_path"] for hit in lines] == [str(query) for query in queries for _ in range(3)]
    text = run(*line)[1]
    assert text.index(f"{queries[0]}:\n") < text.index("See why") < text.index(f"{queries[1]}:\n")
    assert json.loads(run("search", made, *queries, "--json")[1])["hits"] != alone[0]["hits"]


def test_a_query_that_cannot_be_read_costs_its_own_answer_alone(run, made, query, tmp_path):
    code, out, err = run("search", made, tmp_path / "none.jpg", query, "--each", "--json")
    assert code == 3
    assert [answer["hits"][0]["path"] for answer in json.loads(out)] == [str(query)]
    assert err == f"cannot read {tmp_path / 'none.jpg'}: there is no such file\n"


def test_each_takes_no_file_of_one_answer(run, made, query, tmp_path):
    code, _, err = run("search", made, query, "--each", "--html", tmp_path / "a.html")
    assert code == 2
    assert "take one query" in err


def test_see_why_repeats_the_search(run, made, query, rendered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = (
        "--top",
        2,
        "--where",
        "kind = 'town'",
        "--box",
        "20,20,250,200",
        "--verify",
        5,
        "--expand",
        1,
    )
    words = (*settings, "--expand", 1, "--without", rendered / "distractor_000.jpg", "--refine", "reciprocal")
    _, out, _ = run("search", made, query, *words, "--only", "confirmed")
    (line,) = [line for line in out.splitlines() if line.startswith("See why")]
    repeated = shlex.split(line.partition("  ")[2])
    assert repeated[0] == "resight"
    assert set(map(str, words)) | {"--only", "confirmed"} <= set(repeated)
    code, again, _ = run(*repeated[1:])
    assert code == 0
    assert (tmp_path / "answers.html").is_file()
    assert again.splitlines()[:2] == out.splitlines()[:2]


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_paths_stand_whole_on_narrow_terminals(run, made, query, columns, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = run("search", made, query, "--top", 3)
    paths = run("search", made, query, "--top", 3, "--paths")[1].splitlines()
    assert [line for line in out.splitlines() if line.endswith(".jpg")] == paths
    numbers = out.split(paths[-1])[0].splitlines()
    assert all(len(line) <= 40 for line in numbers if line not in paths)
    monkeypatch.setenv("COLUMNS", "200")
    assert "chance" in run("search", made, query, "--top", 3)[1]


def test_what_shows_the_same_as_an_unwanted_photo_is_left_out(run, made, rendered, query):
    unwanted = rendered / "place_000_view_1.jpg"
    line = ("search", made, "--top", 11, "--json")
    hits = json.loads(run(*line, unwanted)[1])["hits"]
    same = {hit["path"] for hit in hits if hit["verdict"] == "confirmed"}
    assert len(same) > 1
    answers = {hit["path"] for hit in json.loads(run(*line, query, "--without", unwanted)[1])["hits"]}
    assert answers == {hit["path"] for hit in hits} - same


def test_answers_whose_files_went_or_changed_are_marked_and_the_next_command_is_named(run, copied):
    folder = copied.parent / "photos"
    run("index", folder, "--collection", copied)
    query = (folder / "place_001_view_0.jpg").rename(copied.parent / "query.jpg")
    other = folder / "place_001_view_1.jpg"
    other.write_bytes((folder / "place_002_view_1.jpg").read_bytes())
    code, out, err = run("search", copied, query, "--top", 3)
    assert code == 0
    assert "place_001_view_0.jpg (not here)" in out
    assert "place_001_view_1.jpg (changed since it was indexed)" in out
    assert "2 answers name a file that is not as indexed (1 missing, 1 changed): `resight check " in err
    hits = json.loads(run("search", copied, query, "--top", 3, "--json")[1])["hits"]
    assert [(hit["missing"], hit["changed"]) for hit in hits[:2]] == [(True, False), (False, True)]
    # Paths alone cannot be marked: the note is all there is.
    assert "1 missing, 1 changed" in run("search", copied, query, "--top", 3, "--paths")[2]
    assert "11 files, 1 of them missing" in run("info", copied)[1]


def test_json_has_a_line_for_each_record(run, made, query):
    text = run("search", made, query, "--top", 4, "--json")[1]
    hits = [line for line in text.splitlines() if line.lstrip().startswith('{"rank":')]
    assert [json.loads(line.strip().rstrip(","))["rank"] for line in hits] == [1, 2, 3, 4]
    assert all(line.index('"path"') < line.index('"query_points"') for line in hits)
    text = run("search", made, query, query, "--each", "--top", 2, "--json")[1]
    assert sum(line.lstrip().startswith('{"rank":') for line in text.splitlines()) == 4
    assert [len(answer["hits"]) for answer in json.loads(text)] == [2, 2]


@pytest.mark.parametrize("width", [40, 80, 100, 120])
def test_a_path_stands_whole_on_one_line_at_any_width(run, made, query, monkeypatch, width):
    monkeypatch.setattr("resight.cli.output._WIDTH_OF_LOGS", width)
    lines = run("search", made, query, "--top", 2)[1].splitlines()
    assert sum(str(query) in line for line in lines if "--html" not in line) == 1
    assert any(str(query.parent) + ": 11 files" in line for line in run("info", made)[1].splitlines())
