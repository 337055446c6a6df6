"""Photos a second described by one and two workers of a Ray cluster of this machine, and by threads alone.

    python benchmarks/ray_workers.py [--photos 128] [--rounds 2] [--json FILE]

Rendered photos of 640 pixels, the model ``sift``. Rounds of all ways alternate, so that what else the machine
does falls on each; photos a second are the median of the rounds. The clock starts when the first photos are
described, as a cluster starts once: what was described until then (a batch a worker, or a photo) is not
counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from resight.models import load_model
from resight.models.extract import extract
from resight.pipelines.on_ray import BATCH, OnRay
from resight.scenes import write_collection


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    import ray

    ray.init(include_dashboard=False, log_to_driver=False)
    model = load_model("sift")
    with tempfile.TemporaryDirectory() as folder:
        write_collection(Path(folder), places=options.photos // 4, views=4, distractors=0, side=640)
        photos = sorted(map(str, Path(folder).glob("*.jpg")))
        on_ray = OnRay("ray", model=model.name, fingerprint=model.fingerprint)
        ways: dict[str, tuple[Callable[[], Iterator[object]], int]] = {
            "1 thread": (lambda: extract(photos, model, workers=1), 1),
            "2 threads": (lambda: extract(photos, model, workers=2), 1),
            "1 Ray worker": (lambda: on_ray(photos, model, workers=1), BATCH),
            "2 Ray workers": (lambda: on_ray(photos, model, workers=2), 2 * BATCH),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, (way, before) in ways.items():
                rates[name].append(rate(way(), before))
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


def rate(found: Iterator[object], before: int) -> float:
    """Returns photos a second after the first ``before`` of them."""
    next(found)
    started = time.perf_counter()
    left = 1 + sum(1 for _ in found) - before
    return left / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
