"""The lists of Google Landmarks v2 (Weyand et al., CVPR 2020): index, training, and official solutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from resight.datasets.landmark_truth import LandmarkTruth, Task
from resight.errors import InvalidInput
from resight.files import read_rows

__all__ = [
    "Solution",
    "Usage",
    "image_path",
    "read_ids",
    "read_solution",
    "read_train",
    "retrieval_truth",
]

Usage = Literal["Public", "Private", "Ignored"]
"""To which leaderboard a test image belongs; ignored ones to none."""

USAGES: tuple[Usage, ...] = ("Public", "Private", "Ignored")


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution file.

    Attributes:
        kind: ``retrieval`` (answers are index images) or ``recognition`` (answers are landmarks).
        answers: Test image to right answers; empty where there is none.
        usages: Test image to its usage.
    """

    kind: Literal["retrieval", "recognition"]
    answers: Mapping[str, frozenset[str]]
    usages: Mapping[str, Usage]

    def of(self, usage: Usage) -> dict[str, frozenset[str]]:
        """Returns the answers of the test images of one usage."""
        return {image: found for image, found in self.answers.items() if self.usages[image] == usage}


def read_solution(path: str | Path) -> Solution:
    """Returns ``retrieval_solution_v2.1.csv`` or ``recognition_solution_v2.1.csv``.

    Columns ``id``, ``images`` or ``landmarks`` (between blanks; ``None`` or nothing: none) and ``Usage``.

    Raises:
        InvalidInput: The file cannot be read, has other columns, another usage or a test image twice, or a
            test image of retrieval that counts has no right answer: average precision is not defined there.
    """
    kind: Literal["retrieval", "recognition"] | None = None
    answers: dict[str, frozenset[str]] = {}
    usages: dict[str, Usage] = {}
    for row in read_rows(path, ("id", "Usage")):
        kind = "retrieval" if "images" in row.cells else "recognition"
        listed = row.cells.get("images", row.cells.get("landmarks"))
        usage = next((known for known in USAGES if known == row["Usage"]), None)
        if listed is None or usage is None:
            raise InvalidInput(
                f"{path} is no solution of Google Landmarks: needed are id, images or landmarks, and a Usage "
                f"of {', '.join(USAGES)}, not {row['Usage']!r}"
            )
        image = row["id"]
        if image in answers:
            raise InvalidInput(f"{path} lists the test image {image} twice")
        answers[image] = frozenset(listed.split()) - {"None"}
        usages[image] = usage
        if kind == "retrieval" and usage != "Ignored" and not answers[image]:
            raise InvalidInput(f"{path} has no right answer for the {usage} test image {image}")
    if kind is None:
        raise InvalidInput(f"{path} lists no test image")
    return Solution(kind, answers, usages)


def retrieval_truth(solution: Solution, index: tuple[str, ...]) -> LandmarkTruth:
    """Returns the retrieval benchmark of a solution: its public and its private test images as two tasks.

    Args:
        solution: Of retrieval.
        index: Ids of the index images.

    Raises:
        InvalidInput: It is no solution of retrieval, or names an image that is not in the index.
    """
    if solution.kind != "retrieval":
        raise InvalidInput("a solution of recognition has no index images; give retrieval_solution_v2.1.csv")
    places = {name: number for number, name in enumerate(index)}
    queries = tuple(image for image, usage in solution.usages.items() if usage != "Ignored")
    for query in queries:
        for name in solution.answers[query]:
            if name not in places:
                raise InvalidInput(
                    f"the right answer {name} of test image {query} is none of {len(index):,} index images"
                )
    positives = [frozenset(places[name] for name in solution.answers[query]) for query in queries]
    tasks = tuple(
        Task(
            usage.lower(),
            tuple(
                answers if solution.usages[query] == usage else None
                for query, answers in zip(queries, positives, strict=True)
            ),
            (frozenset(),) * len(queries),
        )
        for usage in ("Public", "Private")
        if usage in (solution.usages[query] for query in queries)
    )
    return LandmarkTruth(
        "gldv2",
        index,
        queries,
        (None,) * len(queries),
        tasks,
        "rectangular at 100",
        "The queries are not in the index.",
    )


def read_ids(path: str | Path) -> tuple[str, ...]:
    """Returns the column ``id`` of ``index.csv`` or ``test.csv``.

    Raises:
        InvalidInput: The file cannot be read or has no such column.
    """
    return tuple(row["id"] for row in read_rows(path, ("id",)))


def read_train(path: str | Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns ids of training images and the landmark of each, of ``train.csv`` or ``train_clean.csv``.

    Raises:
        InvalidInput: The file cannot be read or has other columns.
    """
    pairs: list[tuple[str, str]] = []
    for row in read_rows(path, ("landmark_id",)):
        if "images" in row.cells:
            pairs += [(image, row["landmark_id"]) for image in row["images"].split()]
        elif "id" in row.cells:
            pairs.append((row["id"], row["landmark_id"]))
        else:
            raise InvalidInput(f"{path} needs a column id or images beside landmark_id")
    return tuple(image for image, _ in pairs), tuple(landmark for _, landmark in pairs)


def image_path(folder: Path, image: str) -> Path:
    """Returns where the authors put an image: ``a/b/c/abc....jpg``."""
    return folder.joinpath(*image[:3], f"{image}.jpg")
