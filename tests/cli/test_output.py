import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from resight.cli.output import (
    as_json,
    command_line,
    console,
    count,
    escape_controls,
    json_text,
    note,
    plain_table,
    shown_path,
    write_json,
)
from resight.features import Box


@dataclass(frozen=True)
class Record:
    name: str
    box: Box | None
    points: np.ndarray
    score: np.float32


def test_value_objects_become_json():
    record = Record("a", Box(1, 2, 3, 4), np.array([[1.5, 2.0]], dtype=np.float32), np.float32(0.5))
    assert as_json([record, {"path": Path("x")}]) == [
        {"name": "a", "box": [1, 2, 3, 4], "points": [[1.5, 2.0]], "score": 0.5},
        {"path": "x"},
    ]


def test_numbers_that_json_lacks_become_null():
    assert as_json([float("nan"), np.float32("inf"), 1.0]) == [None, None, 1.0]


def test_what_has_no_form_is_refused():
    with pytest.raises(TypeError, match="complex has no JSON form"):
        as_json(1j)


def test_written_json_is_all_there_is(capsys):
    write_json({"a": [1, None, "ü"]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, None, "ü"]}


def test_counts():
    assert [count(n, "photo") for n in (0, 1, 2, 1200)] == ["0 photos", "1 photo", "2 photos", "1,200 photos"]


def test_paths_are_shown_as_they_are_typed_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "a" / "b.jpg") == str(Path("a/b.jpg"))
    assert shown_path("a") == "a"
    assert shown_path("/elsewhere/b.jpg") == "/elsewhere/b.jpg"
    assert shown_path(f"{tmp_path}2/b.jpg") == f"{tmp_path}2/b.jpg"


def test_command_lines_can_be_pasted():
    assert (
        command_line("resight", "search", Path("my photos.resight")) == "resight search 'my photos.resight'"
    )


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("a\nb", r"$'a\x0ab'"),
        ("bad\udcff.jpg", r"$'bad\xff.jpg'"),
        ("it's\x1b[31m\\", r"$'it\'s\x1b[31m\\'"),
        ("a\u202eb c", r"$'a\xe2\x80\xaeb c'"),
        ("größe 東.jpg", "'größe 東.jpg'"),
    ],
)
def test_what_cannot_be_seen_in_a_name_can_be_pasted_too(word, quoted):
    assert command_line("resight", "search", "c", word) == f"resight search c {quoted}"
    bash = shutil.which("bash")
    if bash is not None:
        echoed = subprocess.run([bash, "-c", f"printf %s {quoted}"], capture_output=True, check=True)
        assert echoed.stdout == os.fsencode(word)


def test_control_characters_of_names_reach_no_terminal(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "a\x1b[31m\x9b2J\u202egpj.exe\nb\tc"
    escaped = r"a\x1b[31m\x9b2J\u202egpj.exe"
    assert escape_controls(name) == f"{escaped}\nb\tc"
    unseen = "\u200bi\u2066\ufeff\u00ad\u115f\U000e0041\udcff"
    assert escape_controls(unseen) == r"\u200bi\u2066\ufeff\xad\u115f\U000e0041\udcff"
    assert escape_controls("Zürich 東京 ❤️") == "Zürich 東京 ❤️"
    assert shown_path(name).endswith(r"\nb\tc")
    table = plain_table("a\x07")
    table.add_row(shown_path(name))
    console().print(table)
    console().print(f"{name}: broken", soft_wrap=True)
    note(f"broken {name}")
    captured = capsys.readouterr()
    assert [line.rstrip() for line in captured.out.splitlines()[:2]] == [r"a\x07", rf"{escaped}\nb\tc"]
    assert captured.out.count(escaped) == 2
    assert captured.err == f"broken {escaped}\nb\tc\n"
    assert not set("\x1b\x07\x9b\u202e") & set(captured.out + captured.err)


def test_brackets_of_a_path_are_no_markup(capsys):
    console().print("[red]a[/red] :smile:")
    assert capsys.readouterr().out == "[red]a[/red] :smile:\n"


def test_commands_name_the_program_that_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "env dir" / "bin" / "resight"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(program), "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert command_line("resight", "check", "c") == "'env dir/bin/resight' check c"
    monkeypatch.setenv("PATH", str(program.parent))
    assert command_line("resight", "check", "c") == "resight check c"
    monkeypatch.setattr("sys.argv", ["pytest"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert command_line("resight", "check", "c") == "resight check c"


@pytest.mark.parametrize(
    "value",
    [
        *({}, [], None, 1.5, "a", {"a": {}}, [1, [2, {}]], [{}], {"a": [{"b": [{"c": 1}, {"d": []}]}, {}]}),
        {"a": {"b": [{"c": 'ü"\n'}]}, "d": [[1, 2], [3]]},
    ],
)
def test_json_in_lines_says_what_json_says(value):
    assert json.loads(json_text(value)) == value


def test_records_of_json_stand_on_lines_of_their_own():
    text = json_text({"hits": [{"rank": 1, "points": [[1, 2]]}, {"rank": 2}], "n": 3})
    assert text.splitlines() == [
        "{",
        '  "hits": [',
        '    {"rank": 1, "points": [[1, 2]]},',
        '    {"rank": 2}',
        "  ],",
        '  "n": 3',
        "}",
    ]


def test_a_line_break_in_a_name_begins_no_line_of_ours(run, tmp_path):
    name = "x.jpg\nresight: all is well"
    code, out, err = run("explain", tmp_path / name, tmp_path / name)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert r"x.jpg\nresight: all is well" in err
