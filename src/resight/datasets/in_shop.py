"""In-shop Clothes Retrieval of DeepFashion: 7,982 pieces of clothing (Liu et al., CVPR 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from resight.datasets.dataset import Benchmark, LabelledImages, labelled
from resight.datasets.lists import first_existing, read_fields
from resight.errors import InvalidInput
from resight.features import Box

__all__ = ["KS", "read_in_shop"]

KS = (1, 10, 20, 30, 40, 50)

_LAYOUT = "the set's folder with Eval/list_eval_partition.txt and Img/img/"
_LIST = "list_eval_partition.txt"
_BOX_FILE = "list_bbox_inshop.txt"
_SPLITS = ("train", "query", "gallery")


@dataclass(frozen=True, slots=True)
class _Image:
    path: str
    item: str
    split: str


def read_in_shop(root: Path, *, boxes: bool = False) -> Benchmark:
    """Returns the benchmark in its official split: the test photos are queries or gallery, none is both.

    A class is called as its item, ``id_00000007``.

    Args:
        root: The set's folder; the photos lie in ``Img/img`` or, without ``Img``, in ``img``.
        boxes: Whether photos are cropped to the boxes of ``Anno/list_bbox_inshop.txt``.

    Raises:
        InvalidInput: A file is missing or of another format.
    """
    lists = first_existing((root / "Eval", root), _LIST, layout=_LAYOUT)
    # The first line is the number of photos, the second names the columns.
    images = read_fields(lists / _LIST, _line, fields=3, skip=2)
    held = _boxes(root) if boxes else None
    prefix = "img" if (root / "img").is_dir() and not (root / "Img").is_dir() else "Img/img"
    train = [image for image in images if image.split == "train"]
    test = [image for image in images if image.split != "train"]
    return Benchmark(
        "inshop",
        _labelled("inshop train", root, prefix, train, held, has_roles=False),
        _labelled("inshop test", root, prefix, test, held, has_roles=True),
        KS,
        files=(lists / _LIST, _box_file(root)) if boxes else (lists / _LIST,),
    )


def _line(path: str, item: str, split: str) -> _Image:
    if split not in _SPLITS:
        raise InvalidInput(f"the split {split!r} is none of {', '.join(_SPLITS)}")
    return _Image(path.removeprefix("img/"), item, split)


def _boxes(root: Path) -> dict[str, Box]:
    return dict(read_fields(_box_file(root), _box, fields=7, skip=2))


def _box_file(root: Path) -> Path:
    folder = first_existing((root / "Anno", root), _BOX_FILE, layout=f"Anno/{_BOX_FILE} for boxes")
    return folder / _BOX_FILE


def _box(path: str, clothes: str, pose: str, x1: str, y1: str, x2: str, y2: str) -> tuple[str, Box]:
    del clothes, pose
    return path.removeprefix("img/"), Box(float(x1), float(y1), float(x2), float(y2))


def _labelled(
    name: str,
    root: Path,
    prefix: str,
    images: list[_Image],
    boxes: dict[str, Box] | None,
    *,
    has_roles: bool,
) -> LabelledImages:
    missing = [image.path for image in images if boxes is not None and image.path not in boxes]
    if missing:
        raise InvalidInput(f"the photo {missing[0]} of {name} has no box in {_BOX_FILE}")
    return labelled(
        name,
        root,
        [f"{prefix}/{image.path}" for image in images],
        [image.item for image in images],
        boxes=None if boxes is None else [boxes[image.path] for image in images],
        queries=[image.split == "query" for image in images] if has_roles else None,
        gallery=[image.split == "gallery" for image in images] if has_roles else None,
    )
