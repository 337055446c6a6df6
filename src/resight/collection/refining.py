"""The ranking of a search in a collection by descriptors, refined by the neighbours they have there."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Int64

from resight.collection.resident import ResidentIndex
from resight.errors import InvalidInput
from resight.search.expansion import search_expanded
from resight.search.ranking import Ranking
from resight.search.reciprocal import rerank_reciprocal
from resight.search.super_global import rerank_super_global

__all__ = ["Refinement", "check_refinement", "refined_ranking"]

Refinement = Literal["diffusion", "reciprocal", "superglobal"]
"""How a ranking is refined by the descriptors of the collection alone:

- ``diffusion`` spreads the scores over the graph of the whole collection (`resight.search.Diffusion`). It
  finds what resembles the answers without resembling the query. The graph is built at the first such search
  after each change of the collection, in time that grows with the square of its size.
- ``reciprocal`` orders the first 100 by how alike their neighbourhoods are (`rerank_reciprocal`).
- ``superglobal`` refines the first 400 and the query by their neighbours (`rerank_super_global`).
"""

_DEPTHS = {"reciprocal": 100, "superglobal": 400}
"""Answers that a re-ranking looks at; those of the papers."""


def check_refinement(refine: str | None, *, expand: int, where: str | None) -> None:
    """Passes a refinement that goes with the rest of a search.

    Raises:
        InvalidInput: There is none of that name, or diffusion meets a filter or query expansion.
    """
    if refine is not None and refine not in get_args(Refinement):
        raise InvalidInput(f"refine is one of {', '.join(get_args(Refinement))}, not {refine!r}")
    if refine == "diffusion" and where is not None:
        raise InvalidInput(
            "diffusion runs over the graph of the whole collection and cannot be confined by a filter: "
            "leave the filter out, or refine by reciprocal or superglobal"
        )
    if refine == "diffusion" and expand:
        raise InvalidInput(
            "diffusion already starts from the query's neighbours and takes no expanded query: "
            "use either diffusion or query expansion"
        )


def refined_ranking(
    resident: ResidentIndex,
    query: Float32[np.ndarray, " dim"],
    k: int,
    *,
    refine: str | None,
    expand: int,
    allowed: Int64[np.ndarray, " m"] | None,
) -> Ranking:
    """Returns the best k of a collection for one query; hold the resident's lock meanwhile.

    Args:
        resident: The collection's descriptors.
        query: Unit length.
        k: Answers wanted; there may be more in the row.
        refine: One that `check_refinement` passed, or None.
        expand: Best answers that enrich the query before it is searched again; 0: none.
        allowed: Only these ids are searched; None: all.
    """
    if refine == "diffusion":
        return resident.diffusion().rank(query[None], k)
    index = resident.current()
    searched = len(index) if allowed is None else len(allowed)
    k = max(1, min(max(k, _DEPTHS.get(refine or "", 0)), searched))
    ranking = search_expanded(index, query[None], k, n=expand, allowed=allowed)
    if refine == "reciprocal":
        return rerank_reciprocal(ranking, query[None], index.descriptors, top=_DEPTHS[refine])
    if refine == "superglobal":
        return rerank_super_global(ranking, query[None], index.descriptors, top=_DEPTHS[refine])
    return ranking
