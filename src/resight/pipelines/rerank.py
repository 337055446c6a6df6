"""Rankings of another search re-ordered, by descriptors or by geometry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from resight.files import Progress, silent

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32, Int64

    from resight.errors import InvalidInput
    from resight.features import Box, LocalFeatures
    from resight.models.model import Model
    from resight.search import Ranking, Verification
    from resight.search.imported import ImportedRankings

__all__ = ["DEPTHS", "Method", "Moved", "Reranked", "RerankedQuery", "by_descriptors", "by_geometry"]

Method = Literal["alpha-qe", "reciprocal", "superglobal", "diffusion", "verify"]

DEPTHS: Mapping[Method, int] = {
    "alpha-qe": 1000,
    "reciprocal": 100,
    "superglobal": 400,
    "diffusion": 1000,
    "verify": 100,
}
"""How many of the first answers each method re-orders by default."""


@dataclass(frozen=True, slots=True)
class Moved:
    """An answer in its new place.

    Attributes:
        rank: From 1.
        old_rank: Where it was, from 1.
        id: What the answer is called, in the file.
        score: Of the method, larger is better; of verify, which orders by evidence too, the old one.
        old_score: Of the ranking before; the similarity where the file has it.
        inliers: Matches that one transform explains; None where not verified.
    """

    rank: int
    old_rank: int
    id: str | int
    score: float
    old_score: float
    inliers: int | None


@dataclass(frozen=True, slots=True)
class RerankedQuery:
    """A query's name and its answers, best first."""

    id: str
    answers: list[Moved]


@dataclass(frozen=True, slots=True)
class Reranked:
    """What became of some rankings by a method, on the first ``top`` answers of each."""

    method: Method
    top: int
    queries: list[RerankedQuery]


class _Reranker(Protocol):
    """Any re-ranker by descriptors, with its own defaults."""

    def __call__(
        self,
        ranking: Ranking,
        queries: Float32[np.ndarray, "q dim"],
        descriptors_of: Callable[[Int64[np.ndarray, " n"]], Float32[np.ndarray, "n dim"]],
        *,
        top: int,
    ) -> Ranking: ...


