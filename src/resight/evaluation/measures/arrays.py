"""Arrays of numpy and torch alike, as the measures take them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["as_array", "as_matrix"]


def as_array(values: np.ndarray | Tensor) -> np.ndarray:
    """Returns numbers as a numpy array, without a copy where their type and place allow it.

    A tensor that carries a gradient or lies on a GPU is taken off both; bfloat16, which numpy lacks, becomes
    float32.
    """
    # What made a tensor has imported torch: it is never imported here.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        plain = values.detach().cpu()
        return np.asarray((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())
    return np.asarray(values)


def as_matrix(descriptors: np.ndarray | Tensor) -> np.ndarray:
    """Returns descriptors as a numpy matrix of floating-point numbers, as `as_array`.

    Raises:
        InvalidInput: They are none.
    """
    matrix = as_array(descriptors)
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or not matrix.size:
        raise InvalidInput(
            "descriptors are a matrix of floating-point numbers, a row a photo, "
            f"not {matrix.dtype} {matrix.shape}"
        )
    return matrix
