"""Trains the systems that learn from labels on small photos, three seeds each, and tables what came of it.

    python benchmarks/label_experiments.py SET ROOT --out FILE [--table NAME ...] [--jobs 8] [--runs DIR]
    python benchmarks/label_experiments.py --list

SET is a benchmark of `resight.datasets` (``table`` for grocery or caltech101), ROOT its folder. All runs
share one small trunk, trained from scratch on small crops of all training classes for the same number of
epochs (``--trunk``, ``--side`` and ``--epochs``; every line names them); the last weights are measured once
on the test classes, so nothing is selected on them. FILE gets one JSON line a run; runs that it holds are
skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BATCH, PER_CLASS = 112, 4
DIM = 384
ORDERS = ("S", "M", "G", "SM", "MS", "SG", "GS", "MG", "GM", "SMG", "MSG", "GSM")

Values = dict[str, object]
HARD: Values = {"kind": "batch_hard_triplet", "margin": 0.1}


@dataclass(frozen=True)
class Experiment:
    """One configuration of one table."""

    table: str
    name: str
    model: Values
    objective: list[Values]
    plain_sampler: bool = False
    groups: list[Values] = field(default_factory=list)


def part(loss: Values, output: str = "descriptor", name: str = "ranking") -> Values:
    return {"name": name, "loss": loss, "output": output}


def auxiliary(temperature: float = 0.5, smoothing: float = 0.1) -> Values:
    loss: Values = {"kind": "classification", "temperature": temperature, "smoothing": smoothing}
    return part(loss, "logits", "auxiliary")


def cgd(configuration: str, *, dim: int = DIM, combine: str = "concatenate") -> Values:
    return {
        "kind": "cgd",
        "configuration": configuration,
        "dim": dim,
        "combine": combine,
    }


def embedding(dim: int = 64) -> Values:
    return {"kind": "embedding", "dim": dim}


def experiments() -> Iterator[Experiment]:
    """Yields every configuration, tables in order."""
    both = [part(HARD), auxiliary()]
    for order in ORDERS:
        yield Experiment("cgd", f"{order} {DIM}", cgd(order), both)
    for order in "SMG":
        for dim in (DIM // 2, DIM // 3):
            yield Experiment("cgd", f"{order} {dim}", cgd(order, dim=dim), both)
    for order in ("SG", "MG", "SMG"):
        yield Experiment("sum", f"{order} sum", cgd(order, combine="sum"), both)
    for order in ("SG", "SMG"):
        objective = [part(HARD, "branches"), auxiliary()]
        yield Experiment("branch losses", f"{order} a loss a branch", cgd(order), objective)
    for name, objective in {
        "without auxiliary loss": [part(HARD)],
        "auxiliary, no temperature, no smoothing": [part(HARD), auxiliary(1.0, 0.0)],
        "auxiliary, temperature only": [part(HARD), auxiliary(0.5, 0.0)],
        "auxiliary, smoothing only": [part(HARD), auxiliary(1.0, 0.1)],
    }.items():
        yield Experiment("auxiliary", f"SG {name}", cgd("SG"), objective)
    for kind in ("multi_similarity", "contrastive"):
        for order in ("S", "SM"):
            objective = [part({"kind": kind}), auxiliary()]
            yield Experiment("pair losses", f"{order} {kind}", cgd(order), objective)
    yield from soft_triple()


def soft_triple() -> Iterator[Experiment]:
    """Yields SoftTriple, what it is compared with, and its centres with and without the regulariser."""
    rate: list[Values] = [{"pattern": "objective.*", "rate": 10.0}]
    for kind in ("normalised_softmax", "hard_triple", "proxy_nca", "batch_hard_triplet"):
        proxies = kind != "batch_hard_triplet"
        yield Experiment(
            "softtriple",
            kind,
            embedding(),
            [part({"kind": kind})],
            plain_sampler=proxies,
            groups=rate if proxies else [],
        )
    for centres in (1, 2, 5, 10):
        for tau in (0.0, 0.2):
            loss: Values = {"kind": "soft_triple", "centres": centres, "tau": tau}
            yield Experiment(
                "centres",
                f"K={centres} tau={tau}",
                embedding(),
                [part(loss)],
                plain_sampler=True,
                groups=rate,
            )


def recipe(experiment: Experiment, arguments: argparse.Namespace, seed: int) -> Values:
    packed = arguments.side * 9 // 8
    sampler: Values = {"kind": "m_per_class", "batch": BATCH, "per_class": PER_CLASS}
    if experiment.plain_sampler:
        sampler = {"kind": "plain", "batch": BATCH}
    return {
        "name": f"{experiment.table}: {experiment.name}",
        "seed": seed,
        "data": {
            "benchmark": arguments.set,
            "root": str(arguments.root),
            "packed": {"file": str(arguments.runs / f"packed{packed}"), "side": packed},
            "train_transform": {"kind": "resize_random_crop", "size": arguments.side, "resize": packed},
            "test_transform": {"kind": "stretch", "size": arguments.side},
        },
        "sampler": sampler,
        "model": experiment.model | {"trunk": {"name": arguments.trunk, "pretrained": False}},
        "objective": experiment.objective,
        "optimiser": {"kind": "adam", "learning_rate": 1e-3, "weight_decay": 1e-4},
        "groups": experiment.groups,
        "schedule": {"kind": "cosine", "warm_up": 1.0},
        "training": {"epochs": arguments.epochs, "workers": 1, "precision": arguments.precision},
        "selection": {"on": "test", "every": arguments.epochs},
        "log": {"every": 50, "tensorboard": False, "checkpoint_epochs": 0},
    }


def run_one(number: int, seed: int, arguments: argparse.Namespace) -> None:
    import torch

    from resight.training import Recipe, train

    torch.set_num_threads(1)
    experiment = list(experiments())[number]
    folder = arguments.runs / f"{arguments.root.name}-{number:03d}-{seed}"
    started = time.perf_counter()
    result = train(Recipe.from_values(recipe(experiment, arguments, seed)), folder)
    line = {
        "set": arguments.root.name,
        "scale": scale(arguments),
        "table": experiment.table,
        "name": experiment.name,
        "seed": seed,
        **{key: round(value, 5) for key, value in result.history[-1].items()},
        "parameters": result.parameters,
        "images_per_second": round(result.images_per_second, 1),
        "peak_memory_mb": round(result.peak_memory / 1e6, 1),
        "seconds": round(time.perf_counter() - started, 1),
    }
    line |= distinct_centres(folder, experiment)
    with arguments.out.open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def scale(arguments: argparse.Namespace) -> str:
    return f"{arguments.trunk}, {arguments.side} px, {arguments.epochs} epochs, {arguments.precision}"


def distinct_centres(folder: Path, experiment: Experiment) -> Values:
    """Returns how many centres of each class are still apart, as a histogram, for SoftTriple."""
    import numpy as np

    from resight.losses import SoftTriple
    from resight.training import checkpoint

    loss = experiment.objective[0]["loss"]
    if not isinstance(loss, dict) or loss["kind"] != "soft_triple":
        return {}
    state = checkpoint.read(folder / "checkpoints" / "last.pt").objective
    weights = next(value for key, value in state.items() if key.endswith("centres"))
    module = SoftTriple(weights.shape[0], weights.shape[2], centres=weights.shape[1])
    module.load_state_dict({"centres": weights})
    counts = module.distinct_centres().numpy()
    return {"distinct_centres": np.bincount(counts, minlength=weights.shape[1] + 1)[1:].tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", nargs="?")
    parser.add_argument("root", nargs="?", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("build/label-experiments"))
    parser.add_argument("--table", action="append", default=[], help="only these tables")
    parser.add_argument("--name", action="append", default=[], help="only these configurations")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each configuration")
    parser.add_argument("--trunk", default="resnet18")
    parser.add_argument("--side", type=int, default=80, help="of the training crops, pixels")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--list", action="store_true")
    parser.add_argument(
        "--one", nargs=2, type=int, metavar=("NUMBER", "SEED"), help="one run, in this process"
    )
    arguments = parser.parse_args()
    every = list(experiments())
    if arguments.list:
        for number, experiment in enumerate(every):
            print(f"{number:3} {experiment.table:14} {experiment.name}")
        return
    arguments.runs.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        run_one(*arguments.one, arguments)
        return
    done = finished(arguments.out)
    waiting = [
        (number, seed)
        for seed in range(arguments.seeds)
        for number, experiment in enumerate(every)
        if (not arguments.table or experiment.table in arguments.table)
        and (not arguments.name or experiment.name in arguments.name)
        and (arguments.root.name, scale(arguments), experiment.table, experiment.name, seed) not in done
    ]
    running: list[subprocess.Popen[bytes]] = []
    command = [sys.executable, __file__, arguments.set, str(arguments.root), "--out", str(arguments.out)]
    command += ["--runs", str(arguments.runs), "--trunk", arguments.trunk, "--side", str(arguments.side)]
    command += ["--epochs", str(arguments.epochs), "--precision", arguments.precision]
    for place, (number, seed) in enumerate(waiting):
        # The first run packs the photos; the others must find them.
        while len(running) >= (1 if place == 1 else arguments.jobs):
            running = [process for process in running if process.poll() is None]
            time.sleep(0.1)
        running.append(
            subprocess.Popen(
                [*command, "--one", str(number), str(seed)], env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
        )
    for process in running:
        process.wait()


def finished(out: Path) -> set[tuple[str, str, str, str, int]]:
    if not out.exists():
        return set()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    return {(line["set"], line["scale"], line["table"], line["name"], line["seed"]) for line in lines}


if __name__ == "__main__":
    main()
