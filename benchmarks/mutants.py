"""Changes formulas one at a time and counts the changes that no test notices.

    python benchmarks/mutants.py [ROOM ...] [--most 250] [--seed 0] [--minutes 10]

mutmut makes the changes (a + for a -, a < for a <=, another number, a missing argument) in a copy of the
repository and runs the room's own tests on each. Of a room with more than ``--most`` changes a sample is
drawn by the seed; a room ends after ``--minutes``, and what was not tried by then is counted. Statements that
raise errors are not changed. The survivors go to ``benchmarks/results/mutants.json``. One that
``docs/mutants.md`` does not explain ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOMS = ("losses", "networks/pooling", "evaluation/measures", "search")
BESIDE = {"search": ("tests/evaluation/measures",)}
"""Tests of other rooms that are run as well: those of the measures test the ranks of positives."""

REPOSITORY = Path(__file__).parents[1]
REPORT = REPOSITORY / "benchmarks" / "results" / "mutants.json"
REASONS = REPOSITORY / "docs" / "mutants.md"

# Exit codes of a mutant's tests: mutmut writes them beside the changed files. Others are kills: a time limit
# (an endless loop), a crash.
UNTRIED, SURVIVED = (None, 2), (0, 5, 33)


@dataclass(frozen=True)
class Survivor:
    """A change that no test noticed: a statement of a file, before and after, on one line each."""

    file: str
    line: int
    before: str
    after: str


def existing(*paths: Path) -> Path:
    """Returns the first path that exists, seen from the repository: rooms are folders or single files."""
    return next(path for path in paths if path.exists()).relative_to(REPOSITORY)


def mutmut(folder: Path, *arguments: str, seconds: float | None = None) -> str:
    """Returns what mutmut prints in a copy of the repository."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder / "mutants" / "src"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            return process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            return process.communicate()[0]


def exit_codes(folder: Path) -> Iterator[tuple[str, str, int | None]]:
    """Yields file, name and exit code of each mutant."""
    for path in sorted((folder / "mutants").rglob("*.py.meta")):
        file = path.relative_to(folder / "mutants").with_suffix("").as_posix()
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items():
            yield file, name, code


def survivor(folder: Path, file: str, name: str) -> Survivor:
    """Returns what a mutant changed, from mutmut's difference of one function, at its line in the file."""
    lines = mutmut(folder, "show", name).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("@@"))
    changes = [line for line in lines[start + 1 :] if line[:1] in "-+"]
    before, after = (" ".join(line[1:].strip() for line in changes if line[0] == sign) for sign in "-+")
    # x_function__mutmut_3, or xǁClassǁmethod__mutmut_3.
    function = name.rsplit(".", 1)[1].split("__mutmut_")[0].removeprefix("x_").split("ǁ")[-1]
    text = (folder / file).read_text()
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and before.startswith(line.strip()) and function in functions_at(text, number):
            return Survivor(file, number, before, after)
    return Survivor(file, 0, before, after)


def functions_at(text: str, line: int) -> set[str]:
    """Returns the names of the functions that a line lies in."""
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
    return {node.name for node in functions if node.lineno <= line <= (node.end_lineno or 0)}


def copy(room: str, folder: Path) -> None:
    """Copies the repository, with settings that make mutmut change one room and run its tests."""
    source, tests = (REPOSITORY / top / room for top in ("src/resight", "tests"))
    own_tests = existing(tests, tests.with_name(f"test_{tests.name}.py"), tests.parent).as_posix()
    settings = {
        "source_paths": [existing(source, source.with_suffix(".py")).as_posix()],
        "also_copy": ["src/resight"],
        "pytest_add_cli_args_test_selection": [own_tests, *BESIDE.get(room, ())],
        "do_not_mutate_patterns": [r"^\s*raise "],
    }
    for top in ("src", "tests"):
        shutil.copytree(REPOSITORY / top, folder / top, ignore=shutil.ignore_patterns("__pycache__"))
    text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
    project = (REPOSITORY / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(f"{project}\n[tool.mutmut]\n{text}\n")


def run(room: str, *, most: int, seed: int, minutes: float) -> dict[str, Any]:
    """Returns the counts and the survivors of one room."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy(room, folder)
        # There is no mutant of that name: all are made and the tests are run once, which is what is needed.
        output = mutmut(folder, "run", "none")
        names = sorted(name for _, name, _ in exit_codes(folder))
        sample = set(random.Random(seed).sample(names, min(most, len(names))))
        if sample:
            output = mutmut(folder, "run", "--max-children", "2", *sorted(sample), seconds=60 * minutes)
        tried = [each for each in exit_codes(folder) if each[1] in sample and each[2] not in UNTRIED]
        if not tried:
            raise SystemExit(output)
        left = [survivor(folder, file, name) for file, name, code in tried if code in SURVIVED]
    counts, survived = Counter(file for file, _, _ in tried), Counter(one.file for one in left)
    return {
        "mutants": len(names),
        "seed": seed,
        "tried": len(tried),
        "untried": len(sample) - len(tried),
        "files": {
            file: {"killed": count - survived[file], "survived": survived[file]}
            for file, count in sorted(counts.items())
        },
        "survivors": [asdict(one) for one in sorted(left, key=lambda one: (one.file, one.line, one.after))],
    }


def main() -> int:
    """Writes the report and returns 1 where a survivor has no reason yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rooms", nargs="*", default=ROOMS, metavar="ROOM")
    parser.add_argument("--most", type=int, default=250, help="changes tried in a room")
    parser.add_argument("--seed", type=int, default=0, help="draws them")
    parser.add_argument("--minutes", type=float, default=10, help="for a room")
    arguments = parser.parse_args()
    report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    reasons, unexplained = REASONS.read_text(), 0
    for room in arguments.rooms:
        result = run(room, most=arguments.most, seed=arguments.seed, minutes=arguments.minutes)
        report[room] = result
        REPORT.write_text(json.dumps(dict(sorted(report.items())), indent=1, ensure_ascii=False) + "\n")
        print(f"{room}: {len(result['survivors'])} of {result['tried']} changes survived")
        for one in result["survivors"]:
            if one["before"] not in reasons or one["after"] not in reasons:
                unexplained += 1
                print(f"  {one['file']}:{one['line']}\n    - {one['before']}\n    + {one['after']}")
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
