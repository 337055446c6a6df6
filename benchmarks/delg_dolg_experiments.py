"""Trains DELG, DOLG and what their papers compare them with on small photos, and notes what came of it.

    python benchmarks/delg_dolg_experiments.py SET ROOT --out FILE [--table NAME ...] [--jobs 2] [--runs DIR]
    python benchmarks/delg_dolg_experiments.py --list

SET is a benchmark of `resight.datasets` (``table`` for grocery, caltech101 or rendered places), ROOT its
folder or file. All runs share one trunk, trained from scratch on small crops of all training classes for the
same number of epochs (``--trunk``, ``--side`` and ``--epochs``; every line names them); the last weights are
measured once on the test classes, so nothing is selected on them. The tables that decide have three seeds,
the others one. FILE gets one JSON line a run, which names its bundle under the folder of runs: verification,
keypoints and other sets are judged from there. Runs that FILE holds are skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BATCH, PER_CLASS = 32, 2
DIM = 256
# Cells apart: the shallow map of a small photo is not as wide as the paper's dilations of 6, 12 and 18.
DILATIONS = [1, 2, 3]
SCALES = [2**-0.5, 1.0, 2**0.5]

Values = dict[str, object]


@dataclass(frozen=True)
class Experiment:
    """One configuration of one table."""

    table: str
    name: str
    model: Values
    objective: list[Values]
    seeds: int


def arc_face(*, margin: float, rule: str = "insightface", learn_scale: bool = False) -> Values:
    # The scale is the square root of the dimension, as DELG has it.
    loss: Values = {"kind": "arcface", "scale": DIM**0.5, "margin": margin, "rule": rule}
    loss["learn_scale"] = learn_scale
    return {"name": "ranking", "loss": loss}


ATTENTION: Values = {
    "name": "attention",
    "output": "logits",
    "loss": {"kind": "classification", "temperature": 1.0, "smoothing": 0.0},
}
RECONSTRUCTION: Values = {
    "name": "reconstruction",
    "output": "reconstruction",
    "loss": {"kind": "mean"},
    "weight": 10.0,
}
DELG_LOSSES = [arc_face(margin=0.1, rule="delg", learn_scale=True), ATTENTION, RECONSTRUCTION]
DOLG_LOSSES = [arc_face(margin=0.15)]
AS_THE_CODE: Values = {
    "attention_target": "input",
    "attention_pooling": "mean",
    "normalise_target": True,
}


def delg(options: Values) -> Values:
    return {"kind": "delg", "dim": DIM, "local_dim": 128, "attention_dim": 128, **options}


def dolg(options: Values) -> Values:
    return {"kind": "dolg", "dim": DIM, "dilations": DILATIONS, **options}


def experiments() -> Iterator[Experiment]:
    """Yields every configuration, tables in order."""
    yield Experiment("delg stop", "with the stop", delg({}), DELG_LOSSES, 3)
    yield Experiment("delg stop", "without the stop", delg({"stop_gradient": False}), DELG_LOSSES, 3)
    without = [DELG_LOSSES[0], ATTENTION]
    yield Experiment("delg autoencoder", "none", delg({"autoencoder": False}), without, 1)
    yield Experiment("delg options", "as the code", delg(AS_THE_CODE), DELG_LOSSES, 1)
    yield Experiment(
        "delg options", "attention sees the input", delg({"attention_input": "input"}), DELG_LOSSES, 1
    )
    fixed = [arc_face(margin=0.1, rule="delg"), ATTENTION, RECONSTRUCTION]
    yield Experiment("delg options", "fixed scale", delg({}), fixed, 1)
    yield Experiment("dolg fusion", "GeM alone", dolg({"local_branch": False}), DOLG_LOSSES, 3)
    for fusion in ("orthogonal", "concatenate", "hadamard"):
        yield Experiment("dolg fusion", fusion, dolg({"fusion": fusion}), DOLG_LOSSES, 3)
    for place in ("deep", "both"):
        yield Experiment("dolg place", place, dolg({"fuse_at": place}), DOLG_LOSSES, 1)
    yield Experiment("dolg pooling", "average", dolg({"pooling": {"kind": "spoc"}}), DOLG_LOSSES, 1)
    yield Experiment("dolg pooling", "GeM learned", dolg({"pooling": {"kind": "gem"}}), DOLG_LOSSES, 1)
    for left_out in ("multi_atrous", "self_attention"):
        yield Experiment("dolg branch", f"without {left_out}", dolg({left_out: False}), DOLG_LOSSES, 1)
    yield Experiment(
        "dolg branch",
        "without both",
        dolg({"multi_atrous": False, "self_attention": False}),
        DOLG_LOSSES,
        1,
    )
    curricular: Values = {"kind": "curricular_face", "scale": DIM**0.5, "margin": 0.15}
    losses: list[Values] = [{"name": "ranking", "loss": curricular}]
    yield Experiment("dolg loss", "CurricularFace", dolg({}), losses, 1)


def recipe(experiment: Experiment, arguments: argparse.Namespace, seed: int) -> Values:
    # A random crop shows three fifths of each side: things at the size at which they will be described.
    packed = arguments.side * 8 // 5
    return {
        "name": f"{experiment.table}: {experiment.name}",
        "seed": seed,
        "data": {
            "benchmark": arguments.set,
            "root": str(arguments.root),
            "packed": {"file": str(arguments.runs / f"{tag(arguments)}-packed{packed}"), "side": packed},
            "train_transform": {"kind": "resize_random_crop", "size": arguments.side, "resize": packed},
            "test_transform": {"kind": "stretch", "size": packed},
        },
        "sampler": {"kind": "m_per_class", "batch": BATCH, "per_class": PER_CLASS},
        "model": experiment.model | {"trunk": {"name": arguments.trunk, "pretrained": False}},
        "objective": experiment.objective,
        "optimiser": {"kind": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2},
        "schedule": {"kind": "linear", "warm_up": 1.0},
        "training": {
            "epochs": arguments.epochs,
            "workers": 1,
            "precision": arguments.precision,
            "clip": 10.0,
        },
        "selection": {"on": "test", "every": arguments.epochs},
        "use": {"max_side": arguments.use_side, "scales": SCALES},
        "log": {"every": 10, "tensorboard": False, "checkpoint_epochs": 5},
    }


def run_one(number: int, seed: int, arguments: argparse.Namespace) -> None:
    import torch

    from resight.training import Recipe, train

    torch.set_num_threads(1)
    experiment = list(experiments())[number]
    folder = arguments.runs / f"{tag(arguments)}-{number:03d}-{seed}"
    started = time.perf_counter()
    result = train(Recipe.from_values(recipe(experiment, arguments, seed)), folder, resume=folder.exists())
    line = {
        "set": tag(arguments),
        "scale": scale(arguments),
        "table": experiment.table,
        "name": experiment.name,
        "seed": seed,
        **{key: round(value, 5) for key, value in result.history[-1].items()},
        "losses": last_losses(folder),
        "parameters": result.parameters,
        "images_per_second": round(result.images_per_second, 1),
        "peak_memory_mb": round(result.peak_memory / 1e6, 1),
        "seconds": round(time.perf_counter() - started, 1),
        "bundle": str(result.bundle.relative_to(arguments.runs)),
    }
    with arguments.out.open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def last_losses(folder: Path) -> dict[str, float]:
    """Returns each part of the objective as the log last saw it."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    parts = [line["parts"] for line in lines if line["kind"] == "step"][-1]
    return {name: round(value, 5) for name, value in parts.items()}


