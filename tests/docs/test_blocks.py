"""Every python and sh block of the README and the docs runs, in the order of its page."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from resight.cli import main

ROOT = Path(__file__).parents[2]
RUN = ("python", "sh")
# Shown, not run: what a command prints, what a file holds, and the commands of Windows.
SHOWN = ("text", "yaml", "json", "csv", "diff", "powershell")
NOT_RUN = {
    "README.md": 2,
    "docs/how-to/adapt.md": 1,
    "docs/how-to/cnnimageretrieval.md": 1,
    "docs/how-to/container.md": 1,
    "docs/how-to/export.md": 2,
    "docs/how-to/serve.md": 2,
    "docs/how-to/hloc.md": 1,
    "docs/how-to/models.md": 4,
    "docs/measurements.md": 1,
    "docs/start.md": 2,
    "docs/how-to/unlabelled.md": 1,
}
"""How many blocks of a page say that they cannot be run here, and why."""

_BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^\n]+) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>\S+)[^\n]*\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"[-+]?\d[\d.,]*")
_SECONDS = 60


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: As the fence names it.
        line: Where it begins, from 1.
        code: Without the fence.
        reason: Why it is not run; None where it is.
        output: The ``text`` block right behind it, which shows what it prints; None without one.
    """

    language: str
    line: int
    code: str
    reason: str | None
    output: str | None


def blocks_of(page: Path) -> list[Block]:
    """Returns the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    outputs = {
        before.end(): _flush(after)
        for before, after in pairwise(found)
        if after["language"] == "text" and not text[before.end() : after.start()].strip()
    }
    return [
        Block(
            match["language"],
            text.count("\n", 0, match.start("code")),
            _flush(match),
            match["reason"],
            outputs.get(match.end()),
        )
        for match in found
    ]


def _flush(match: re.Match[str]) -> str:
    """Returns a block's code without the indentation of its fence."""
    return "".join(line.removeprefix(match["indent"]) for line in match["code"].splitlines(keepends=True))


def run(block: Block, page: str, names: dict[str, object]) -> None:
    """Runs a block in the working directory, and compares what it prints with what the page shows."""
    printed = _run_python(block, page, names) if block.language == "python" else _run_shell(block, page)
    if block.output is not None and not same_output(block.output, printed):
        raise AssertionError(f"{page}:{block.line} prints\n{printed}\nand the page shows\n{block.output}")


def same_output(shown: str, printed: str) -> bool:
    """Returns whether texts agree but for numbers and spaces; ``...`` in the first stands for anything."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(_masked(shown), _masked(printed), flags)


def _masked(text: str) -> str:
    return _NUMBER.sub("0", text).strip() + "\n"


def _run_python(block: Block, page: str, names: dict[str, object]) -> str:
    printed = io.StringIO()
    # The blank lines give the traceback of a failure the page's own line numbers.
    code = compile("\n" * block.line + block.code, page, "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    return printed.getvalue()


def _run_shell(block: Block, page: str) -> str:
    """Returns what the lines of a block print; our own command runs in this process, which is faster."""
    printed, home = io.StringIO(), str(Path.home())
    text = block.code.replace("\\\n", "")
    for line in [text] if "<<" in text else text.splitlines():
        words = [re.sub("^~(?=/|$)", home, word) for word in shlex.split(line, comments=True)]
        if words[:1] == ["resight"] and not {"|", ">"} & set(words):
            errors = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
                code = main(words[1:])
            said = errors.getvalue()
        else:
            done = subprocess.run(["bash", "-ec", line], capture_output=True, text=True, timeout=_SECONDS)
            printed.write(done.stdout)
            code, said = done.returncode, done.stderr
        if code:
            raise AssertionError(f"{page}:{block.line}: {line} ends with {code}: {said}")
    return printed.getvalue()


PAGES = {
    page.relative_to(ROOT).as_posix(): blocks_of(page)
    for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
}


@pytest.mark.parametrize(
    "page", [page for page, found in PAGES.items() if any(block.language in RUN for block in found)]
)
def test_the_blocks_of_a_page_run_in_order(page, rendered, tmp_path, monkeypatch, one_thread):
    shutil.copytree(rendered, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    names = {"__name__": page}
    for block in PAGES[page]:
        if block.language in RUN and block.reason is None:
            run(block, page, names)


def test_blocks_that_are_not_run_are_counted():
    counted = {page: sum(block.reason is not None for block in found) for page, found in PAGES.items()}
    assert {page: number for page, number in counted.items() if number} == NOT_RUN


def test_every_block_says_what_it_is():
    languages = {block.language for found in PAGES.values() for block in found}
    assert languages <= {*RUN, *SHOWN}


def test_output_is_compared_but_for_its_numbers():
    assert same_output("3 added in 1.4 s\n...\nend", "12 added in 20 s\nmore\nend\n")
    assert not same_output("3 added", "3 removed")
