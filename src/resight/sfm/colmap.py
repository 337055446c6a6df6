"""3D models in COLMAP's files, binary and text, as COLMAP, pycolmap and hloc write them.

The layout is that of COLMAP's documentation ("Output Format"). The files are read here, because they may come
from anybody: COLMAP's own reader believes the counts that a damaged file declares.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float64, Int64

from resight.errors import InvalidInput
from resight.files.budget import MOST_BYTES, read_within, shown
from resight.files.foreign import reading

__all__ = ["ColmapModel", "find_models", "read_model"]

Content = TypeVar("Content")

_NAMES = ("cameras", "images", "points3D")
_MOST_LINE = 2**24
"""Characters of a line of text: half a million keypoints."""

# Parameters of each camera model: how many, and how many of the first are focal lengths. In the order of
# COLMAP's numbers, from 0.
_CAMERA_MODELS = {
    "SIMPLE_PINHOLE": (3, 1),
    "PINHOLE": (4, 2),
    "SIMPLE_RADIAL": (4, 1),
    "RADIAL": (5, 1),
    "OPENCV": (8, 2),
    "OPENCV_FISHEYE": (8, 2),
    "FULL_OPENCV": (12, 2),
    "FOV": (5, 2),
    "SIMPLE_RADIAL_FISHEYE": (4, 1),
    "RADIAL_FISHEYE": (5, 1),
    "THIN_PRISM_FISHEYE": (12, 2),
    "RAD_TAN_THIN_PRISM_FISHEYE": (16, 2),
    "SIMPLE_DIVISION": (4, 1),
    "DIVISION": (5, 2),
    "SIMPLE_FISHEYE": (3, 1),
    "FISHEYE": (4, 2),
    "EUCM": (6, 2),
    "EQUIRECTANGULAR": (2, 0),
}
_BY_NUMBER = tuple(_CAMERA_MODELS)


@dataclass(frozen=True, slots=True, eq=False)
class ColmapModel:
    """One 3D model.

    Attributes:
        folder: Where it was read.
        names: Of the images that are registered, as the model calls them, sorted.
        centres: Camera centres, one an image.
        rotations: World to camera.
        focal_lengths: As a share of the image's long side.
        points: 3D points.
        observations: Row of ``names`` and row of ``points``, each pair once, sorted.
    """

    folder: Path
    names: tuple[str, ...]
    centres: Float64[np.ndarray, "images 3"]
    rotations: Float64[np.ndarray, "images 3 3"]
    focal_lengths: Float64[np.ndarray, " images"]
    points: Float64[np.ndarray, "points 3"]
    observations: Int64[np.ndarray, "observations 2"]


def find_models(folder: str | Path) -> list[Path]:
    """Returns the folders of 3D models at and below a folder, sorted: COLMAP's ``sparse/0``, hloc's ``sfm``.

    hloc moves the largest model up out of a folder ``models`` and leaves the others, of other places, there;
    a model that is still there as well, a copy of the one above, is left out.

    Raises:
        InvalidInput: There is none.
    """
    folder = Path(folder)
    models = sorted({path.parent for path in folder.rglob("images.*") if _format(path.parent) is not None})
    own = [model for model in models if not _is_copy(model, model.parent.parent)]
    if not own:
        raise InvalidInput(
            f"there is no 3D model in {folder}: COLMAP and hloc write cameras, images and points3D as .bin "
            "or .txt into a folder"
        )
    return own


def _is_copy(model: Path, above: Path) -> bool:
    kind = _format(above)
    files = (f"images{kind}", f"points3D{kind}")
    return (
        kind is not None
        and model.parent.name == "models"
        and all((model / name).is_file() and cmp(model / name, above / name, shallow=False) for name in files)
    )


def read_model(folder: str | Path) -> ColmapModel:
    """Returns the 3D model of a folder; the binary files where it has both kinds.

    Raises:
        InvalidInput: A file is missing, truncated or damaged, or names an image or camera that is not there.
    """
    folder = Path(folder)
    kind = _format(folder)
    if kind is None:
        raise InvalidInput(
            f"{folder} is no 3D model of COLMAP: it lacks cameras, images or points3D, as .bin or .txt"
        )
    is_binary = kind == ".bin"
    cameras = _parsed(folder / f"cameras{kind}", _binary_cameras if is_binary else _text_cameras)
    images = _parsed(folder / f"images{kind}", _binary_images if is_binary else _text_images)
    points = _parsed(folder / f"points3D{kind}", _binary_points if is_binary else _text_points)
    with reading(folder, f"the 3D model in {folder} is damaged"):
        return _joined(folder, cameras, images, points)


def _parsed(path: Path, parse: Callable[[bytes], Content]) -> Content:
    with reading(path, f"{path} is no file of COLMAP, or a damaged one"):
        return parse(read_within(path, MOST_BYTES))


def _format(folder: Path) -> Literal[".bin", ".txt"] | None:
    for kind in (".bin", ".txt"):
        if all((folder / f"{name}{kind}").is_file() for name in _NAMES):
            return kind
    return None


@dataclass(frozen=True, slots=True)
class _Image:
    name: str
    camera: int
    pose: tuple[float, ...]  # quaternion w, x, y, z and translation, world to camera


_Cameras = dict[int, float]
"""Focal length of each camera, as a share of the long side."""
_Images = dict[int, _Image]
_Points = list[tuple[tuple[float, float, float], list[int]]]
"""Position, and the images of the track."""


def _joined(folder: Path, cameras: _Cameras, images: _Images, points: _Points) -> ColmapModel:
    order = sorted(images, key=lambda image: images[image].name)
    row_of = {image: row for row, image in enumerate(order)}
    names = tuple(images[image].name for image in order)
    if len(set(names)) < len(names):
        raise InvalidInput("it names an image twice")
    poses = np.array([images[image].pose for image in order], dtype=np.float64).reshape(-1, 7)
    rotations = _rotations(poses[:, :4])
    observations = [
        (row_of[image], row) for row, (_, track) in enumerate(points) for image in track if image in row_of
    ]
    pairs = np.array(observations, dtype=np.int64).reshape(-1, 2)
    positions = np.array([position for position, _ in points], dtype=np.float64).reshape(-1, 3)
    if not (np.isfinite(poses).all() and np.isfinite(positions).all()):
        raise InvalidInput("it holds numbers that are not finite")
    return ColmapModel(
        folder=folder,
        names=names,
        centres=-np.einsum("nji,nj->ni", rotations, poses[:, 4:]),
        rotations=rotations,
        focal_lengths=np.array([_camera_of(images[image], cameras) for image in order], dtype=np.float64),
        points=positions,
        observations=np.unique(pairs, axis=0),
    )


def _camera_of(image: _Image, cameras: _Cameras) -> float:
    if image.camera not in cameras:
        raise InvalidInput(f"the image {shown(image.name)} has the camera {image.camera}, which is not there")
    return cameras[image.camera]


def _rotations(quaternions: Float64[np.ndarray, "n 4"]) -> Float64[np.ndarray, "n 3 3"]:
    lengths = np.linalg.norm(quaternions, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise InvalidInput("a rotation is zero")
    w, x, y, z = (quaternions / lengths).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def _focal(model: str, width: int, height: int, parameters: Sequence[float]) -> float:
    focal_lengths = parameters[: _CAMERA_MODELS[model][1]]
    if width < 1 or height < 1 or not focal_lengths or not min(focal_lengths) > 0:
        raise InvalidInput(f"a camera of {width} x {height} pixels has no focal length")
    return float(np.mean(focal_lengths)) / max(width, height)


class _Bytes:
    """Little-endian values of a file, one after the other."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def take(self, layout: str) -> tuple[float, ...]:
        place = self._place
        self.skip(struct.calcsize(f"<{layout}"))
        return struct.unpack_from(f"<{layout}", self._content, place)

    def count(self, least: int) -> int:
        """Returns a number of records of at least so many bytes."""
        number = int(self.take("Q")[0])
        if number * least > len(self._content) - self._place:
            raise InvalidInput(f"it declares {number:,} records, more than it holds")
        return number

    def skip(self, size: int) -> None:
        self._place += size
        if self._place > len(self._content):
            raise InvalidInput("it ends too early")

    def text(self) -> str:
        end = self._content.index(b"\0", self._place)
        value = self._content[self._place : end].decode("utf-8", "surrogateescape")
        self._place = end + 1
        return value


