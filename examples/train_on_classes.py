"""Trains a descriptor on labelled photos, and measures it beside `sift` on classes it has not seen.

    python examples/train_on_classes.py PHOTOS [KEY.SUB=VALUE]...

PHOTOS holds ``train`` and ``test``, each with a folder of photos a class. Any key of the recipe may change:

    python examples/train_on_classes.py PHOTOS training.epochs=40 model.pooling='{kind: mac}'
"""

from __future__ import annotations

import sys
from pathlib import Path

import resight
from resight import datasets, evaluation
from resight.training import Recipe, train


def main(photos: str, *overrides: str) -> None:
    """Trains, evaluates two models, and prints whether they differ."""
    recipe = Recipe.from_yaml("small-gem", ["benchmark=folder", f"data.root={photos}", *overrides])
    trained = train(recipe, Path("runs/own"))

    benchmark = datasets.load("folder", Path(photos))
    before, after = (
        evaluation.evaluate_benchmark(resight.load_model(name), benchmark, clusters=False)
        for name in ("sift", trained.bundle)
    )
    print("measure        sift  trained  difference, 95 % interval")
    for row in evaluation.compare(before, after).measures:
        low, high = row.test.difference.low, row.test.difference.high
        print(f"{row.name:12}  {row.first:.3f}    {row.second:.3f}  {low:+.3f} to {high:+.3f}")
    print(f"The model is in {trained.bundle}: resight index PHOTOS --model {trained.bundle}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
