"""CUB-200-2011: 200 kinds of birds (Wah et al., 2011)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from resight.datasets.dataset import Benchmark, LabelledImages, labelled
from resight.datasets.lists import first_existing, read_fields
from resight.errors import InvalidInput
from resight.features import Box

__all__ = ["KS", "TRAIN_CLASSES", "read_cub200"]

KS = (1, 2, 4, 8)
TRAIN_CLASSES = 100
"""Classes 1 to 100 train, 101 to 200 test; the set's own train_test_split.txt is for classification."""

_LAYOUT = (
    "the folder CUB_200_2011 with images.txt, image_class_labels.txt and images/, "
    "or train.txt, test.txt (image_id class_id path) and images/"
)


@dataclass(frozen=True, slots=True)
class _Image:
    number: str
    path: str

    @property
    def class_name(self) -> str:
        return Path(self.path).parent.name


def read_cub200(root: Path, *, boxes: bool = False) -> Benchmark:
    """Returns the benchmark in the split of metric learning.

    Read are the set's own files and, where these are not there, the ``train.txt``, ``test.txt`` and
    ``bbox.txt`` that naver/cgd ships. A class is called as its folder, ``001.Black_footed_Albatross``.

    Args:
        root: The folder ``CUB_200_2011``, or the one above.
        boxes: Whether photos are cropped to the birds' boxes (x, y, width, height in the file), as CGD does.

    Raises:
        InvalidInput: A file is missing or of another format.
    """
    folders = (root, root / "CUB_200_2011")
    if any((folder / "images.txt").is_file() for folder in folders):
        folder = first_existing(folders, "images.txt", layout=_LAYOUT)
        train, test = _own(folder)
        files = [folder / "images.txt", folder / "image_class_labels.txt"]
        box_file = folder / "bounding_boxes.txt"
    else:
        folder = first_existing(folders, "train.txt", layout=_LAYOUT)
        train, test = (
            read_fields(folder / f"{split}.txt", _naver, fields=3, skip=1) for split in ("train", "test")
        )
        files = [folder / "train.txt", folder / "test.txt"]
        box_file = folder / "bbox.txt"
    held = dict(read_fields(box_file, _box, fields=5)) if boxes else None
    return Benchmark(
        "cub200",
        _labelled("cub200 train", folder, train, held),
        _labelled("cub200 test", folder, test, held),
        KS,
        files=(*files, box_file) if boxes else tuple(files),
    )


def _own(folder: Path) -> tuple[list[_Image], list[_Image]]:
    images = read_fields(
        folder / "images.txt", lambda number, path: _Image(number, f"images/{path}"), fields=2
    )
    classes = dict(
        read_fields(folder / "image_class_labels.txt", lambda number, label: (number, int(label)), fields=2)
    )
    unknown = [image.number for image in images if image.number not in classes]
    if unknown:
        raise InvalidInput(
            f"image {unknown[0]} of {folder / 'images.txt'} has no class in image_class_labels.txt"
        )
    return (
        [image for image in images if classes[image.number] <= TRAIN_CLASSES],
        [image for image in images if classes[image.number] > TRAIN_CLASSES],
    )


def _naver(number: str, label: str, path: str) -> _Image:
    del label  # counted from 0 in either file; the folder names the class
    return _Image(number, path)


def _box(number: str, x: str, y: str, width: str, height: str) -> tuple[str, Box]:
    left, top = float(x), float(y)
    return number, Box(left, top, left + float(width), top + float(height))


def _labelled(name: str, root: Path, images: list[_Image], boxes: dict[str, Box] | None) -> LabelledImages:
    missing = [image.number for image in images if boxes is not None and image.number not in boxes]
    if missing:
        raise InvalidInput(
            f"image {missing[0]} of {name} has no box; read it without boxes, or get the file anew"
        )
    return labelled(
        name,
        root,
        [image.path for image in images],
        [image.class_name for image in images],
        boxes=None if boxes is None else [boxes[image.number] for image in images],
    )
