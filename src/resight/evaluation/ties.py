"""What many equal scores do to a result: the order of a list decides them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["LOOKED_AT", "tie_warning"]

LOOKED_AT = 10
"""Among how many first answers of a query ties are looked for."""

_SHARE = 0.1
"""From which share of the queries on ties are said."""


def tie_warning(scores: Float[np.ndarray, "queries ranks"]) -> str:
    """Returns a warning where many queries have equal scores among their first answers, else nothing.

    A collapsed model gives every pair one score; a list whose right answers come first then looks perfect.

    Args:
        scores: Of each query's answers, the best first; minus infinity where there is none.
    """
    first = scores[:, :LOOKED_AT]
    equal = (first[:, 1:] == first[:, :-1]) & np.isfinite(first[:, 1:])
    share = float(equal.any(axis=1).mean()) if len(first) else 0.0
    if share <= _SHARE:
        return ""
    return (
        f"warning: {share:.0%} of the queries have equal scores among their first {LOOKED_AT} "
        "answers: there the order of the list decides, and the numbers mean little"
    )
