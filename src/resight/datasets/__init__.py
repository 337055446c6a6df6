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
    from resight.datasets.in_shop import read_in_shop
    from resight.datasets.online_products import read_online_products
    from resight.datasets.table import read_table

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Counts",
    "Entry",
    "Finding",
    "LabelledImages",
    "examine",
    "labelled",
    "load",
    "read_cars196",
    "read_cub200",
    "read_folder",
    "read_in_shop",
    "read_online_products",
    "read_table",
    "validation_split",
]

_HOMES = {
    "BENCHMARKS": "resight.datasets.catalogue",
    "Benchmark": "resight.datasets.dataset",
    "Counts": "resight.datasets.catalogue",
    "Entry": "resight.datasets.catalogue",
    "Finding": "resight.datasets.findings",
    "LabelledImages": "resight.datasets.dataset",
    "examine": "resight.datasets.doctor",
    "labelled": "resight.datasets.dataset",
    "load": "resight.datasets.catalogue",
    "read_cars196": "resight.datasets.cars196",
    "read_cub200": "resight.datasets.cub200",
    "read_folder": "resight.datasets.folder",
    "read_in_shop": "resight.datasets.in_shop",
    "read_online_products": "resight.datasets.online_products",
    "read_table": "resight.datasets.table",
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
