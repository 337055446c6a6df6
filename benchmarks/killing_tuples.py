"""Kills ``resight tuples`` again and again, and compares its tables with those of a run never killed.

    python benchmarks/killing_tuples.py [--kills 20] [--places 6] [--views 4] [--seed 0] [--json FILE]

Rendered photos; a folder of results is killed up to four times, each time at a moment drawn from the seconds
that the whole command takes, then let to its end. Its three tables must equal those of the run never killed,
every number to its last bit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from resight.scenes.render import write_collection

TABLES = ("photos", "pairs", "tuples")
KILLS_A_FOLDER = 4


@dataclass
class Result:
    """What happened.

    Attributes:
        photos: How many.
        tuples: Of the run that was not killed.
        seconds: Of the run that was not killed.
        kills: At which second each killed process died.
        folders: How many times a killed run was let to its end.
        equal: Folders whose tables equal those of the run that was not killed, bit by bit.
        largest_difference: Of two numbers of the tables, relative to the larger; 0 where all are equal.
        problems: What else was wrong; empty when nothing was.
    """

    photos: int
    tuples: int = 0
    seconds: float = 0.0
    kills: list[float] = field(default_factory=list)
    folders: int = 0
    equal: int = 0
    largest_difference: float = 0.0
    problems: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--places", type=int, default=6)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        result = run(Path(work), arguments.kills, arguments.places, arguments.views, arguments.seed)
    text = json.dumps(asdict(result), indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")
    if result.problems:
        raise SystemExit(1)


def run(work: Path, kills: int, places: int, views: int, seed: int) -> Result:
    rng = np.random.default_rng(seed)
    photos = work / "photos"
    written = write_collection(photos, places=places, views=views, distractors=2, seed=seed, side=400)
    result = Result(len(written))
    started = time.monotonic()
    finish(command(photos, work / "whole"), result)
    result.seconds = round(time.monotonic() - started, 1)
    whole = tables(work / "whole")
    result.tuples = len(whole["tuples"])
    seconds = result.seconds
    while len(result.kills) < kills:
        out = work / f"killed{result.folders}"
        for _ in range(min(KILLS_A_FOLDER, kills - len(result.kills))):
            after = float(rng.uniform(0, seconds))
            if not died(command(photos, out), after, result):
                # The machine has become quicker than it was for the first run.
                seconds *= 0.8
                break
            result.kills.append(round(after, 2))
            print(f"killed {len(result.kills)} times", file=sys.stderr)
        finish(command(photos, out), result)
        result.folders += 1
        compare(tables(out), whole, result)
    return result


def command(photos: Path, out: Path) -> list[str]:
    options = ["--max-side", "400", "--features", "1000"]
    return [sys.executable, "-m", "resight", "tuples", str(photos), "--out", str(out), *options]


def finish(line: Sequence[str], result: Result) -> None:
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        result.problems.append(f"a run that was not killed failed: {done.stderr.strip()}")


def died(line: Sequence[str], seconds: float, result: Result) -> bool:
    """Returns whether the process was killed before it had finished."""
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            _, said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    if process.returncode:
        result.problems.append(f"a run that was not killed failed: {said.strip()}")
    return False


def tables(out: Path) -> dict[str, list[dict[str, object]]]:
    return {name: pq.read_table(out / f"{name}.parquet").to_pylist() for name in TABLES}


def compare(
    found: dict[str, list[dict[str, object]]], whole: dict[str, list[dict[str, object]]], result: Result
) -> None:
    if found == whole:
        result.equal += 1
        return
    for name in TABLES:
        if len(found[name]) != len(whole[name]):
            result.problems.append(f"{name} has {len(found[name])} rows, and {len(whole[name])} unkilled")
            return
        for row, other in zip(found[name], whole[name], strict=True):
            for key, value in row.items():
                against = other[key]
                if isinstance(value, float) and isinstance(against, float):
                    apart = abs(value - against) / max(abs(value), abs(against), 1e-300)
                    result.largest_difference = max(result.largest_difference, apart)
                elif value != against:
                    result.problems.append(f"{name} has {key} {value!r}, and {against!r} unkilled")


if __name__ == "__main__":
    main()
