"""ArcFace over 200,000 classes, its weights dealt out to processes: equality, memory, time of a step.

    python benchmarks/sharded_classes.py [--classes 200000] [--dim 512] [--batch 128]

Each process has the whole batch, as in training. Memory is what a process holds after a step of SGD with
momentum beyond what it held before the loss was made: weights, gradients and momentum of its classes.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
from pathlib import Path

import psutil
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing

from resight.losses import ArcFace
from resight.losses.shard import shard_classes

STEPS = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--batch", type=int, default=128)
    results = Path(__file__).parent / "results"
    parser.add_argument("--output", type=Path, default=results / "sharded_classes.json")
    arguments = parser.parse_args()
    sizes = arguments.classes, arguments.dim, arguments.batch
    runs = []
    for world, share in ((1, 1.0), (2, 1.0), (4, 1.0), (2, 0.1)):
        with tempfile.TemporaryDirectory() as folder:
            multiprocessing.spawn(work, (world, share, sizes, folder), nprocs=world)
            parts = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(world)]
        squares = sum(part["gradient_square"] for part in parts)
        runs.append(
            {
                "processes": world,
                "class_share": share,
                "value": parts[0]["value"],
                "gradient_norm": squares**0.5,
                "descriptor_gradient_norm": parts[0]["descriptor_gradient_norm"],
                "megabytes_a_process": round(max(part["megabytes"] for part in parts), 1),
                "processor_seconds_a_step": round(sum(part["seconds"] for part in parts) / world, 3),
            }
        )
        print(json.dumps(runs[-1]), flush=True)
    named = dict(zip(("classes", "dim", "batch"), sizes, strict=True))
    result = {**named, "load": os.getloadavg()[0], "runs": runs}
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


def work(rank: int, world: int, share: float, sizes: tuple[int, int, int], folder: str) -> None:
    """Writes what one process saw."""
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    classes, dim, batch = sizes
    generator = torch.Generator().manual_seed(1)
    descriptors = torch.randn(batch, dim, generator=generator).requires_grad_()
    labels = torch.randint(classes, (batch,), generator=generator)
    before = psutil.Process().memory_info().rss
    loss = ArcFace(classes, dim, generator=torch.Generator().manual_seed(0))
    if world > 1 or share < 1:
        shard_classes(loss, rank=rank, world=world, share=share)
    optimiser = torch.optim.SGD(loss.parameters(), lr=1e-9, momentum=0.9)
    gc.collect()
    found, seconds = {}, []
    for step in range(STEPS):
        started = time.process_time()
        optimiser.zero_grad(set_to_none=False)
        descriptors.grad = None
        value = loss(descriptors, labels)
        value.backward()
        optimiser.step()
        seconds.append(time.process_time() - started)
        if step == 0:
            found = {
                "value": value.item(),
                "gradient_square": loss.weights.grad.double().square().sum().item(),
                "descriptor_gradient_norm": descriptors.grad.norm().item(),
            }
    found |= {"megabytes": (psutil.Process().memory_info().rss - before) / 1e6, "seconds": min(seconds)}
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
