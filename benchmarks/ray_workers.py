"""Photos a second described by a Ray cluster of one and of two processors, and by as many threads alone.

    python benchmarks/ray_workers.py [--photos 128] [--rounds 3] [--json FILE]

Rendered photos of 640 pixels, the model ``sift``. A cluster has one worker a processor. Rounds of all ways
alternate, so that what else the machine does falls on each; photos a second are the median of the rounds. The
clock starts when the first batch of each worker is described, or the first photo of the threads, as a cluster
starts once; these are not counted. Photos come in the order of their sizes, as Ray's batches do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2

from resight.models import Model, load_model
from resight.models.extract import extract
from resight.pipelines.on_ray import BATCH, OnRay
from resight.scenes import write_collection


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    # As in a worker: one of our threads is one thread.
    cv2.setNumThreads(1)
    model = load_model("sift")
    with tempfile.TemporaryDirectory() as folder:
        write_collection(Path(folder), places=options.photos // 4, views=4, distractors=0, side=640)
        photos = sorted(Path(folder).glob("*.jpg"), key=lambda photo: photo.stat().st_size)
        ways: dict[str, Callable[[], float]] = {
            "1 thread": lambda: rate(extract(photos, model, workers=1), 1),
            "2 threads": lambda: rate(extract(photos, model, workers=2), 1),
            "1 Ray worker": lambda: rate_on_ray(photos, model, workers=1),
            "2 Ray workers": lambda: rate_on_ray(photos, model, workers=2),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                rates[name].append(way())
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "load": round(os.getloadavg()[0], 1),
        "photos": len(photos),
        "rounds": options.rounds,
        "photos_a_second": {name: round(statistics.median(each), 1) for name, each in rates.items()},
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


def rate_on_ray(photos: Sequence[Path], model: Model, *, workers: int) -> float:
    """Returns photos a second of a cluster with as many processors as workers."""
    # By default Ray's workers give way to other programs; the threads here do not.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray's spelling)
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    try:
        on_ray = OnRay("ray", model=model.name, fingerprint=model.fingerprint)
        return rate(on_ray(photos, model), BATCH * workers)
    finally:
        ray.shutdown()


def rate(found: Iterator[object], before: int) -> float:
    """Returns photos a second after the first ``before`` of them."""
    next(found)
    started = time.perf_counter()
    left = 1 + sum(1 for _ in found) - before
    return left / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
