"""Unit vectors in clusters, exact as float16, so that an index holds the very numbers of the test."""

from __future__ import annotations

import numpy as np


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float16).astype(np.float32)


def clusters(count, size, dim, *, seed=0, spread=0.5):
    """``count`` clusters of ``size`` points each, shuffled."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((count, 1, dim))
    points = centres + spread * rng.standard_normal((count, size, dim))
    return unit(rng.permutation(points.reshape(-1, dim)))
