"""The benchmarks: what is in them and which answers are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face

if TYPE_CHECKING:
    from resight.datasets.cars196 import read_cars196
    from resight.datasets.cub200 import read_cub200
    from resight.datasets.dataset import (
        Benchmark,
        LabelledImages,
        labelled,
        shared_classes,
        validation_split,
    )
    from resight.datasets.doctor import examine
    from resight.datasets.findings import Finding
    from resight.datasets.folder import read_folder
    from resight.datasets.google_landmarks import Solution, read_solution, retrieval_truth
    from resight.datasets.holidays import holidays_truth, read_holidays
    from resight.datasets.in_shop import read_in_shop
    from resight.datasets.landmark_folder import (
        LandmarkFolder,
        Recognition,
        read_landmark_truth,
        read_recognition,
    )
    from resight.datasets.landmark_truth import LandmarkTruth, Task
    from resight.datasets.online_products import read_online_products
    from resight.datasets.oxford_paris import read_oxford_paris
    from resight.datasets.registry import (
        BENCHMARKS,
        Counts,
        Entry,
        LabelledEntry,
        LandmarkEntry,
        RecognitionEntry,
        entry_named,
        load,
        open_landmarks,
    )
    from resight.datasets.revisited import GroundTruth, read_ground_truth
    from resight.datasets.table import read_table

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Counts",
    "Entry",
    "Finding",
    "GroundTruth",
    "LabelledEntry",
    "LabelledImages",
    "LandmarkEntry",
    "LandmarkFolder",
    "LandmarkTruth",
    "Recognition",
    "RecognitionEntry",
    "Solution",
    "Task",
    "entry_named",
    "examine",
    "holidays_truth",
    "labelled",
    "load",
    "open_landmarks",
    "read_cars196",
    "read_cub200",
    "read_folder",
    "read_ground_truth",
    "read_holidays",
    "read_in_shop",
    "read_landmark_truth",
    "read_online_products",
    "read_oxford_paris",
    "read_recognition",
    "read_solution",
    "read_table",
    "retrieval_truth",
    "shared_classes",
    "validation_split",
]

_HOMES = {
    "BENCHMARKS": "registry",
    "Benchmark": "dataset",
    "Counts": "registry",
    "Entry": "registry",
    "Finding": "findings",
    "GroundTruth": "revisited",
    "LabelledEntry": "registry",
    "LabelledImages": "dataset",
    "LandmarkEntry": "registry",
    "LandmarkFolder": "landmark_folder",
    "LandmarkTruth": "landmark_truth",
    "Recognition": "landmark_folder",
    "RecognitionEntry": "registry",
    "Solution": "google_landmarks",
    "Task": "landmark_truth",
    "entry_named": "registry",
    "examine": "doctor",
    "holidays_truth": "holidays",
    "labelled": "dataset",
    "load": "registry",
    "open_landmarks": "registry",
    "read_cars196": "cars196",
    "read_cub200": "cub200",
    "read_folder": "folder",
    "read_ground_truth": "revisited",
    "read_holidays": "holidays",
    "read_in_shop": "in_shop",
    "read_landmark_truth": "landmark_folder",
    "read_online_products": "online_products",
    "read_oxford_paris": "oxford_paris",
    "read_recognition": "landmark_folder",
    "read_solution": "google_landmarks",
    "read_table": "table",
    "retrieval_truth": "google_landmarks",
    "shared_classes": "dataset",
    "validation_split": "dataset",
}

__getattr__, __dir__ = face(__name__, __all__, _HOMES)
