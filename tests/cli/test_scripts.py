"""The command line in scripts: closed and full outputs, wrong words, terminals without anything."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell's redirections")


def shell(line: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of bash where ``resight`` is this package; returns what the first command did."""
    program = f"resight() {{ '{sys.executable}' -m resight \"$@\"; }}\n{line}\nexit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, **settings}
    return subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize("output", ["--json", "--paths"])
def test_a_reader_that_leaves_is_not_complained_about(made, rendered, output):
    done = shell(f"resight search {made} {rendered / 'place_001_view_0.jpg'} --verify 0 {output} | true")
    # 0 where all fitted into the pipe before the reader left.
    assert done.returncode in (0, 1)
    assert done.stderr == ""


def test_outputs_that_are_closed_or_full(made):
    assert shell(f"resight info {made} >&-").stderr == ""
    done = shell(f"resight info {made} 2>&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert "photos" in done.stdout
    done = shell(f"resight info {made} --json > /dev/full")
    assert (done.returncode, done.stderr) == (1, "resight: No space left on device\n")


def test_a_plain_terminal_shows_the_same(made):
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "TERM": "dumb", "NO_COLOR": "1"}
    done = shell(f"resight info {made}", **plain)
    assert (done.returncode, done.stderr) == (0, "")
    assert "11 files" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("search c q --refine difusion", "'superglobal', did you mean diffusion; see resight search --help"),
        ("search c q --only confirmd", "did you mean confirmed"),
        ("search c q --top x", "Invalid value for '--top': a whole number is expected; see"),
        ("search c q --top 0", "Invalid value for '--top': 1 is the least; see"),
        ("search c q --max-pixels 2.5", "a whole number is expected"),
        ("check c --sample -1", "0 is the least"),
        ("serch c q", "No such command 'serch'. Did you mean 'search', 'serve'? see resight --help"),
        ("info c --jsn", "No such option: --jsn (Possible options: --json); see resight info --help"),
    ],
)
def test_wrong_words_are_told_the_nearest(run, line, sentence):
    code, out, err = run(*line.split())
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_every_verb_is_found_whichever_is_loaded(run):
    for verb in ("index", "search", "info", "recipes", "demo"):
        assert run(verb, "--help")[0] == 0
