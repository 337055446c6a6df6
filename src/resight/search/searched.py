"""What ``resight search`` prints as JSON, in the form of rankings of any other search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

__all__ = ["from_answers", "from_lines"]

Wrong = Callable[[str], Exception]
"""Makes the refusal of the file, of what is wrong with it."""


def from_answers(content: object, wrong: Wrong) -> object:
    """Returns the answers of ``--json`` as rankings; what is none of them as it is."""
    listed: Sequence[object] = content if isinstance(content, list) else [content]
    answers = [answer for answer in listed if isinstance(answer, dict) and "hits" in answer]
    if not answers or len(answers) < len(listed):
        return content
    return {"queries": [_query(answer, wrong) for answer in answers], "model": answers[0].get("model")}


def from_lines(lines: Sequence[object], wrong: Wrong) -> object:
    """Returns the hits of ``--json-lines`` as rankings, a query for each ``query_path``."""
    queries: dict[str, list[object]] = {}
    for hit in lines:
        queries.setdefault(_text(hit, "query_path", wrong), []).append(hit)
    return {"queries": [_ranking(query, hits, wrong) for query, hits in queries.items()]}


def _query(answer: Mapping[str, object], wrong: Wrong) -> dict[str, object]:
    photos, hits = answer.get("queries"), answer["hits"]
    if not isinstance(photos, list) or not isinstance(hits, list):
        raise wrong("an answer of a search has lists of queries and of hits")
    if len(photos) != 1:
        raise wrong(
            f"an answer to {len(photos)} photos at once, or to one without another, cannot be re-ranked: "
            "search with one photo, or with --each"
        )
    query = _ranking(_text(photos[0], "path", wrong), hits, wrong)
    box = cast(Mapping[str, object], photos[0]).get("box")
    return query if box is None else {**query, "box": box}


def _ranking(query: str, hits: Sequence[object], wrong: Wrong) -> dict[str, object]:
    paths = [_text(hit, "path", wrong) for hit in hits]
    ranking: dict[str, object] = {"photo": query, "ids": paths, "photos": paths}
    # Geometry may have ordered the answers: their similarities then rise and fall, and are no scores.
    similarities = [cast(Mapping[str, object], hit).get("similarity") for hit in hits]
    return ranking if None in similarities else {**ranking, "similarities": similarities}


def _text(record: object, key: str, wrong: Wrong) -> str:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, str):
        raise wrong(f"a query or hit of a search has no {key!r}")
    return value
