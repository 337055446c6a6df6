"""The memory that indexing takes, for photos of several sizes: the highest resident set of a process each.

    python benchmarks/indexing_memory.py [--models sift gem:resnet18 ...] [--sides 800 3000] [--json FILE]

Photos are made, half JPEG and half PNG. ``gem:TRUNK`` is GeM over a trunk of timm with random weights, at its
default sizes. The resident set once the model is loaded stands beside the peak.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from memory import resident_bytes
from PIL import Image

MODELS = ("sift", "efficientnet-lite0", "efficientnet-lite0+sift", "efficientnet-lite0+xfeat", "gem:resnet18")
SIDES = (800, 3000)
PHOTOS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/indexing_memory.json"))
    parser.add_argument("--photos", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.photos is not None:
        print(json.dumps(measured(arguments.models[0], arguments.photos)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side in arguments.sides:
            make(Path(folder, str(side)), side)
        for model in arguments.models:
            for side in arguments.sides:
                command = [sys.executable, __file__, "--models", model, "--photos", f"{folder}/{side}"]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                rows.append({"model": model, "side": side, **json.loads(done.stdout.splitlines()[-1])})
                print(rows[-1], flush=True)
                arguments.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


def make(folder: Path, side: int) -> None:
    """Writes photos of that long side, 4 to 3, with coarse and fine patches."""
    folder.mkdir()
    for number in range(PHOTOS):
        rng = np.random.default_rng([side, number])
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        fine = Image.fromarray(rng.integers(0, 256, (150, 200, 3), dtype=np.uint8))
        size = (side, side * 3 // 4)
        photo = Image.blend(*(each.resize(size, Image.Resampling.BICUBIC) for each in (coarse, fine)), 0.4)
        photo.save(folder / f"{number:03d}.{'png' if number % 2 else 'jpg'}", compress_level=1)


def measured(name: str, photos: Path) -> dict[str, float]:
    """Returns the resident set before and the highest one after, in MB of 10^6 bytes."""
    from resight.collection import Collection
    from resight.files import available_cpus
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
        Collection.create(Path(folder, "photos.resight"), model=model).add(photos)
    peak = resident_bytes("VmHWM")
    return {"threads": available_cpus(), "MB before": before // 10**6, "MB at most": peak // 10**6}


if __name__ == "__main__":
    main()
