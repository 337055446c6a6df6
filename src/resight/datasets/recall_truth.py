"""The right references of each query, as place recognition lists them."""

from __future__ import annotations

from pathlib import Path

from resight.datasets.landmark_truth import LandmarkTruth, Task, indices
from resight.datasets.revisited import read_annotations
from resight.errors import InvalidInput

__all__ = ["read_recall_truth"]


def read_recall_truth(path: str | Path) -> LandmarkTruth:
    """Returns the ground truth of a JSON of ``dataset``, ``queries`` (how many) and ``positives``.

    ``positives`` holds for each query number, from 0, the numbers of its right references. How many there
    are in all it does not say: ``references`` where it is given, else one more than the largest number.

    Raises:
        InvalidInput: The file is missing or holds something else, or a query has no entry.
    """
    content = read_annotations(Path(path))
    try:
        listed, count = content["positives"], content["queries"]
        if not isinstance(listed, dict) or not isinstance(count, int) or isinstance(count, bool):
            raise InvalidInput("positives is no dict, or queries no number")
        if count < 1:
            raise InvalidInput("it lists no query")
        strangers = sorted(listed.keys() - {str(query) for query in range(count)})
        if strangers:
            raise InvalidInput(f"query {strangers[0]} is none of 0 to {count - 1}")
        positives = tuple(indices(listed[str(query)], first=0) for query in range(count))
        size = content.get("references", 1 + max((max(some, default=-1) for some in positives), default=-1))
        if not isinstance(size, int):
            raise InvalidInput("references is no number")
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is no list of right references: {error}") from None
    return LandmarkTruth(
        str(content.get("dataset", Path(path).stem)),
        tuple(str(number) for number in range(size)),
        tuple(str(number) for number in range(count)),
        (None,) * count,
        (Task("all", positives, (frozenset(),) * count),),
        "recall",
        "Queries and references are different photos.",
    )
