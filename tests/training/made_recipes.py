"""Small coloured photos in class folders, and a recipe that trains on them in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

RECIPE = """
name: made
data:
  benchmark: folder
  root: {photos}
  train_transform: {{kind: resize_random_crop, size: 32, resize: 36}}
  test_transform: {{kind: stretch, size: 32}}
sampler: {{kind: m_per_class, batch: 12, per_class: 3}}
model: {{kind: embedding, trunk: {{name: test_resnet, pretrained: false}}, dim: 16}}
objective:
  - {{name: ranking, loss: {{kind: multi_similarity}}}}
optimiser: {{kind: adam, learning_rate: 1e-3}}
training: {{epochs: 2, workers: 1, device: cpu, precision: fp32}}
log: {{tensorboard: false, every: 1}}
"""


def write_photos(folder: Path, *, train: int = 10, test: int = 3, each: int = 6) -> None:
    """Writes class folders of noisy patterns, one pattern a class."""
    rng = np.random.default_rng(0)
    for number in range(train + test):
        place = folder / ("train" if number < train else "test") / f"class{number:02d}"
        place.mkdir(parents=True)
        pattern = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        whole = np.asarray(Image.fromarray(pattern).resize((48, 40), Image.Resampling.NEAREST)).astype(int)
        for photo in range(each):
            noisy = whole + rng.integers(-60, 60, whole.shape)
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(place / f"{photo}.png")


def write_recipe(folder: Path, photos: Path) -> Path:
    """Writes the recipe for those photos and returns its path."""
    path = folder / "made.yaml"
    path.write_text(RECIPE.format(photos=photos), encoding="utf-8")
    return path
