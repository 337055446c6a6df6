"""What an index takes and gives, measured on vectors of its own."""

from __future__ import annotations

import statistics
import time

import numpy as np
from jaxtyping import Float32

from resight.search.index import SearchIndex

__all__ = ["MEASURED_K", "median_milliseconds"]

MEASURED_K = 10
"""Answers of a search that is timed."""


def median_milliseconds(index: SearchIndex, queries: Float32[np.ndarray, "q dim"]) -> float:
    """Returns the median time of a search for ten answers; three searches come before, to warm up."""
    times = []
    for query in (*queries[:3], *queries):
        started = time.perf_counter()
        index.search(query[None], min(MEASURED_K, len(index)))
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times[len(queries[:3]) :])
