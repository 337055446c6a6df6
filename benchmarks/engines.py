"""How much of a bare engine's speed is left end to end: decode, resize, describe, store.

    python benchmarks/engines.py --photos DIR [--engines torch openvino onnx] [--networks resnet50@224 ...]

Weights are random, but those of efficientnet-lite0; without ``@`` it is the model of that name, at its sizes.
The bare engine runs the same photos, decoded and reduced before, in as many threads; end to end is
`Collection.add` of the files, reading is decoding and reducing them. All are repeated in turn, and the
fastest of each counts. Figures are ratios within one run; the machine's load stands beside them. ``ratio``
is by the clock, ``ratio of processor time`` is less touched by what else runs. ``with reading alone`` is what
would be left if all but the engine and reading cost nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from resight.collection import Collection, find_photos
from resight.errors import InvalidInput
from resight.files import available_cpus, in_threads
from resight.images import Photo, photo_of
from resight.models import Model, NetworkDescriber, load_model
from resight.models.engines import with_engine
from resight.networks import POOLINGS, Backbone, GeMNet, TrunkConfig
from resight.networks.gem import GeMNetConfig

Spent = tuple[float, float]
"""Seconds by the clock and of processor time."""

NETWORKS = (
    "resnet50@224",
    "resnet50@480",
    "efficientnet-lite0",
    "efficientnet-lite0@480",
    "vit_small_patch14_dinov2@224",
)


def made(name: str) -> Model:
    trunk, at, side = name.partition("@")
    if not at:
        return load_model(name)
    torch.manual_seed(1)
    if trunk.startswith("vit"):
        backbone = Backbone(trunk, out_indices=(-1,), whole=True)
        net = GeMNet(backbone, GeMNetConfig(POOLINGS.read({"kind": "trunk"})))
    else:
        config = TrunkConfig(trunk, pretrained=trunk == "efficientnet-lite0")
        net = GeMNet(config.build(), GeMNetConfig())
    return Model(NetworkDescriber(net, max_side=int(side), scales=(1.0,)), name=name)


def bare(model: Model, shown: Sequence[Photo]) -> Spent:
    start = now()
    for _ in in_threads(lambda photo: model.extract([photo]), shown, workers=available_cpus(), ahead=4):
        pass
    return since(start)


def read(side: int, photos: Sequence[Path]) -> Spent:
    start = now()
    for _ in in_threads(lambda path: photo_of(path, max_side=side), photos, workers=available_cpus()):
        pass
    return since(start)


def end_to_end(model: Model, photos: Sequence[Path]) -> Spent:
    with tempfile.TemporaryDirectory() as folder:
        collection = Collection.create(Path(folder) / "photos.resight", model=model)
        start = now()
        collection.add(list(photos))
        return since(start)


def fastest(run: Callable[[], Spent], repeats: int) -> Spent:
    clocks, processors = zip(*(run() for _ in range(repeats)), strict=True)
    return min(clocks), min(processors)


def now() -> Spent:
    return time.monotonic(), time.process_time()


def since(start: Spent) -> Spent:
    clock, processor = now()
    return clock - start[0], processor - start[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["torch", "openvino", "onnx"])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    photos = find_photos([given.photos])[: given.count]
    rows = []
    for network in given.networks:
        plain = made(network)
        shown = [photo_of(photo, max_side=plain.max_side) for photo in photos]
        expected = plain.describe([photo.pixels for photo in shown[:5]])
        for engine in given.engines:
            try:
                model = with_engine(plain, engine)
            except InvalidInput as error:
                rows.append({"network": network, "engine": engine, "refused": str(error)})
                continue
            found = model.describe([photo.pixels for photo in shown[:5]])
            alone = fastest(lambda model=model, shown=shown: bare(model, shown), given.repeats)
            reading = fastest(lambda side=plain.max_side: read(side, photos), given.repeats)
            whole = fastest(lambda model=model: end_to_end(model, photos), given.repeats)
            row = {
                "network": network,
                "engine": engine,
                "bare photos/s": round(len(photos) / alone[0], 2),
                "end to end photos/s": round(len(photos) / whole[0], 2),
                "ratio": round(alone[0] / whole[0], 3),
                "bare ms": round(1000 * alone[1] / len(photos), 1),
                "reading ms": round(1000 * reading[1] / len(photos), 1),
                "end to end ms": round(1000 * whole[1] / len(photos), 1),
                "ratio of processor time": round(alone[1] / whole[1], 3),
                "with reading alone": round(alone[1] / (alone[1] + reading[1]), 3),
                "least cosine": round(float(np.sum(found * expected, axis=1).min()), 7),
                "load": round(os.getloadavg()[0], 1),
                "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
            rows.append(row)
            print(row, flush=True)
            if given.json is not None:
                given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
