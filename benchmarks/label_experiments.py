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
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from experiment_runs import Experiment, Values, main, options

if TYPE_CHECKING:
    from resight.training import TrainResult

BATCH, PER_CLASS = 112, 4
DIM = 384
ORDERS = ("S", "M", "G", "SM", "MS", "SG", "GS", "MG", "GM", "SMG", "MSG", "GSM")

HARD: Values = {"kind": "batch_hard_triplet", "margin": 0.1}
# Proxies stand in for other photos of a class: any photos make a batch. They learn faster than the network.
WITH_PROXIES: Values = {
    "sampler": {"kind": "plain", "batch": BATCH},
    "groups": [{"pattern": "objective.*", "rate": 10.0}],
}


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
    for kind in ("normalised_softmax", "hard_triple", "proxy_nca", "batch_hard_triplet"):
        changes = {} if kind == "batch_hard_triplet" else WITH_PROXIES
        yield Experiment("softtriple", kind, embedding(), [part({"kind": kind})], changes=changes)
    for centres in (1, 2, 5, 10):
        for tau in (0.0, 0.2):
            loss: Values = {"kind": "soft_triple", "centres": centres, "tau": tau}
            name = f"K={centres} tau={tau}"
            yield Experiment("centres", name, embedding(), [part(loss)], changes=WITH_PROXIES)


def recipe(arguments: argparse.Namespace) -> Values:
    packed = arguments.side * 9 // 8
    return {
        "data": {
            "benchmark": arguments.set,
            "root": str(arguments.root),
            "packed": {"file": str(arguments.runs / f"packed{packed}"), "side": packed},
            "train_transform": {"kind": "resize_random_crop", "size": arguments.side, "resize": packed},
            "test_transform": {"kind": "stretch", "size": arguments.side},
        },
        "sampler": {"kind": "m_per_class", "batch": BATCH, "per_class": PER_CLASS},
        "optimiser": {"kind": "adam", "learning_rate": 1e-3, "weight_decay": 1e-4},
        "schedule": {"kind": "cosine", "warm_up": 1.0},
        "training": {"epochs": arguments.epochs, "workers": 1, "precision": arguments.precision},
        "selection": {"on": "test", "every": arguments.epochs},
        "log": {"every": 50, "tensorboard": False, "checkpoint_epochs": 0},
    }


def distinct_centres(experiment: Experiment, result: TrainResult) -> Values:
    """Returns how many classes have 1, 2, ... of their centres left, for SoftTriple."""
    del experiment
    counts = [list(each) for each in result.distinct_centres.values()]
    return {"distinct_centres": counts[0]} if counts else {}


if __name__ == "__main__":
    parser = options(__doc__)
    parser.set_defaults(
        runs=Path("build/label-experiments"), trunk="resnet18", side=80, epochs=40, precision="fp32"
    )
    main(parser, list(experiments()), recipe, distinct_centres)
