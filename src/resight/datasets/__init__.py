"""Labelled sets: what is in them and which answers are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face

if TYPE_CHECKING:
    from resight.datasets.cars196 import read_cars196
    from resight.datasets.catalogue import BENCHMARKS, Counts, Entry, load
    from resight.datasets.cub200 import read_cub200
    from resight.datasets.dataset import Benchmark, LabelledImages, labelled, validation_split
    from resight.datasets.doctor import examine
    from resight.datasets.findings import Finding
    from resight.datasets.folder import read_folder
    from resight.datasets.holidays import holidays_truth, read_holidays
    from resight.datasets.in_shop import read_in_shop
    from resight.datasets.landmark_folder import (
        LANDMARK_BENCHMARKS,
        LandmarkFolder,
        open_landmarks,
        read_landmark_truth,
    )
    from resight.datasets.landmark_truth import LandmarkTruth, Task
    from resight.datasets.landmarks import Solution, read_solution, retrieval_truth
    from resight.datasets.online_products import read_online_products
    from resight.datasets.oxford_paris import read_oxford_paris
    from resight.datasets.revisited import GroundTruth, read_ground_truth
    from resight.datasets.table import read_table

__all__ = [
    "BENCHMARKS",
    "LANDMARK_BENCHMARKS",
    "Benchmark",
    "Counts",
    "Entry",
    "Finding",
    "GroundTruth",
    "LabelledImages",
    "LandmarkFolder",
    "LandmarkTruth",
    "Solution",
    "Task",
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
    "read_solution",
    "read_table",
    "retrieval_truth",
    "validation_split",
]

_HOMES = {
    "BENCHMARKS": "catalogue",
    "LANDMARK_BENCHMARKS": "landmark_folder",
    "Benchmark": "dataset",
    "Counts": "catalogue",
    "Entry": "catalogue",
    "Finding": "findings",
    "GroundTruth": "revisited",
    "LabelledImages": "dataset",
    "LandmarkFolder": "landmark_folder",
    "LandmarkTruth": "landmark_truth",
    "Solution": "landmarks",
    "Task": "landmark_truth",
    "examine": "doctor",
    "holidays_truth": "holidays",
    "labelled": "dataset",
    "load": "catalogue",
    "open_landmarks": "landmark_folder",
    "read_cars196": "cars196",
    "read_cub200": "cub200",
    "read_folder": "folder",
    "read_ground_truth": "revisited",
    "read_holidays": "holidays",
    "read_in_shop": "in_shop",
    "read_landmark_truth": "landmark_folder",
    "read_online_products": "online_products",
    "read_oxford_paris": "oxford_paris",
    "read_solution": "landmarks",
    "read_table": "table",
    "retrieval_truth": "landmarks",
    "validation_split": "dataset",
}

__getattr__, __dir__ = face(__name__, __all__, _HOMES)
