"""A small labelled set of made photos and a model that looks at their mean colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from resight import images
from resight.datasets import Benchmark, labelled
from resight.features import ImageFeatures
from resight.models import LocalSource, Model, Traits


def grid_model(describer=None, *, codec=None, **options) -> Model:
    """Returns the model of a `GridDescriber`, or of another."""
    return Model(describer or GridDescriber(**options), name="grid", codec=codec)


@dataclass
class GridDescriber:
    """Describes a photo by the mean colours of a grid of its parts: a real describer, small and exact."""

    side: int = 3
    max_side: int = 64
    scales: tuple[float, ...] = (1.0,)
    local: LocalSource | None = None
    fingerprint: str = "9" * 16

    @property
    def traits(self) -> Traits:
        return Traits(
            "grid",
            self.side**2 * 3,
            self.max_side,
            scales=self.scales,
            local=self.local,
            fingerprint=self.fingerprint,
        )

    def to_bundle(self) -> None:
        return None

    def extract(self, photos: Sequence[images.Photo]) -> list[ImageFeatures]:
        return [self._describe(photo) for photo in photos]

    def _describe(self, photo: images.Photo) -> ImageFeatures:
        small = Image.fromarray(photo.pixels).resize((self.side, self.side), Image.Resampling.BOX)
        values = np.asarray(small, dtype=np.float32).ravel() - 127.3
        return ImageFeatures(values / np.linalg.norm(values))


def write_photos(root: Path, *, classes: int = 4, each: int = 5) -> list[tuple[str, int]]:
    """Writes photos of one pattern a class, ever noisier; returns the path and the class of each."""
    generator = np.random.default_rng(0)
    written = []
    for label in range(classes):
        hue = generator.integers(0, 255, (6, 6, 3))
        for number in range(each):
            noise = generator.normal(0, 25 * number, (6, 6, 3))
            pixels = np.clip(hue + noise, 0, 255).astype(np.uint8).repeat(10, 0).repeat(8, 1)
            path = root / f"classes/class & {label}/{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path, quality=95)
            written.append((path.relative_to(root).as_posix(), label))
    return written


def made_benchmark(root: Path, *, boxes=None, queries=None, gallery=None) -> Benchmark:
    """Returns a benchmark of freshly written photos, the same ones to train and to test on."""
    written = write_photos(root)
    paths, labels = zip(*written, strict=True)
    names = {label: f"class & {label}" for label in labels}
    test = labelled(
        "made test", root, paths, labels, names=names, boxes=boxes, queries=queries, gallery=gallery
    )
    return Benchmark("made", test, test, (1, 2, 4))