def tag(arguments: argparse.Namespace) -> str:
    """Returns how the set is called: its folder, or its file with the folder."""
    root: Path = arguments.root
    return root.name if root.is_dir() else f"{root.parent.name}-{root.stem}"


def scale(arguments: argparse.Namespace) -> str:
    return f"{arguments.trunk}, {arguments.side} px, {arguments.epochs} epochs, {arguments.precision}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", nargs="?")
    parser.add_argument("root", nargs="?", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("build/delg-dolg-experiments"))
    parser.add_argument("--table", action="append", default=[], help="only these tables")
    parser.add_argument("--name", action="append", default=[], help="only these configurations")
    parser.add_argument("--seeds", type=int, help="runs of each configuration, instead of its table's")
    parser.add_argument("--trunk", default="resnet10t")
    parser.add_argument("--side", type=int, default=112, help="of the training crops, pixels")
    parser.add_argument("--use-side", type=int, default=224, help="of photos the finished models describe")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--precision", default="bf16", choices=("fp32", "bf16"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--list", action="store_true")
    parser.add_argument(
        "--one", nargs=2, type=int, metavar=("NUMBER", "SEED"), help="one run, in this process"
    )
    arguments = parser.parse_args()
    every = list(experiments())
    if arguments.list:
        for number, experiment in enumerate(every):
            print(f"{number:3} {experiment.table:16} {experiment.name:26} {experiment.seeds}")
        return
    arguments.runs.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        run_one(*arguments.one, arguments)
        return
    done = finished(arguments.out)
    waiting = [
        (number, seed)
        for seed in range(max(arguments.seeds or 0, 3))
        for number, experiment in enumerate(every)
        if seed < (arguments.seeds or experiment.seeds)
        and (not arguments.table or experiment.table in arguments.table)
        and (not arguments.name or experiment.name in arguments.name)
        and (tag(arguments), scale(arguments), experiment.table, experiment.name, seed) not in done
    ]
    running: list[subprocess.Popen[bytes]] = []
    command = [sys.executable, __file__, arguments.set, str(arguments.root), "--out", str(arguments.out)]
    command += ["--runs", str(arguments.runs), "--trunk", arguments.trunk, "--side", str(arguments.side)]
    command += ["--epochs", str(arguments.epochs), "--precision", arguments.precision]
    command += ["--use-side", str(arguments.use_side)]
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
