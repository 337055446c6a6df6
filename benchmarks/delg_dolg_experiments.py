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
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from experiment_runs import Experiment, Values, main, options, tag

if TYPE_CHECKING:
    from resight.training import TrainResult

BATCH = 32
DIM = 256
# Cells apart: the shallow map of a small photo is not as wide as the paper's dilations of 6, 12 and 18.
DILATIONS = [1, 2, 3]
SCALES = [2**-0.5, 1.0, 2**0.5]


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


def recipe(arguments: argparse.Namespace) -> Values:
    # A random crop shows three fifths of each side: things at the size at which they will be described.
    packed = arguments.side * 8 // 5
    return {
        "data": {
            "benchmark": arguments.set,
            "root": str(arguments.root),
            "packed": {"file": str(arguments.runs / f"{tag(arguments)}-packed{packed}"), "side": packed},
            "train_transform": {"kind": "resize_random_crop", "size": arguments.side, "resize": packed},
            "test_transform": {"kind": "stretch", "size": packed},
        },
        "sampler": {"kind": "plain", "batch": BATCH},
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


def losses_and_bundle(experiment: Experiment, result: TrainResult) -> Values:
    """Returns each part of the objective as the log last saw it, and where the model lies."""
    del experiment
    folder = result.bundle.parent
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    parts = [line["parts"] for line in lines if line["kind"] == "step"][-1]
    return {
        "losses": {name: round(value, 5) for name, value in parts.items()},
        "bundle": str(result.bundle.relative_to(folder.parent)),
    }


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--use-side", type=int, default=192, help="of photos the finished models describe")
    parser.set_defaults(
        runs=Path("build/delg-dolg-experiments"), trunk="resnet10t", side=80, epochs=10, precision="bf16"
    )
    main(parser, list(experiments()), recipe, losses_and_bundle)
