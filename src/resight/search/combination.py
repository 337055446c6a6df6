"""One query descriptor from several photos of the thing, and from photos it must not be."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from resight.errors import InvalidInput

__all__ = ["combine"]


def combine(
    wanted: Float32[np.ndarray, "p dim"],
    unwanted: Float32[np.ndarray, "u dim"],
    *,
    weight: float = 0.1,
) -> Float32[np.ndarray, " dim"]:
    """Returns ``L2(mean(wanted) - weight * mean(unwanted))``, unit length.

    Relevance feedback (J. J. Rocchio, in: The SMART Retrieval System, 1971) with means of unit descriptors.
    One wanted descriptor alone comes back as it is.

    The rule and its weight were chosen by ``benchmarks/query_combination.py``: four wanted photos instead of
    one lift the mean average precision of the `sift` model from 0.57 to 0.70 on rendered places and from 0.34
    to 0.48 on groceries; two unwanted ones at weight 0.1 add 0.01, and 0.003 to 0.008. Weight 0.25 adds 0.02
    and nothing, 0.5 and more cost; the largest score and taking the unwanted directions out are worse.

    Args:
        wanted: Unit length, at least one.
        unwanted: Unit length; may be empty, ``(0, dim)``.
        weight: Of the unwanted mean, at least 0.

    Raises:
        InvalidInput: Nothing is wanted, shapes differ, the weight cannot be used, or the photos cancel out.
    """
    if wanted.ndim != 2 or len(wanted) == 0 or unwanted.ndim != 2 or unwanted.shape[1] != wanted.shape[1]:
        raise InvalidInput(
            "a combined query needs one wanted descriptor or more and unwanted ones of the same length, "
            f"got {wanted.shape} and {unwanted.shape}"
        )
    if not 0 <= weight < np.inf:
        raise InvalidInput(f"the weight of unwanted photos must be finite and not negative, got {weight}")
    combined = wanted.mean(axis=0, dtype=np.float64)
    if len(unwanted):
        combined -= weight * unwanted.mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(combined))
    # Means of float32 unit vectors carry rounding errors of this size; below it there is no direction.
    if not length > 1e-6:
        raise InvalidInput(
            "the photos of this query cancel each other out; use fewer of them, or others as unwanted"
        )
    return (combined / length).astype(np.float32)
