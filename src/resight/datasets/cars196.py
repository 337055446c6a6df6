"""Cars196: 196 models of cars (Krause et al., 2013)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from resight.datasets.dataset import Benchmark, LabelledImages, labelled
from resight.datasets.lists import first_existing, read_fields
from resight.datasets.matlab import read_matlab
from resight.datasets.plain_pickle import Plain
from resight.errors import InvalidInput
from resight.features import Box

__all__ = ["KS", "TRAIN_CLASSES", "read_cars196"]

KS = (1, 2, 4, 8)
TRAIN_CLASSES = 98
"""Classes 1 to 98 train, 99 to 196 test; the set's own test flag is for classification."""

_LAYOUT = "cars_annos.mat or cars_annos.txt (path,class,test) beside the folder car_ims"


@dataclass(frozen=True, slots=True)
class _Image:
    path: str
    label: int
    box: Box | None


def read_cars196(root: Path, *, boxes: bool = False) -> Benchmark:
    """Returns the benchmark in the split of metric learning.

    Read is ``cars_annos.txt`` where no boxes are asked for and it is there, else ``cars_annos.mat``, which
    needs SciPy. A class is called by its number, from 1. The file's corners are taken as they are, as the
    field's code does.

    Args:
        root: The folder that holds ``car_ims``.
        boxes: Whether photos are cropped to the cars' boxes, as CGD does.

    Raises:
        InvalidInput: A file is missing or of another format.
        MissingExtra: ``cars_annos.mat`` is to be read and SciPy is not installed.
    """
    text = root / "cars_annos.txt"
    if text.is_file() and not boxes:
        images, read = read_fields(text, _line, fields=3, separator=","), text
    else:
        needed = f"cars_annos.mat for boxes ({_LAYOUT})" if boxes else _LAYOUT
        read = first_existing((root,), "cars_annos.mat", layout=needed) / "cars_annos.mat"
        images = _matlab(read)
    return Benchmark(
        "cars196",
        _labelled("cars196 train", root, [i for i in images if i.label <= TRAIN_CLASSES], boxes=boxes),
        _labelled("cars196 test", root, [i for i in images if i.label > TRAIN_CLASSES], boxes=boxes),
        KS,
        files=(read,),
    )


def _line(path: str, label: str, test: str) -> _Image:
    del test
    return _Image(path, int(label), None)


def _matlab(path: Path) -> list[_Image]:
    try:
        rows = read_matlab(path)["annotations"]
        return [_row(row) for row in (rows if isinstance(rows, list) else [rows])]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is no cars_annos.mat ({type(error).__name__}: {error})") from None


def _row(row: Plain) -> _Image:
    if not isinstance(row, dict):
        raise InvalidInput(f"an annotation is no {type(row).__name__}")
    numbers = [row[name] for name in ("class", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")]
    label, *corners = (float(number) for number in numbers if isinstance(number, int | float))
    return _Image(str(row["relative_im_path"]), int(label), Box(*corners))


def _labelled(name: str, root: Path, images: list[_Image], *, boxes: bool) -> LabelledImages:
    return labelled(
        name,
        root,
        [image.path for image in images],
        [image.label for image in images],
        boxes=[image.box for image in images] if boxes else None,
    )
