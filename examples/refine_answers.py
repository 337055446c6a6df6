"""Puts the first answers of a vector database in a better order, by their neighbours.

    python examples/refine_answers.py QUERY.npy ANSWERS.npy

QUERY.npy holds the vector of a query, ANSWERS.npy a row an answer, best first, as the database returned them.
No index is needed: what the methods look at are the answers themselves.
"""

from __future__ import annotations

import sys

import numpy as np

from resight.search import Ranking, rerank_expanded, rerank_reciprocal, rerank_super_global


def main(query: str, answers: str) -> None:
    """Prints the first answers in each order, as row numbers of ANSWERS.npy."""
    queries, rows = (np.atleast_2d(np.load(path)).astype(np.float32) for path in (query, answers))
    queries, rows = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (queries, rows))
    scores = queries[:1] @ rows.T
    order = np.argsort(-scores, axis=1, kind="stable")
    ranking = Ranking(order, np.take_along_axis(scores, order, axis=1))

    orders = {
        "by similarity": ranking,
        "query expansion": rerank_expanded(ranking, queries[:1], rows.__getitem__),
        "k-reciprocal": rerank_reciprocal(ranking, queries[:1], rows.__getitem__),
        "SuperGlobal": rerank_super_global(ranking, queries[:1], rows.__getitem__),
    }
    for name, refined in orders.items():
        print(f"{name:16}", *refined.ids[0, :10])


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
