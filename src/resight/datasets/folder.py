"""A folder of class folders."""

from __future__ import annotations

import os
from pathlib import Path

from resight.datasets.dataset import Benchmark, LabelledImages, halves, labelled
from resight.errors import InvalidInput
from resight.images import PHOTO_SUFFIXES

__all__ = ["KS", "read_folder"]

KS = (1, 2, 4, 8)

_VALIDATION = ("val", "valid", "validation")


def read_folder(root: Path) -> Benchmark:
    """Returns the benchmark of a folder.

    Either ``root/train/CLASS/...`` and ``root/test/CLASS/...``, with ``root/val/CLASS/...`` (or ``valid``,
    ``validation``) beside them or instead of ``test``; or ``root/CLASS/...``: then the first half of the
    classes in the order of their names (the larger half of an odd number) is for training and the rest for
    testing, as CUB-200-2011 and Cars196 are used in the field. A photo belongs to the class of the
    folder under which it lies, however deep. Hidden files and folders and files of other suffixes are passed
    over; links to folders are followed for classes, not below.

    Raises:
        InvalidInput: The folder is missing, or there are too few classes with photos.
    """
    if not root.is_dir():
        raise InvalidInput(f"there is no folder {root}")
    measured = [name for name in ("test", *_VALIDATION) if (root / name).is_dir()]
    if (root / "train").is_dir() and measured:
        test, *others = measured
        if len(others) > (test == "test"):
            raise InvalidInput(f"{root} has {' and '.join(measured)}: keep one folder of validation photos")
        validation = _split(root, others[0], "validation") if others else None
        return Benchmark("folder", _split(root, "train", "train"), _split(root, test, "test"), KS, validation)
    photos = _photos(root, "")
    names = sorted({name for name, _ in photos})
    if len(names) < 2:
        raise InvalidInput(
            f"{root} has {len(names)} folders with photos; expected are train and test with a folder a class "
            f"in each, or two or more class folders"
        )
    train, rule = halves(names, "no folders train and test")
    return Benchmark(
        "folder",
        _labelled(root, "train", [entry for entry in photos if entry[0] in train]),
        _labelled(root, "test", [entry for entry in photos if entry[0] not in train]),
        KS,
        split_rule=rule,
    )


def _split(root: Path, folder: str, split: str) -> LabelledImages:
    photos = _photos(root, folder)
    if not photos:
        raise InvalidInput(f"{root / folder} holds no class folder with photos ({_SUFFIXES})")
    return _labelled(root, split, photos)


def _labelled(root: Path, split: str, photos: list[tuple[str, str]]) -> LabelledImages:
    return labelled(f"folder {split}", root, [path for _, path in photos], [name for name, _ in photos])


def _photos(root: Path, split: str) -> list[tuple[str, str]]:
    """Returns class and path relative to the root of each photo, sorted.

    Raises:
        InvalidInput: A folder cannot be listed: without its photos, numbers would be of another set.
    """
    photos = []

    def refuse(error: OSError) -> None:
        raise InvalidInput(f"the folder {error.filename} cannot be listed ({error.strerror})")

    try:
        classes = list((root / split).iterdir())
    except OSError as error:
        refuse(error)
    for folder in classes:
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        for parent, folders, files in os.walk(folder, onerror=refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                path = Path(parent, name)
                if path.suffix.lower() in PHOTO_SUFFIXES and not name.startswith("."):
                    photos.append((folder.name, path.relative_to(root).as_posix()))
    return sorted(photos)


_SUFFIXES = ", ".join(sorted(PHOTO_SUFFIXES))
