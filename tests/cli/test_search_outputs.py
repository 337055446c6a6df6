"""What becomes of answers: paths for other programs, copies, links, tables, and an exit code for none."""

from __future__ import annotations

import pytest

from resight.files import read_rows


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


def test_contradicting_outputs_are_refused(run, made, query):
    code, _, err = run("search", made, query, "--json", "--paths")
    assert code == 2
    assert "give one of --json and --paths" in err
