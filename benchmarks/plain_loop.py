"""The same training twice: `resight.training`, and pytorch-metric-learning's own classes in a plain loop.

    python benchmarks/plain_loop.py ROOT [--seeds 3] [--epochs 10] [--json FILE]

ROOT is a table set such as grocery. Trunk, head, photos, crops, batches (m a class), loss (multi-similarity
over mined pairs), optimiser and schedule are the same; each side draws its own random numbers. The plain
loop is what their documentation shows: a ``Dataset`` over decoded photos in memory, a ``DataLoader`` with one
worker, ``MPerClassSampler``, ``MultiSimilarityMiner``, ``MultiSimilarityLoss``. Both read the photos from one
packed array, so nobody decodes, and both are measured by the same code on the test classes. Runs take turns,
one at a time; the rate is that of all epochs but the first. A third side is their loop on our sampler's
batches: ours draw every photo about equally often, theirs every class.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from resight.datasets import load
from resight.evaluation import evaluate_labels
from resight.networks.trunks._timm import import_timm
from resight.training import Recipe, train
from resight.training.packed import PackedImages
from resight.training.samplers import MPerClassSampler

TRUNK, DIM, BATCH, PER_CLASS, SIDE, PACKED = "resnet10t", 128, 112, 4, 64, 72
OURS, THEIRS = "resight", "pytorch-metric-learning"
ON_OUR_BATCHES = f"{THEIRS}, on our batches"
RATE, DECAY, WARM_UP = 1e-3, 1e-4, 1.0
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def ours(root: Path, packed: Path, runs: Path, seed: int, epochs: int) -> tuple[float, float, float]:
    recipe = {
        "name": "plain loop",
        "seed": seed,
        "data": {
            "benchmark": "table",
            "root": str(root),
            "packed": {"file": str(packed), "side": PACKED},
            "train_transform": {"kind": "resize_random_crop", "size": SIDE, "resize": PACKED},
            "test_transform": {"kind": "stretch", "size": SIDE},
        },
        "sampler": {"kind": "m_per_class", "batch": BATCH, "per_class": PER_CLASS},
        "model": {"kind": "embedding", "trunk": {"name": TRUNK, "pretrained": False}, "dim": DIM},
        "objective": [{"name": "ranking", "output": "descriptor", "loss": {"kind": "multi_similarity"}}],
        "optimiser": {"kind": "adam", "learning_rate": RATE, "weight_decay": DECAY, "decay": "all"},
        "schedule": {"kind": "cosine", "warm_up": WARM_UP},
        "training": {"epochs": epochs, "workers": 1},
        "selection": {"on": "test", "every": epochs},
        "log": {"every": 50, "tensorboard": False, "checkpoint_epochs": 0},
    }
    result = train(Recipe.from_values(recipe), runs / f"ours-{seed}-{time.time_ns()}")
    last = result.history[-1]
    return last["recall_at_1"], last["map_at_r"], result.images_per_second


class Photos(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Decoded photos in memory, cropped and mirrored at random as they are read."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        from torchvision.transforms import v2

        self.pixels, self.labels = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2), labels
        self.transform = v2.Compose(
            [
                v2.RandomCrop(SIDE),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.pixels[number]), int(self.labels[number])


class OurBatches(torch.utils.data.Sampler[list[int]]):
    """The batches of our sampler, epoch after epoch."""

    def __init__(self, sampler: MPerClassSampler) -> None:
        self.sampler, self.epoch = sampler, -1

    def __len__(self) -> int:
        return self.sampler.batches_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        self.epoch += 1
        return iter(self.sampler.batches(self.epoch).tolist())


class Net(nn.Module):
    """Trunk, mean over the map, linear layer."""

    def __init__(self) -> None:
        super().__init__()
        timm = import_timm("this benchmark")
        self.trunk = timm.create_model(TRUNK, pretrained=False, num_classes=0)
        self.linear = nn.Linear(self.trunk.num_features, DIM)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns unit descriptors."""
        return nn.functional.normalize(self.linear(self.trunk(images)))


