"""Runs a script's experiments, each in a process of its own, and notes one JSON line a run."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.training import TrainResult

Values = dict[str, object]


@dataclass(frozen=True)
class Experiment:
    """One configuration of one table; ``changes`` stand in its recipe in place of what the others share."""

    table: str
    name: str
    model: Values
    objective: list[Values]
    seeds: int = 3
    changes: Values = field(default_factory=dict)


def options(description: str | None) -> argparse.ArgumentParser:
    """Returns the command line of a script; its defaults are for the script to set."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", nargs="?")
    parser.add_argument("root", nargs="?", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--table", action="append", default=[], help="only these tables")
    parser.add_argument("--name", action="append", default=[], help="only these configurations")
    parser.add_argument("--seeds", type=int, help="runs of each configuration, instead of its table's")
    parser.add_argument("--trunk")
    parser.add_argument("--side", type=int, help="of the training crops, pixels")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--precision", choices=("fp32", "bf16"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--list", action="store_true")
    parser.add_argument(
        "--one", nargs=2, type=int, metavar=("NUMBER", "SEED"), help="one run, in this process"
    )
    return parser


def main(
    parser: argparse.ArgumentParser,
    experiments: Sequence[Experiment],
    recipe: Callable[[argparse.Namespace], Values],
    facts: Callable[[Experiment, TrainResult], Values],
) -> None:
    """Lists the experiments, trains one of them, or all that the file of results lacks.

    Args:
        parser: That of `options`, with the script's defaults.
        experiments: In an order that stays: a run is asked for by its number.
        recipe: What all of them share.
        facts: What a script notes of a finished run beside what all do.
    """
    arguments = parser.parse_args()
    if arguments.list:
        for number, experiment in enumerate(experiments):
            print(f"{number:3} {experiment.table:16} {experiment.name:40} {experiment.seeds}")
        return
    arguments.runs.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        number, seed = arguments.one
        folder = arguments.runs / f"{tag(arguments)}-{number:03d}-{seed}"
        experiment = experiments[number]
        run_one(experiment, seed, arguments, folder, recipe(arguments), facts)
        return
    done = finished(arguments.out)
    waiting = [
        (number, seed)
        for seed in range(max(arguments.seeds or 0, *(experiment.seeds for experiment in experiments)))
        for number, experiment in enumerate(experiments)
        if seed < (arguments.seeds or experiment.seeds)
        and (not arguments.table or experiment.table in arguments.table)
        and (not arguments.name or experiment.name in arguments.name)
        and (tag(arguments), scale(arguments), experiment.table, experiment.name, seed) not in done
    ]
    running: list[subprocess.Popen[bytes]] = []
    packed = Path(recipe(arguments)["data"]["packed"]["file"])  # type: ignore[index]
    for number, seed in waiting:
        # The first run packs the photos; the others must find them.
        while len(running) >= arguments.jobs or (running and not packed.exists()):
            running = [process for process in running if process.poll() is None]
            time.sleep(0.1)
        running.append(
            subprocess.Popen(
                [sys.executable, *sys.argv, "--one", str(number), str(seed)],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        )
    for process in running:
        process.wait()


def run_one(
    experiment: Experiment,
    seed: int,
    arguments: argparse.Namespace,
    folder: Path,
    shared: Values,
    facts: Callable[[Experiment, TrainResult], Values],
) -> None:
    import torch

    from resight.training import Recipe, train

    torch.set_num_threads(1)
    own = {
        "name": f"{experiment.table}: {experiment.name}",
        "seed": seed,
        "model": experiment.model | {"trunk": {"name": arguments.trunk, "pretrained": False}},
        "objective": experiment.objective,
    }
    started = time.perf_counter()
    result = train(Recipe.from_values(shared | own | experiment.changes), folder, resume=folder.exists())
    line = {
        "set": tag(arguments),
        "scale": scale(arguments),
        "table": experiment.table,
        "name": experiment.name,
        "seed": seed,
        **{key: round(value, 5) for key, value in result.history[-1].items()},
        "parameters": result.parameters,
        "images_per_second": round(result.images_per_second, 1),
        "peak_memory_mb": round(result.peak_memory / 1e6, 1),
        "seconds": round(time.perf_counter() - started, 1),
        **facts(experiment, result),
    }
    with arguments.out.open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def tag(arguments: argparse.Namespace) -> str:
    """Returns how the set is called: its folder, or its file with the folder."""
    root: Path = arguments.root
    return root.name if root.is_dir() else f"{root.parent.name}-{root.stem}"


def scale(arguments: argparse.Namespace) -> str:
    return f"{arguments.trunk}, {arguments.side} px, {arguments.epochs} epochs, {arguments.precision}"


def finished(out: Path) -> set[tuple[str, str, str, str, int]]:
    if not out.exists():
        return set()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    return {(line["set"], line["scale"], line["table"], line["name"], line["seed"]) for line in lines}
