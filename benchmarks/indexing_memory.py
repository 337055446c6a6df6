"""The memory that indexing takes, for photos of several sizes: the highest resident set of a process each.

    python benchmarks/indexing_memory.py [--models sift gem:resnet18 ...] [--sides 3000 10000]
        [--budgets 1000 400] [--workers 8] [--json FILE]

Photos are made, half JPEG and half PNG, 16 of each size, 8 of 10,000 pixels. ``gem:TRUNK`` is GeM over a
trunk of timm with random weights, at its default sizes. The resident set once the model is loaded stands
beside the peak. A budget is ``memory`` of `Collection.add`, in MB; as many pixels are let in as it holds, at
most the usual number.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from memory import resident_bytes
from PIL import Image

MODELS = (
    "sift",
    "efficientnet-lite0",
    "efficientnet-lite0+sift",
    "efficientnet-lite0+xfeat",
    "gem:resnet18",
    "gem:resnet50",
)
SIDES = (3000, 10000)
BUDGETS = (1000, 400)
PHOTOS, FEW, LARGE = 16, 8, 10000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES)
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS, help="MB")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/indexing_memory.json"))
    parser.add_argument("--photos", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.photos is not None:
        (budget,) = arguments.budgets
        print(json.dumps(measured(arguments.models[0], arguments.photos, budget, arguments.workers)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side in arguments.sides:
            make(Path(folder, str(side)), side)
        for model, side, budget in itertools.product(arguments.models, arguments.sides, arguments.budgets):
            command = [sys.executable, __file__, "--models", model, "--photos", f"{folder}/{side}"]
            command += ["--budgets", str(budget), "--workers", str(arguments.workers)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rows.append({"model": model, "side": side, "budget MB": budget, **found})
            print(rows[-1], flush=True)
            arguments.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


def make(folder: Path, side: int) -> None:
    """Writes photos of that long side, 4 to 3, with coarse and fine patches."""
    folder.mkdir()
    for number in range(FEW if side >= LARGE else PHOTOS):
        rng = np.random.default_rng([side, number])
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        fine = Image.fromarray(rng.integers(0, 256, (150, 200, 3), dtype=np.uint8))
        size = (side, side * 3 // 4)
        photo = Image.blend(*(each.resize(size, Image.Resampling.BICUBIC) for each in (coarse, fine)), 0.4)
        photo.save(folder / f"{number:03d}.{'png' if number % 2 else 'jpg'}", compress_level=1)


def measured(name: str, photos: Path, budget: int, workers: int) -> dict[str, float]:
    """Returns the resident set before and the highest one after, in MB of 10^6 bytes."""
    from resight.collection import Collection
    from resight.images import MAX_PIXELS, PIXEL_BYTES
    from resight.models import Model, load_model

    if name.startswith("gem:"):
        from resight.models import NetworkDescriber
        from resight.networks import TrunkConfig
        from resight.networks.gem import GeMNet, GeMNetConfig

        net = GeMNet(TrunkConfig(name.removeprefix("gem:"), pretrained=False).build(), GeMNetConfig())
        model = Model(NetworkDescriber(net), name=name)
    else:
        model = load_model(name)
    before = resident_bytes("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        memory = budget * 10**6
        report = Collection.create(Path(folder, "photos.resight"), model=model).add(
            photos, workers=workers, memory=memory, max_pixels=min(MAX_PIXELS, memory * 4 // 5 // PIXEL_BYTES)
        )
    if report.broken:
        raise SystemExit(str(report.broken))
    peak = resident_bytes("VmHWM")
    return {"threads": workers, "MB before": before // 10**6, "MB at most": peak // 10**6}


if __name__ == "__main__":
    main()