def theirs(
    root: Path, packed: Path, seed: int, epochs: int, *, our_batches: bool
) -> tuple[float, float, float]:
    import_timm("this benchmark")
    from pytorch_metric_learning import losses, miners, samplers

    torch.manual_seed(seed)
    benchmark, photos = load("table", root), PackedImages(packed)
    train_set = Photos(photos.pixels[photos.rows(benchmark.train)], benchmark.train.labels)
    labels = benchmark.train.labels
    if our_batches:
        batches = OurBatches(MPerClassSampler(labels, BATCH, PER_CLASS, seed))
        loader = torch.utils.data.DataLoader(
            train_set, batch_sampler=batches, num_workers=1, persistent_workers=True
        )
    else:
        sampler = samplers.MPerClassSampler(
            labels, PER_CLASS, batch_size=BATCH, length_before_new_iter=len(train_set)
        )
        loader = torch.utils.data.DataLoader(
            train_set,
            batch_size=BATCH,
            sampler=sampler,
            num_workers=1,
            drop_last=True,
            persistent_workers=True,
        )
    net = Net().train()
    miner, loss_of = miners.MultiSimilarityMiner(epsilon=0.1), losses.MultiSimilarityLoss(2, 50, 0.5)
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE, weight_decay=DECAY)
    steps = len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _factor(step, warm_up=WARM_UP * steps, steps=epochs * steps)
    )
    seconds: list[float] = []
    for _ in range(epochs):
        started = time.perf_counter()
        for pixels, targets in loader:
            descriptors = net(pixels)
            loss = loss_of(descriptors, targets, miner(descriptors, targets))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        seconds.append(time.perf_counter() - started)
    found = evaluate_labels(_describe(net, photos, benchmark.test), benchmark.test.labels)
    recall = dict(found.recall)[1]
    return recall, found.map_at_r, steps * BATCH / statistics.mean(seconds[1:])


def _factor(step: int, *, warm_up: float, steps: int) -> float:
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


@torch.inference_mode()
def _describe(net: Net, photos: PackedImages, test: object) -> np.ndarray:
    import cv2

    net.eval()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    described = []
    pixels = photos.pixels[photos.rows(test)]  # type: ignore[arg-type]  # a set of the benchmark
    for start in range(0, len(pixels), BATCH):
        batch = np.stack(
            [
                cv2.resize(each, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                for each in pixels[start : start + BATCH]
            ]
        )
        images = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255 - mean) / std
        described.append(net(images).numpy())
    return np.concatenate(described)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--runs", type=Path, default=Path("build/plain-loop"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    packed = arguments.runs / f"{arguments.root.name}-{PACKED}.pack"
    rows: dict[str, list[tuple[float, float, float]]] = {OURS: [], THEIRS: [], ON_OUR_BATCHES: []}
    for seed in range(arguments.seeds):
        rows[OURS].append(ours(arguments.root, packed, arguments.runs, seed, arguments.epochs))
        for name, our_batches in ((THEIRS, False), (ON_OUR_BATCHES, True)):
            rows[name].append(theirs(arguments.root, packed, seed, arguments.epochs, our_batches=our_batches))
        for name, values in rows.items():
            print(name, values[-1], flush=True)
    result = {
        "set": arguments.root.name,
        "machine": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
        "settings": f"{TRUNK}, {SIDE} px, batches of {BATCH}, {arguments.epochs} epochs, float32",
        "runs": {
            side: [
                {"recall_at_1": round(a, 4), "map_at_r": round(b, 4), "images_per_second": round(c, 1)}
                for a, b, c in values
            ]
            for side, values in rows.items()
        },
        "rate_ratio": [round(a[2] / b[2], 3) for a, b in zip(rows[OURS], rows[THEIRS], strict=True)],
    }
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
