"""Kills an indexing process again and again, and compares what is left with a collection never killed.

    python benchmarks/killing.py [--kills 30] [--photos 60] [--seed 0] [--json FILE]

Photos are added, changed, renamed and deleted between the rounds, so that kills meet first descriptions,
updates, removals, compaction and clean-up. After each kill the collection must open with every row readable;
after each round it must hold the same set of (path, hash, descriptor bytes, feature bytes) as the one that
was never killed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import lance
import numpy as np

KILLS_A_ROUND = 6


@dataclass(frozen=True)
class Result:
    """What happened.

    Attributes:
        kills: Processes killed while they worked.
        rounds: Rounds of changes to the photos.
        versions: Commits of the killed collection in all.
        photos: Rows at the end.
        problems: What was wrong; empty when nothing was.
    """

    kills: int
    rounds: int
    versions: int
    photos: int
    problems: list[str]


def contents(collection: Path) -> Counter[tuple[str, bytes, bytes, bytes]]:
    """Returns (path, hash, descriptor bytes, feature bytes) of each row, and how often it is there."""
    table = lance.dataset(collection / "photos.lance").to_table()
    return Counter(
        (row["path"], row["hash"], np.array(row["descriptor"], np.float16).tobytes(), row["local"] or b"")
        for row in table.to_pylist()
    )


def change(folder: Path, rng: np.random.Generator, count: int) -> None:
    """Changes a folder of photos: some new, some with other pixels, some renamed, some gone."""
    folder.mkdir(exist_ok=True)
    present = sorted(folder.glob("*.png"))
    for number in range(count):
        choice = rng.integers(4) if len(present) > count else 0
        path = folder / f"photo {int(rng.integers(10**9)):09d}.png"
        if choice == 1:
            path = present.pop(int(rng.integers(len(present))))
        elif choice == 2:
            present.pop(int(rng.integers(len(present)))).rename(path)
            continue
        elif choice == 3 and number % 2:
            present.pop(int(rng.integers(len(present)))).unlink()
            continue
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC))


def run(
    work: Path,
    writer: Callable[[Path, Path], Sequence[str]],
    *,
    kills: int,
    photos: int,
    seed: int,
    environment: dict[str, str] | None = None,
) -> Result:
    """Returns what became of a collection whose writer was killed that often.

    Args:
        work: An empty folder.
        writer: The command that brings a collection (first) up to date with a folder (second); it prints a
            line when it begins to work.
        kills: How often.
        photos: New photos in the first round.
        seed: Decides photos and moments.
        environment: Of the writer.
    """
    rng = np.random.default_rng(seed)
    folder, killed, whole = work / "photos", work / "killed", work / "whole"
    problems: list[str] = []
    done = rounds = 0
    while done < kills:
        change(folder, rng, photos if rounds == 0 else photos // 2)
        rounds += 1
        seconds = _finish(writer(whole, folder), environment, problems)
        for _ in range(KILLS_A_ROUND):
            died = _kill(writer(killed, folder), environment, float(rng.uniform(0, seconds)), problems)
            done += died
            if died and any((killed / "photos.lance" / "_versions").glob("*.manifest")):
                try:
                    contents(killed)
                except (OSError, ValueError) as error:
                    problems.append(f"after kill {done}: {error}")
            if not died or done >= kills:
                break
        _finish(writer(killed, folder), environment, problems)
        if contents(killed) != contents(whole):
            problems.append(f"after round {rounds} and {done} kills the two collections differ")
        if sum(contents(killed).values()) != len(list(folder.glob("*.png"))):
            problems.append(f"after round {rounds} the collection does not hold all photos once")
    version = lance.dataset(killed / "photos.lance").version
    return Result(done, rounds, version, sum(contents(killed).values()), problems)


def _finish(command: Sequence[str], environment: dict[str, str] | None, problems: list[str]) -> float:
    """Returns the seconds a writer works when nobody kills it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    with process:
        process.stdout.readline()
        started = time.perf_counter()
        rest = process.stdout.read()
    if process.returncode:
        problems.append(f"a writer that was not killed failed: {rest.strip()}")
    return time.perf_counter() - started


def _kill(
    command: Sequence[str], environment: dict[str, str] | None, seconds: float, problems: list[str]
) -> bool:
    """Returns whether a writer was killed before it had finished."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    with process:
        process.stdout.readline()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    if process.returncode:
        problems.append("a writer that was not killed failed")
    return False


def write(collection: Path, folder: Path) -> None:
    """Brings a collection up to date, in commits so small that kills meet all there is."""
    from resight.collection import Collection, batching

    batching.COMMIT_PHOTOS, batching.COMPACT_EVERY = 4, 3
    if (collection / "photos.lance").is_dir():
        writer = Collection.open(collection)
    else:
        writer = Collection.create(collection, model="sift")
    print("ready", flush=True)
    writer.add(folder, forget_missing=True)


def main() -> None:
    """Runs it and prints the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the result there")
    parser.add_argument("--write", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write(*arguments.write)
        return

    def writer(collection: Path, folder: Path) -> list[str]:
        return [sys.executable, __file__, "--write", str(collection), str(folder)]

    with tempfile.TemporaryDirectory() as work:
        result = run(Path(work), writer, kills=arguments.kills, photos=arguments.photos, seed=arguments.seed)
    text = json.dumps(asdict(result), indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    if result.problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
