"""Loads every name of ``resight models`` with random weights, and describes photos of odd sizes by it.

    python benchmarks/every_name.py [--only PART] [--json FILE]

Published weights are not fetched: trunks are built by the code that loads them, with timm's random weights;
the authors' checkpoints are files of their keys and shapes (``tests/models/published``), converted and kept
under their name in a cache of their own. A descriptor must be of unit length, as long as the list says, and
the same a second time.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from resight.models import Model, available, checkpoints, load_model
from resight.models.catalogue import SUFFIXES, find_trunk
from resight.models.checkpoints import Published, keep
from resight.networks.trunks._timm import import_timm
from resight.networks.trunks.backbone import Backbone

SIZES = ((75, 101), (37, 250), (9, 13))
PAIRS = (
    "efficientnet-lite0+sift",
    "efficientnet-lite0+xfeat",
    "dinov2-small+sift",
    "siglip2-naflex-base+sift:local",
)
LAYOUTS = {
    "sfm120k-vgg16-gem": "cirtorch-vgg16-gem",
    "cvnet-resnet50": "cvnet-r50",
    "cvnet-resnet101": "cvnet-r101",
    "superglobal-resnet50": "cvnet-r50",
    "superglobal-resnet101": "cvnet-r101",
    "dolg-resnet50": "dolg-r50",
    "dolg-resnet101": "dolg-r101-aspp",
}
MADE = Path(__file__).parents[1] / "tests" / "models" / "published"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="names with this in them")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dims = {entry.name: entry.dim for entry in available()}
    names = [*dims, *(f"dinov2-small{suffix}" for suffix in SUFFIXES), *PAIRS]
    found = {}
    for name in [each for each in names if arguments.only in each]:
        torch.manual_seed(0)
        model = loaded(name)
        if name in dims and model.dim != dims[name]:
            raise SystemExit(f"{name} has {model.dim} dimensions, and the list says {dims[name]}")
        found[name] = describes(model)
        print(name, found[name], flush=True)
        del model
        gc.collect()
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def loaded(name: str) -> Model:
    """Returns the model of a name, as `load_model` loads it, with random weights."""
    published = checkpoints.checkpoints().get(name)
    if published is not None:
        with tempfile.TemporaryDirectory() as home, patch.object(Path, "home", lambda: Path(home)):
            torch.save(checkpoint(published), Path(home, "made.pth"))
            keep(published, Path(home, "made.pth"))
            return load_model(name)
    if find_trunk(name.partition("+")[0]) is None:
        return load_model(name)
    build = Backbone.__init__

    def random(self: Backbone, trunk: str, **options: object) -> None:
        build(self, trunk, **(options | {"pretrained": False}))

    with patch.object(Backbone, "__init__", random):
        return load_model(name)


def checkpoint(published: Published) -> dict[str, object]:
    """Returns what a file of the authors holds, with random tensors."""
    if published.name in LAYOUTS:
        sys.path.insert(0, str(MADE))
        import conftest

        state = conftest._random_state(LAYOUTS[published.name])
        if published.family != "cirtorch":
            return {"model_state": state}
        meta = conftest._meta_of(LAYOUTS[published.name])
    else:
        import_timm("this check")
        import torchvision

        architecture = published.trunk.partition(".")[0]
        layers = list(getattr(torchvision.models, architecture)(weights=None).children())[:-2]
        state = {f"features.{key}": value for key, value in nn.Sequential(*layers).state_dict().items()}
        state["pool.p"] = torch.full((1,), 2.7)
        meta = json.loads((MADE / "cirtorch-resnet50-gem-w.json").read_text())["meta"] | {
            "architecture": architecture
        }
        if published.whitening is None:
            state |= {"whiten.weight": torch.eye(2048), "whiten.bias": torch.zeros(2048)}
        else:
            meta |= {"whitening": False}
    if published.whitening is not None:
        whitening = {"m": np.zeros((published.dim, 1)), "P": np.eye(published.dim)}
        meta |= {"Lw": {published.whitening: {"ss": whitening, "ms": whitening}}}
    return {"state_dict": state, "meta": meta}


def describes(model: Model) -> list[tuple[int, int]]:
    """Returns the sizes of the photos that it described."""
    random = np.random.default_rng(0)
    for size in SIZES:
        photo = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        one, again = model.describe([photo, photo])
        if not (len(one) == model.dim and abs(np.linalg.norm(one) - 1) < 1e-4 and (one == again).all()):
            raise SystemExit(f"{model.name} describes a photo of {size} by {one}, and again by {again}")
    return list(SIZES)


if __name__ == "__main__":
    main()
