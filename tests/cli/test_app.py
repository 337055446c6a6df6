"""The command line as a whole: help, versions, wrong lines, start-up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from resight.cli import main

VERBS = (
    "index",
    "search",
    "remove",
    "info",
    "check",
    "models",
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
        (["search", "photos.resight"], "Missing argument 'QUERY...'"),
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
