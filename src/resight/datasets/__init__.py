"""Labelled sets: what is in them and which answers are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    "BENCHMARKS": "resight.datasets.catalogue",
    "LANDMARK_BENCHMARKS": "resight.datasets.landmark_folder",
    "Benchmark": "resight.datasets.dataset",
    "Counts": "resight.datasets.catalogue",
    "Entry": "resight.datasets.catalogue",
    "Finding": "resight.datasets.findings",
    "GroundTruth": "resight.datasets.revisited",
    "LabelledImages": "resight.datasets.dataset",
    "LandmarkFolder": "resight.datasets.landmark_folder",
    "LandmarkTruth": "resight.datasets.landmark_truth",
    "Solution": "resight.datasets.landmarks",
    "Task": "resight.datasets.landmark_truth",
    "examine": "resight.datasets.doctor",
    "holidays_truth": "resight.datasets.holidays",
    "labelled": "resight.datasets.dataset",
    "load": "resight.datasets.catalogue",
    "open_landmarks": "resight.datasets.landmark_folder",
    "read_cars196": "resight.datasets.cars196",
    "read_cub200": "resight.datasets.cub200",
    "read_folder": "resight.datasets.folder",
    "read_ground_truth": "resight.datasets.revisited",
    "read_holidays": "resight.datasets.holidays",
    "read_in_shop": "resight.datasets.in_shop",
    "read_landmark_truth": "resight.datasets.landmark_folder",
    "read_online_products": "resight.datasets.online_products",
    "read_oxford_paris": "resight.datasets.oxford_paris",
    "read_solution": "resight.datasets.landmarks",
    "read_table": "resight.datasets.table",
    "retrieval_truth": "resight.datasets.landmarks",
    "validation_split": "resight.datasets.dataset",
}


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for, so that ``import resight.datasets`` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'resight.datasets' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
