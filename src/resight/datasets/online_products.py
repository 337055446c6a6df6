"""Stanford Online Products: 22,634 things from a shop's pages (Oh Song et al., CVPR 2016)."""

from __future__ import annotations

from pathlib import Path

from resight.datasets.dataset import Benchmark, LabelledImages, labelled
from resight.datasets.lists import first_existing, read_fields

__all__ = ["KS", "read_online_products"]

KS = (1, 10, 100, 1000)

_LAYOUT = "the folder Stanford_Online_Products with Ebay_train.txt, Ebay_test.txt and bicycle_final/ ..."


def read_online_products(root: Path) -> Benchmark:
    """Returns the benchmark in its official split. A class is called by its number in the files, from 1.

    Args:
        root: The folder ``Stanford_Online_Products``, or the one above.

    Raises:
        InvalidInput: A file is missing or of another format.
    """
    folder = first_existing((root, root / "Stanford_Online_Products"), "Ebay_train.txt", layout=_LAYOUT)
    files = tuple(folder / f"Ebay_{split}.txt" for split in ("train", "test"))
    return Benchmark("sop", _read(folder, "train"), _read(folder, "test"), KS, files=files)


def _read(folder: Path, split: str) -> LabelledImages:
    rows = read_fields(folder / f"Ebay_{split}.txt", _line, fields=4, skip=1)
    return labelled(f"sop {split}", folder, [path for _, path in rows], [label for label, _ in rows])


def _line(image: str, label: str, kind: str, path: str) -> tuple[int, str]:
    del image, kind
    return int(label), path
