"""The command line as a whole: help, versions, wrong lines, start-up."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.markup import render

import resight
from resight.cli import main
from resight.cli.app import build
from resight.cli.serve import _cache_folder

VERBS = (
    "index",
    "search",
    "remove",
    "info",
    "check",
    "models",
    "recipes",
    "demo",
    "doctor",
    "train",
    "evaluate",
    "compact",
)
HEAVY = ("numpy", "cv2", "faiss", "lance", "pyarrow", "torch", "timm", "PIL", "jaxtyping")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb, capsys):
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example:" in text
    assert f"resight {verb}" in text


@pytest.mark.parametrize("verb", VERBS)
def test_the_line_of_usage_shows_each_word_once_and_in_one_kind_of_brackets(verb, capsys):
    assert main([verb, "--help"]) == 0
    usage = next(line for line in capsys.readouterr().out.splitlines() if "Usage:" in line)
    assert not [odd for odd in ("[[", "...}", "...]", "}...}") if odd in usage], usage


@pytest.mark.parametrize("verb", VERBS)
def test_brackets_in_help_are_shown(verb):
    command = typer.main.get_command(build(verb)).commands[verb]
    for text in (command.help, command.epilog, *(getattr(option, "help", "") for option in command.params)):
        # A pair of brackets that is not escaped vanishes.
        assert render(text or "").plain.count("[") == (text or "").count("["), text


def test_help_names_every_verb(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert [verb for verb in VERBS if f" {verb} " not in text] == []


def test_no_verb_is_a_wish_for_help(capsys):
    assert main([]) == 0
    assert "Usage" in capsys.readouterr().out


def test_version(capsys):
    from resight import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"resight {__version__}\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["serach"], "No such command 'serach'"),
        (["search", "photos.resight"], "Missing argument 'QUERY'"),
        (["index", "photos", "--colection", "x"], "No such option: --colection"),
        (["search", "c", "q.jpg", "--top", "many"], "Invalid value for '--top'"),
        (["search", "c", "q.jpg", "--top", "0"], "Invalid value for '--top'"),
        (
            ["search", "c", "q.jpg", "--box", "1,2,3"],
            "a box is four numbers X0,Y0,X1,Y1 in pixels, not '1,2,3'",
        ),
        (["search", "c", "q.jpg", "--box", "9,9,1,1"], "is empty"),
        (["search", "c", "q.jpg", "--open"], "it needs --html FILE"),
    ],
)
def test_a_wrong_line_is_one_sentence_and_code_two(line, words, capsys):
    assert main(line) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.startswith("resight: ")
    assert captured.err.count("\n") == 1


def test_debug_can_stand_anywhere(tmp_path, capsys):
    from resight.errors import CollectionNotFound

    for line in (["--debug", "info", str(tmp_path / "no")], ["info", str(tmp_path / "no"), "--debug"]):
        with pytest.raises(CollectionNotFound):
            main(line)
    assert main(["info", str(tmp_path / "no")]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from resight.cli import main; main(['--help']); "
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"


def test_the_module_runs(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "resight", "info", str(tmp_path / "no")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("resight: ")
    assert run.stderr.count("\n") == 1


def test_a_name_that_the_encoding_lacks_is_escaped(tmp_path):
    folder = tmp_path / "写真"
    folder.mkdir()
    (folder / "broken.jpg").touch()
    words = [sys.executable, "-m", "resight", "index", str(folder), "--collection", str(tmp_path / "c")]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(words, capture_output=True, check=False, env=environment)
    assert done.returncode == 3
    assert rb"\u5199\u771f/broken.jpg" in done.stdout


def test_home_is_expanded_after_an_equals_sign(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["index", "none", "--collection=~/none.resight", "--metadata=~/a.csv"]) == 1
    assert f"cannot read {tmp_path / 'a.csv'}" in capsys.readouterr().err
    assert main(["index", "none", "--collection=~no-such-user/x"]) == 1
    assert "there is no file or folder" in capsys.readouterr().err


def test_the_environment_is_read_by_the_command_line_alone():
    source = Path(resight.__file__).parent
    readers, writers = set(), set()
    for path in source.rglob("*.py"):
        room = path.relative_to(source).parts[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # What a library is told through the environment is not read from it.
        told = {id(node.value) for node in ast.walk(tree) if getattr(node, "attr", "") == "setdefault"}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
                (writers if id(node) in told else readers).add(room)
    assert readers == {"cli"}
    assert writers == {"cli", "models"}


def test_a_user_without_a_home_can_work(monkeypatch, capsys):
    # As in a container whose user has a number and no name.
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    assert main(["models"]) == 0
    assert main(["info", "~/none"]) == 1
    assert "there is no collection at" in capsys.readouterr().err
    with pytest.raises(typer.BadParameter, match="this user has no home folder"):
        _cache_folder()
