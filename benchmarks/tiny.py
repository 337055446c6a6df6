"""A tiny set of photos and a recipe that trains on it in seconds, for benchmarks that stop and damage it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["RECIPE", "write_photos", "write_recipe"]

RECIPE = """
name: tiny
data:
  benchmark: folder
  root: {photos}
  packed: {{side: 40}}
  train_transform: {{kind: resize_random_crop, size: 32, resize: 40}}
  test_transform: {{kind: stretch, size: 32}}
sampler: {{kind: m_per_class, batch: 8, per_class: 2}}
model:
  kind: delg
  trunk: {{name: test_resnet, pretrained: false}}
  dim: 16
  local_dim: 8
  attention_dim: 8
objective:
  - {{name: ranking, loss: {{kind: arcface, scale: 4, margin: 0.1, rule: delg, learn_scale: true}}}}
  - {{name: attention, output: logits, loss: {{kind: classification, temperature: 1.0, smoothing: 0.0}}}}
  - {{name: reconstruction, output: reconstruction, loss: {{kind: mean}}, weight: 10}}
optimiser: {{kind: adam, learning_rate: 1e-3}}
selection: {{on: validation, share: 0.5}}
training: {{epochs: 2, workers: 1, device: cpu, precision: fp32}}
log: {{tensorboard: false, every: 1}}
use: {{max_side: 64, scales: [1.0]}}
"""


def write_photos(folder: Path) -> None:
    """Writes classes for training and for test, two photos of blocks each."""
    rng = np.random.default_rng(0)
    for number in range(10):
        for photo in range(2):
            path = folder / ("train" if number < 8 else "test") / str(number) / f"{photo}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(blocks).resize((96, 80), Image.Resampling.NEAREST).save(path)


def write_recipe(path: Path, photos: Path) -> None:
    """Writes a recipe that trains on such photos."""
    path.write_text(RECIPE.format(photos=photos), encoding="utf-8")
