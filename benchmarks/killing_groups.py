"""Kills groups while photos are compared, and moves between any two of their steps: is anything lost?

    python benchmarks/killing_groups.py [--kills 20] [--json FILE]

Pictures and copies of them are indexed. A process that compares them, four at a time, is killed at a random
moment and started again until it ends; then the groups must be those of a run that nobody killed. A process
that moves copies, or puts them into the trash, is killed at its n-th call that writes down, links or removes
a file, n spread over all of them: every content must still be there, and after ``--undo`` every file at its
place and no other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from resight.collection import Collection
from resight.pipelines.groups import undo
from resight.scenes import render_view

COMPARE = """
import sys
from resight.collection import Collection
from resight.collection.groups import finding
finding.BLOCK = 4
print("begins", flush=True)
Collection.open(sys.argv[1]).groups()
print("ends", flush=True)
"""
ACT = """
import os, signal, sys
from pathlib import Path
from resight.collection import Collection
from resight.pipelines.groups import carry_out, plan
calls, stop = [0], int(sys.argv[5])
def counted(call):
    def run(*args, **more):
        calls[0] += 1
        if calls[0] == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **more)
    return run
planned = plan(Collection.open(sys.argv[1]).groups(), sys.argv[2], Path(sys.argv[3]))
for name in ("fsync", "link", "unlink", "mkdir", "replace"):
    setattr(os, name, counted(getattr(os, name)))
carry_out(planned, Path(sys.argv[4]))
print(calls[0])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        made(work)
        results["comparing"] = comparing(work, arguments.kills)
        for action in ("move", "trash"):
            results[action] = acting(work, action, arguments.kills)
            print(json.dumps(results), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def made(work: Path) -> None:
    """Writes photos and a collection of them that knows no groups yet."""
    (work / "photos").mkdir()
    for number in range(8):
        picture = Image.fromarray(render_view(number, 0, seed=3, side=320))
        edits = {"": picture, "m": ImageOps.mirror(picture), "t": picture.rotate(90, expand=True)}
        for name, edit in (edits | {"c": picture.crop((0, 0, 200, 200))}).items():
            edit.save(work / "photos" / f"{number}{name}.png")
    Collection.create(work / "fresh.resight", model="sift").add(work / "photos")


def groups_in(collection: Path) -> list[list[str]]:
    return sorted(
        sorted(Path(member.path).name for member in group) for group in Collection.open(collection).groups()
    )


def comparing(work: Path, kills: int) -> dict[str, int]:
    """Kills processes that compare photos, at random moments; the next one goes on."""
    rng, collection = np.random.default_rng(0), work / "killed.resight"
    shutil.copytree(work / "fresh.resight", work / "whole.resight")
    started = time.perf_counter()
    expected = groups_in(work / "whole.resight")
    span = time.perf_counter() - started
    killed = ended = wrong = 0
    while killed < kills:
        if not collection.exists():
            shutil.copytree(work / "fresh.resight", collection)
        process = subprocess.Popen(
            [sys.executable, "-c", COMPARE, str(collection)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(rng.uniform(0, span / 2)))
        process.send_signal(signal.SIGKILL)
        if "ends" not in process.communicate()[0]:
            killed += 1
            continue
        ended += 1
        wrong += groups_in(collection) != expected
        shutil.rmtree(collection)
    wrong += groups_in(collection) != expected if collection.exists() else 0
    return {
        "kills": killed,
        "runs that ended": ended,
        "groups": len(expected),
        "other groups than unkilled": wrong,
    }


def acting(work: Path, action: str, kills: int) -> dict[str, int]:
    """Kills processes that move photos, at calls spread over all that they make."""
    before = contents(work / "photos")

    def run(stop: int) -> tuple[str, Path]:
        record = work / f"{action}-{stop}.jsonl"
        words = [str(work / "whole.resight"), action, str(work / "out"), str(record), str(stop)]
        ended = subprocess.run(
            [sys.executable, "-c", ACT, *words], stdout=subprocess.PIPE, text=True, check=False
        )
        return ended.stdout, record

    calls = int(run(0)[0])
    undo(work / f"{action}-0.jsonl")
    lost = not_whole = 0
    for stop in np.unique(np.linspace(1, calls, kills).astype(int)).tolist():
        _, record = run(stop)
        lost += not set(before.values()) <= set((contents(work / "photos") | contents(work / "out")).values())
        if record.exists() and record.stat().st_size:
            undo(record)
        not_whole += contents(work / "photos") != before or bool(contents(work / "out"))
    return {"calls": calls, "kills": kills, "contents lost": lost, "not whole after undo": not_whole}


def contents(folder: Path) -> dict[str, str]:
    """Returns the checksum of each file by its path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    main()