def by_descriptors(
    rankings: ImportedRankings, method: Method, model: str | None, *, top: int, progress: Progress = silent
) -> Reranked:
    """Returns the rankings re-ordered by any method but verify.

    Args:
        rankings: Not changed.
        method: Any but verify.
        model: Describes the photos; None takes those of the file.
        top: Answers of each query that are re-ordered.
        progress: Called with photos described and photos in all.

    Raises:
        InvalidInput: A query or an answer has neither descriptor nor, for a model, a photo.
        UnreadableImage: A photo cannot be read.
        ModelError: The model cannot be loaded.
    """
    from resight import search

    if model is None:
        queries, descriptors = _descriptors(rankings)
    else:
        queries, descriptors = _described(rankings, model, progress)

    def descriptors_of(ids: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        return descriptors[ids]

    methods: Mapping[Method, _Reranker] = {
        "alpha-qe": search.rerank_expanded,
        "reciprocal": search.rerank_reciprocal,
        "superglobal": search.rerank_super_global,
        "diffusion": search.rerank_diffusion,
    }
    ranking = methods[method](rankings.ranking, queries, descriptors_of, top=top)
    rows = [(ids, scores, (None,) * len(ids)) for ids, scores in map(ranking.row, range(len(ranking)))]
    return Reranked(method, top, _moved(rankings, rows))


def _descriptors(
    rankings: ImportedRankings,
) -> tuple[Float32[np.ndarray, "q dim"], Float32[np.ndarray, "n dim"]]:
    """Returns the descriptors of the file: of all queries and of all answers."""
    import numpy as np

    queries = [query.descriptor for query in rankings.queries if query.descriptor is not None]
    answers = [descriptor for descriptor in rankings.descriptors if descriptor is not None]
    for query in rankings.queries:
        if query.descriptor is None:
            raise _lacking(f"query {query.name!r} has no descriptor", "descriptor")
    for name, descriptor in zip(rankings.answers, rankings.descriptors, strict=True):
        if descriptor is None:
            raise _lacking(f"answer {name!r} has no descriptor", "descriptor")
    return np.stack(queries), np.stack(answers) if answers else np.zeros((0, queries[0].size), np.float32)


def _described(
    rankings: ImportedRankings, name: str, progress: Progress
) -> tuple[Float32[np.ndarray, "q dim"], Float32[np.ndarray, "n dim"]]:
    """Returns the descriptors that a model gives the photos of all queries and answers."""
    import numpy as np

    from resight.errors import UnreadableImage
    from resight.models import load_model
    from resight.models.extract import extract

    photos = _photos(rankings)
    model = load_model(name)
    rows = np.zeros((len(photos), model.dim), dtype=np.float32)
    boxes = [*(query.box for query in rankings.queries), *(None for _ in rankings.answers)]
    for number, one in enumerate(extract(photos, model, boxes=boxes)):
        if one.features is None:
            raise UnreadableImage(photos[number], one.reason or "it cannot be described")
        rows[number] = one.features.descriptor
        progress(number + 1, len(photos))
    return rows[: len(rankings.queries)], rows[len(rankings.queries) :]


def _photos(rankings: ImportedRankings) -> list[Path]:
    """Returns the photos of all queries, then of all answers."""
    names = [f"query {query.name!r}" for query in rankings.queries] + [
        f"answer {n!r}" for n in rankings.answers
    ]
    photos = [query.photo for query in rankings.queries] + list(rankings.photos)
    for name, photo in zip(names, photos, strict=True):
        if photo is None:
            raise _lacking(f"{name} has no photo", "photo")
    return [photo for photo in photos if photo is not None]


def _lacking(what: str, kind: Literal["descriptor", "photo"]) -> InvalidInput:
    from resight.errors import InvalidInput

    other = "or photos of all and --model" if kind == "descriptor" else "which verify and --model need"
    return InvalidInput(f"{what}: give one to every query and answer, {other}")


def by_geometry(rankings: ImportedRankings, name: str, *, top: int, progress: Progress = silent) -> Reranked:
    """Returns the rankings re-ordered by `order_verified`.

    Photos are read query by query.

    Args:
        rankings: Not changed.
        name: Of the model whose local features are matched.
        top: Answers of each query that are verified.
        progress: Called with answers verified and answers in all.

    Raises:
        InvalidInput: A query or an answer has no photo, or the model no local features.
        UnreadableImage: A photo cannot be read.
        ModelError: The model cannot be loaded.
    """
    from resight.models import load_model
    from resight.search.geometry.config import VerificationConfig
    from resight.search.geometry.reranking import rerank

    photos = _photos(rankings)
    queries, answers = photos[: len(rankings.queries)], photos[len(rankings.queries) :]
    model = load_model(name)
    total, done = int((rankings.ranking.ids[:, :top] >= 0).sum()), 0

    def features_of(rows: Int64[np.ndarray, " n"]) -> list[LocalFeatures]:
        nonlocal done
        features: list[LocalFeatures] = []
        for row in rows.tolist():
            features.append(_local(model, answers[row]))
            done += 1
            progress(done, total)
        return features

    boxes = [query.box for query in rankings.queries]
    local = [_local(model, photo, box) for photo, box in zip(queries, boxes, strict=True)]
    ranking = _by_similarity(rankings)
    # Scores of another program are of any scale and cannot be weighed against inliers; similarities can.
    config = VerificationConfig(order="beyond" if ranking is None else "evidence")
    verified = rerank(ranking or rankings.ranking, local, features_of, top=top, regions=boxes, config=config)
    return Reranked("verify", top, _moved(rankings, [verified.row(query) for query in range(len(verified))]))


def _by_similarity(rankings: ImportedRankings) -> Ranking | None:
    """Returns the rankings as they were before anything re-ordered them; None where that is not known."""
    import numpy as np

    from resight.search import Ranking

    ids, scores = rankings.ranking.ids.copy(), np.full_like(rankings.ranking.scores, -np.inf)
    for row, query in enumerate(rankings.queries):
        if query.similarities is None:
            return None
        values = np.array(query.similarities, dtype=np.float32)
        order = np.argsort(-values, kind="stable")
        ids[row, : len(order)], scores[row, : len(order)] = ids[row, order], values[order]
    return Ranking(ids, scores)


def _local(model: Model, photo: Path, box: Box | None = None) -> LocalFeatures:
    from resight import images
    from resight.errors import InvalidInput

    (features,) = model.extract([images.read(photo, max_side=model.max_side, box=box)])
    if features.local is None:
        raise InvalidInput(
            f"the model {model.name} has no local features to verify with: take one that has, such as sift"
        )
    return features.local


def _moved(
    rankings: ImportedRankings,
    new: Sequence[
        tuple[Int64[np.ndarray, " answers"], Float32[np.ndarray, " answers"], Sequence[Verification | None]]
    ],
) -> list[RerankedQuery]:
    """Returns for each query its answers in the new order, with the ranks and scores they had."""
    queries: list[RerankedQuery] = []
    for number, (query, (ids, scores, matches)) in enumerate(zip(rankings.queries, new, strict=True)):
        old_ids, old_scores = rankings.ranking.row(number)
        old = {row: place for place, row in enumerate(old_ids.tolist())}
        known = old_scores.tolist() if query.similarities is None else query.similarities
        rows = zip(ids.tolist(), scores.tolist(), matches, strict=True)
        answers = [
            Moved(
                rank=rank,
                old_rank=old[row] + 1,
                id=rankings.answers[row],
                score=score,
                old_score=known[old[row]],
                inliers=None if match is None else match.inliers,
            )
            for rank, (row, score, match) in enumerate(rows, 1)
        ]
        queries.append(RerankedQuery(query.name, answers))
    return queries
