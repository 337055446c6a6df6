import re
import sys

import pytest

from resight.cli.progress import progress


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("resight.cli.progress.time.monotonic", lambda: now[0])
    monkeypatch.setattr("resight.cli.progress._FIRST_LINE_SECONDS", 2.0)
    return now


def test_short_jobs_say_nothing_in_a_log(clock, capsys):
    with progress("Indexing") as report:
        clock[0] += 1.9
        report(5, 10)
    assert capsys.readouterr() == ("", "")


def test_long_jobs_say_how_far_they_are_and_not_too_often(clock, capsys):
    with progress("Indexing") as report:
        for done in range(1, 31):
            clock[0] += 1.0
            report(done, 60)
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert lines == [
        "Indexing: 2 of 60 photos, 1.0 a second, 58 s left",
        "Indexing: 12 of 60 photos, 1.0 a second, 48 s left",
        "Indexing: 22 of 60 photos, 1.0 a second, 38 s left",
    ]


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress("Indexing") as report:
        report(3, 10)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Indexing" in captured.err
    assert re.search(r"\b3/10\b", captured.err)
