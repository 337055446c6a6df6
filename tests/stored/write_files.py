"""Writes the files that `test_stored.py` reads: one of each kind that people keep.

Run once, with the code of version 0.1.0; the files stay as they are from then on.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from resight import Collection, datasets, load_model
from resight.evaluation import evaluate_benchmark, write_result
from resight.images.scenes import render_view
from resight.models import CGD, DELG, DOLG, Embedding, GeMNet, GlobalDescriber, LocalDescriber, LocalSettings
from resight.models.backbone import Backbone
from resight.models.bundle import write
from resight.models.codec_bundle import with_codec
from resight.models.local_codec import BinaryCodec
from resight.models.pooling import RMAC, GeM
from resight.models.whitened import whiten_bundle
from resight.models.whitening import Whitening
from resight.training.packed import pack
from resight.training.recipe import Recipe

HERE = Path(__file__).parent / "files"
SMALL = {"channels": (2, 3, 2, 4), "stem_width": 2}


def trunk(*maps: int) -> Backbone:
    return Backbone("test_resnet", pretrained=False, out_indices=maps or (-1,), options=SMALL)


def noise(rng: np.random.Generator, net: nn.Module) -> nn.Module:
    """Weights of one seed; running variances positive."""
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                values = rng.normal(0, 0.7, tuple(tensor.shape))
                if name.endswith("bias"):
                    # Most units alive, so that the descriptors of two photos differ.
                    values = np.abs(values) + 0.2
                if name.endswith("running_var"):
                    values = np.abs(values) + 0.5
                if name.endswith(".p"):
                    values = 2.5 + np.abs(values)
                tensor.copy_(torch.from_numpy(values))
    return net


def write_bundles(folder: Path, photos: list[Path]) -> None:
    rng = np.random.default_rng(7)
    side = {"max_side": 96, "name": "stored", "licence": "Apache-2.0", "device": "cpu"}
    nets = {
        "gem": GeMNet(trunk(), GeM(channels=4), nn.Linear(4, 6)),
        "cgd": CGD(trunk(), "SGM", 12, classes=5),
        "embedding": Embedding(trunk(), RMAC(2), 7, bias=False),
        "dolg": DOLG(trunk(-2, -1), 10, global_dim=4, dilations=(2, 3)),
    }
    bundles = {
        name: GlobalDescriber(noise(rng, net), provenance=f"made for tests: {name}", **side).to_bundle()
        for name, net in nets.items()
    }
    delg = noise(rng, DELG(trunk(-2, -1), 8, local_dim=16, attention_dim=8, classes=5))
    settings = LocalSettings(scales=(0.5, 1.0), global_scales=(1.0,), max_features=40, threshold=0.0)
    model = LocalDescriber(delg, settings=settings, provenance="made for tests: delg", **side)
    bundles["delg"] = model.to_bundle()
    planes = rng.normal(0, 1, (16, 16)).astype(np.float32)
    codec = BinaryCodec(np.zeros(16, np.float32), planes)
    compact = with_codec(bundles["delg"], codec, fitted_to="made features")
    whitening = Whitening(
        rng.normal(0, 0.1, 6), rng.normal(0, 1, (4, 6)), "learned", 12, "made for tests: a learned whitening"
    )
    bundles["whitened"] = whiten_bundle(bundles["gem"], whitening)
    whitening = Whitening(rng.normal(0, 0.1, 8), rng.normal(0, 1, (5, 8)), "pca", 30, "a pca whitening")
    bundles["delg-whitened"] = whiten_bundle(compact, whitening)
    expected = {}
    for name, bundle in bundles.items():
        path = folder / f"{name}.safetensors"
        write(bundle, path)
        loaded = load_model(path)
        local = [
            each.local for each in loaded.extract([_photo(path, loaded.max_side) for path in photos[:2]])
        ]
        expected[name] = {
            "fingerprint": bundle.fingerprint,
            "descriptors": [[float(v) for v in row] for row in loaded.describe(photos[:2])],
            "local": [None if each is None else len(each) for each in local],
        }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n", encoding="utf-8")


def _photo(path: Path, side: int):
    from resight import images

    return images.read(path, max_side=side)


RECIPE = """\
name: stored
data:
  benchmark: folder
  root: photos
  train_transform: {kind: resize_random_crop, size: 32, resize: 36}
  test_transform: {kind: stretch, size: 32}
  packed: {file: stored.pack, side: 36}
sampler: {kind: m_per_class, batch: 4, per_class: 2}
model:
  kind: cgd
  trunk: {name: test_resnet, pretrained: false, options: {channels: [2, 3, 2, 4], stem_width: 2}}
  configuration: SG
  dim: 12
objective:
  - {name: ranking, loss: {kind: soft_triple, centres: 2}}
  - {name: branches, loss: {kind: batch_hard_triplet, margin: 0.2}, output: branches, weight: 0.5}
  - {name: auxiliary, loss: {kind: classification}, output: logits, weight: 0.1}
optimiser: {kind: adam, learning_rate: 1e-3}
training: {epochs: 2, workers: 1, device: cpu}
log: {tensorboard: false, every: 1}
"""


def main() -> None:
    """Writes everything anew into an empty folder."""
    shutil.rmtree(HERE, ignore_errors=True)
    photos = []
    for split, places in (("train", (0, 1)), ("test", (2, 3))):
        for place in places:
            for view in range(2):
                path = HERE / "photos" / split / f"place{place}" / f"{view}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = render_view(place, view, seed=3, side=80)
                Image.fromarray(pixels).save(path, quality=80)
                photos.append(path)
    (HERE / "bundles").mkdir()
    write_bundles(HERE / "bundles", photos)

    collection = Collection.create(HERE / "stored.resight", model="sift")
    chosen = [photos[0], photos[1], photos[4]]
    labels = {str(path): {"place": path.parent.name, "view": int(path.stem)} for path in chosen}
    collection.add(chosen, metadata=labels, workers=1)
    hits = collection.search(photos[0], top=8, verify=8)
    answer = [
        {
            "path": Path(hit.path).relative_to(HERE).as_posix(),
            "similarity": hit.similarity,
            "inliers": hit.inliers,
        }
        for hit in hits
    ]
    (HERE / "answer.json").write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")

    # Relative, as a person types it: no path of the machine that wrote the files.
    os.chdir(HERE)
    benchmark = datasets.load("folder", Path("photos"))
    pack(benchmark.train, "stored.pack", side=36)
    (HERE / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    recipe = Recipe.from_yaml(HERE / "recipe.yaml")
    recipes = {"stored": recipe.fingerprint}
    for path in sorted((HERE.parents[2] / "recipes").glob("*.yaml")):
        recipes[path.stem] = Recipe.from_yaml(path).fingerprint
    (HERE / "recipes.json").write_text(json.dumps(recipes, indent=1) + "\n", encoding="utf-8")

    model = load_model("bundles/gem.safetensors")
    result = evaluate_benchmark(model, benchmark, selection="made for tests")
    card = replace(result.card, model="bundles/gem.safetensors")
    write_result(replace(result, card=card), "result.json")


if __name__ == "__main__":
    main()