def _binary_cameras(content: bytes) -> _Cameras:
    data, cameras = _Bytes(content), {}
    for _ in range(data.count(24)):
        number, model, width, height = (int(value) for value in data.take("IiQQ"))
        if not 0 <= model < len(_BY_NUMBER):
            raise InvalidInput(f"it has a camera of the unknown model {model}")
        name = _BY_NUMBER[model]
        parameters = data.take(f"{_CAMERA_MODELS[name][0]}d")
        cameras[number] = _focal(name, width, height, parameters)
    return cameras


def _binary_images(content: bytes) -> _Images:
    data, images = _Bytes(content), {}
    for _ in range(data.count(69)):
        number, *pose, camera = data.take("I7dI")
        name = data.text()
        data.skip(24 * data.count(24))
        images[int(number)] = _Image(name, int(camera), tuple(pose))
    return images


def _binary_points(content: bytes) -> _Points:
    data, points = _Bytes(content), []
    for _ in range(data.count(51)):
        _, x, y, z, *_ = data.take("Q3d3Bd")
        length = data.count(8)
        track = [int(value) for value in data.take(f"{2 * length}I")[::2]]
        points.append(((x, y, z), track))
    return points


def _lines(content: bytes) -> Iterator[str]:
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", "surrogateescape")
    while line := text.readline(_MOST_LINE):
        if len(line) == _MOST_LINE:
            # Its words would take ten times its room.
            raise InvalidInput(f"a line of it has more than {_MOST_LINE:,} characters")
        if not line.startswith("#"):
            yield line.strip()


def _text_cameras(content: bytes) -> _Cameras:
    cameras = {}
    for number, model, width, height, *parameters in map(str.split, filter(None, _lines(content))):
        if model not in _CAMERA_MODELS:
            raise InvalidInput(f"it has a camera of the unknown model {shown(model)}")
        values = [float(value) for value in parameters]
        cameras[int(number)] = _focal(model, int(width), int(height), values)
    return cameras


def _text_images(content: bytes) -> _Images:
    images = {}
    lines = _lines(content)
    # Two lines an image; the second, its keypoints, is empty where it has none.
    for line in lines:
        if not line:
            continue
        number, *pose, camera, name = line.split(maxsplit=9)
        images[int(number)] = _Image(name, int(camera), tuple(float(value) for value in pose))
        next(lines, None)
    return images


def _text_points(content: bytes) -> _Points:
    points = []
    for line in map(str.split, filter(None, _lines(content))):
        x, y, z = (float(value) for value in line[1:4])
        points.append(((x, y, z), [int(value) for value in line[8::2]]))
    return points
