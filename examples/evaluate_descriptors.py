"""Measures descriptors that any program has computed: Recall@K, MAP@R and R-precision, with intervals.

    python examples/evaluate_descriptors.py DESCRIPTORS.npy LABELS.txt

DESCRIPTORS.npy holds a float32 row an image, LABELS.txt its label in the line of the same number.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from resight.evaluation import bootstrap, evaluate_labels


def main(descriptors: str, labels: str) -> None:
    """Reads, normalises, measures and prints."""
    vectors = np.load(descriptors).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = Path(labels).read_text(encoding="utf-8").splitlines()
    _, numbers = np.unique(names, return_inverse=True)

    # Every image is a query once, and is left out of its own answers.
    result = evaluate_labels(vectors, numbers, ks=(1, 2, 4, 8))
    for (k, value), hits in zip(result.recall, result.per_query.recall.T, strict=True):
        interval = bootstrap(hits.astype(np.float64), seed=0)
        print(f"R@{k:<11} {value:.4f}  {interval.low:.4f} to {interval.high:.4f}")
    interval = bootstrap(result.per_query.map_at_r, seed=0)
    print(f"MAP@R         {result.map_at_r:.4f}  {interval.low:.4f} to {interval.high:.4f}")
    print(f"R-precision   {result.r_precision:.4f}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
