"""Recognition on Google Landmarks v2 by a model: the landmarks of the nearest training images vote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from resight.datasets.landmark_folder import LandmarkFolder
from resight.datasets.landmark_truth import LandmarkTruth
from resight.datasets.landmarks import Solution, image_path, read_solution, read_train
from resight.errors import InvalidInput
from resight.evaluation.landmark_card import source_of
from resight.evaluation.landmark_description import describe_landmarks
from resight.evaluation.landmark_protocols import marked_images
from resight.evaluation.measures.ranks import scan
from resight.evaluation.result import Result
from resight.evaluation.submissions import measure_predicted
from resight.models.model import Model
from resight.search.recognition import neighbour_scores, recognise

__all__ = ["evaluate_recognition"]

_SOLUTION = "recognition_solution_v2.1.csv"
_TRAINS = ("train_clean.csv", "train.csv")


def evaluate_recognition(
    model: Model,
    root: str | Path,
    *,
    neighbours: int = 3,
    selection: str = "not stated",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Returns the micro average precision of a model on a copy of Google Landmarks v2.

    Every test image that counts is given the landmark with the largest sum of cosines among its nearest
    training images (``resight.search.recognition``), and that sum as its score.

    Args:
        model: Describes the photos.
        root: Holds ``recognition_solution_v2.1.csv``, ``train_clean.csv`` or ``train.csv``, ``train/`` and
            ``test/``.
        neighbours: Training images that vote.
        selection: How the model was chosen; it goes on the card.
        seed: Of the bootstrap.
        progress: Called with the photos described and their number.

    Raises:
        InvalidInput: A list or a photo is missing.
        UnreadableImage: A photo is broken.
    """
    root = Path(root)
    solution = read_solution(root / _SOLUTION)
    if solution.kind != "recognition":
        raise InvalidInput(f"{root / _SOLUTION} is a solution of retrieval")
    folder, landmarks, train = _folder(root, solution)
    described = describe_landmarks(model, folder, crop=False, progress=progress)
    nearest = scan(
        described.queries, [described.database], marked_images(folder.truth), first=neighbours
    ).first
    predicted = {}
    for query, image in enumerate(folder.truth.queries):
        ids, scores = nearest.row(query)
        cosines = neighbour_scores(scores.tolist(), [None] * len(ids))
        best = recognise([landmarks[row] for row in ids.tolist()], np.asarray(cosines), neighbours=neighbours)
        predicted[image] = f"{best[0].label} {best[0].score!r}"
    words = f"by the {neighbours} nearest of {len(landmarks):,} images of {train}, sum of cosines a landmark"
    source = source_of(model, queries=words, root=root.name)
    return measure_predicted(predicted, solution, source, selection=selection, seed=seed)


def _folder(root: Path, solution: Solution) -> tuple[LandmarkFolder, tuple[str, ...], str]:
    """Returns the photos, the landmark of each training image, and the name of the list they come from."""
    train = next((name for name in _TRAINS if (root / name).is_file()), None)
    if train is None:
        raise InvalidInput(f"{root} has neither {' nor '.join(_TRAINS)}")
    images, landmarks = read_train(root / train)
    queries = tuple(image for image, usage in solution.usages.items() if usage != "Ignored")
    truth = LandmarkTruth(
        "gldv2 recognition", images, queries, (None,) * len(queries), (), "recall", "Not in training."
    )
    folder = LandmarkFolder(
        truth,
        root,
        tuple(image_path(Path("train"), image).as_posix() for image in images),
        tuple(image_path(Path("test"), image).as_posix() for image in queries),
    )
    return folder, landmarks, train
