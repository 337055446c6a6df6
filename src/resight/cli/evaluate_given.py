"""Descriptors, similarities and predictions that somebody else computed, measured."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli.evaluate_landmarks import report_landmarks
from resight.cli.output import note
from resight.cli.progress import progress
from resight.errors import InvalidInput

if TYPE_CHECKING:
    from resight.cli.evaluate_options import Files, LandmarkOptions, Output
    from resight.datasets.landmark_truth import LandmarkTruth
    from resight.evaluation import Result
    from resight.evaluation.card import Source
    from resight.evaluation.pictures import Pictures

__all__ = ["evaluate_given"]


def evaluate_given(files: Files, options: LandmarkOptions, output: Output) -> None:
    """Prints the result of given files."""
    if files.ground_truth is None:
        raise InvalidInput("nothing can be measured without a ground truth")
    if files.predictions is not None:
        result = _predictions(files.predictions, files.ground_truth, output)
    elif files.similarities is not None:
        result = _similarities(files.similarities, files.ground_truth, output)
    elif files.descriptors is not None:
        result = _descriptors(files.descriptors, files.ground_truth, files.names, options, output)
    report_landmarks(result, output.root or files.ground_truth.parent, output)


def _descriptors(
    path: Path, ground_truth: Path, names: Path | None, options: LandmarkOptions, output: Output
) -> Result:
    from resight.datasets.landmark_folder import read_landmark_truth
    from resight.evaluation.descriptor_files import read_descriptors
    from resight.evaluation.landmark_description import LandmarkDescriptors
    from resight.evaluation.landmarks import measure_descriptors
    from resight.evaluation.refinement import Refinement

    truth = read_landmark_truth(ground_truth)
    given = read_descriptors(path, truth.database, truth.queries, names=names)
    if given.unused:
        note(f"{len(given.unused):,} names of {path.name} are not in {truth.benchmark} and were left out")
    with progress("Comparing", "descriptors") as report:
        return measure_descriptors(
            truth,
            LandmarkDescriptors(given.database, given.queries, (), (), ()),
            _source(path, given.database.shape[1], ground_truth),
            distractors=options.distractors,
            refinement=Refinement(options.expand),
            selection=output.selection,
            seed=output.seed,
            pictures=_pictures(truth, output.root),
            progress=report,
        )


def _similarities(path: Path, ground_truth: Path, output: Output) -> Result:
    from resight.datasets.landmark_folder import read_landmark_truth
    from resight.evaluation.descriptor_files import open_matrix
    from resight.evaluation.landmarks import measure_similarities

    truth, matrix = read_landmark_truth(ground_truth), open_matrix(path)
    if truth.formula == "recall" and matrix.shape[1] > len(truth.database):
        # The lists name right references alone; the others are known by their columns.
        truth = replace(truth, database=tuple(str(number) for number in range(matrix.shape[1])))
    return measure_similarities(
        truth,
        matrix,
        _source(path, 0, ground_truth),
        seed=output.seed,
        pictures=_pictures(truth, output.root),
    )


def _predictions(path: Path, ground_truth: Path, output: Output) -> Result:
    from resight.datasets.landmarks import read_solution
    from resight.evaluation.recognition import measure_predictions

    solution = read_solution(ground_truth)
    return measure_predictions(path, solution, name=ground_truth.name, seed=output.seed)


def _source(path: Path, dim: int, ground_truth: Path) -> Source:
    from resight.evaluation.card import Source

    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Source(path.name, digest, dim, 0, (), "unknown", "not known: as in the file", ground_truth.name)


def _pictures(truth: LandmarkTruth, root: Path | None) -> Pictures | None:
    from resight.datasets.landmark_folder import photos_in
    from resight.evaluation.pictures import Pictures

    if root is None:
        return None
    folder = photos_in(truth, root)
    return Pictures(folder.database, folder.queries, crop=False)
