"""How fast negatives are mined: photos a second beside describing one by one, and the share of an epoch.

    python benchmarks/mining.py TUPLES [--photos 240] [--json FILE]

TUPLES is a folder of ``resight tuples``. The network and settings are those of the recipe ``small-gem-sfm``
in float32 on one thread. Mining describes in batches of photos of one size; one by one is how the authors'
code does it. Seconds are of the processor, the photos' decoding included, both ways in turn, twice, the
faster taken. An epoch mines a pool of all photos for as many pairs as there are photos in the pool divided
by ten, as in the paper's 2,000 pairs for 20,000 photos.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from resight.datasets.tuples import read_tuple_benchmark
from resight.training import Recipe, train
from resight.training.describing import Describing, Mining
from resight.training.loading import PhotoFiles
from resight.training.network import Network, build_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tuples", type=Path)
    parser.add_argument("--photos", type=int, default=240)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    changes = [f"data.root={arguments.tuples}", "training.precision=fp32", "use.whitening=null"]
    settings = Recipe.from_yaml("small-gem-sfm", changes)
    images = read_tuple_benchmark(arguments.tuples).train
    rows = np.random.default_rng(0).permutation(len(images))[: arguments.photos]
    shown = settings.data.test_transform.make()
    network = Network(build_model(settings, classes=2), ("descriptor",)).eval()
    describing = Describing(PhotoFiles(images), shown, rank=0, world=1, device=torch.device("cpu"))

    def together() -> torch.Tensor:
        return describing.describe(network, rows)

    def one_by_one() -> torch.Tensor:
        return torch.cat([describing.describe(network, rows[i : i + 1]) for i in range(len(rows))])

    apart = float((together() - one_by_one()).abs().max())
    seconds = {
        name: min(timed(way) for _ in range(2))
        for name, way in (("together", together), ("one by one", one_by_one))
    }
    result = {
        "photos": len(rows),
        "photos_a_second": {name: round(len(rows) / value, 1) for name, value in seconds.items()},
        "gain": round(seconds["one by one"] / seconds["together"], 2),
        "largest_difference": apart,
        "share_of_epoch": round(share(changes, len(images)), 3),
    }
    print(json.dumps(result, indent=2))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def share(changes: list[str], pool: int) -> float:
    """Returns which part of an epoch's seconds mining takes."""
    settings = Recipe.from_yaml(
        "small-gem-sfm",
        [*changes, "training.epochs=1", f"sampler.pool={pool}", f"sampler.queries={max(10, pool // 10)}"],
    )
    spent, mine = [0.0, 0.0], Mining.mine

    def noted(self: Mining, epoch: int, network: Network) -> None:
        spent[1] = time.process_time()
        mine(self, epoch, network)
        spent[0] += time.process_time() - spent[1]

    Mining.mine = noted  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            train(settings, Path(folder) / "run")
    finally:
        Mining.mine = mine  # type: ignore[method-assign]
    return spent[0] / (time.process_time() - spent[1])


if __name__ == "__main__":
    main()
