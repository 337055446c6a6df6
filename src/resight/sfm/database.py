"""Keypoints of photos and verified matches between them, in a database of COLMAP.

Every photo and every pair is one transaction, so a killed process goes on where it ended. Photos are numbered
in their order and a pair's RANSAC draws from its own seed: the database's content does not depend on threads,
kills or their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Float32, Int64

from resight import images
from resight._lazy import require
from resight.errors import UnreadableImage
from resight.files import Progress, available_cpus, in_threads, silent, write_whole

if TYPE_CHECKING:
    import pycolmap

__all__ = ["ReconstructionConfig", "add_photos", "colmap", "match_pairs", "verified_pairs"]

_BLOCK = 500
"""Pairs that are matched between two reports of progress."""
_ERRORS_ALONE = 3
"""COLMAP's level of its log at which nothing is printed but fatal errors."""
_USUAL_FOCAL = 1.2
"""Focal length as a share of the long side where nothing is known of it, as COLMAP assumes it."""


@dataclass(frozen=True, slots=True)
class ReconstructionConfig:
    """How photos are reconstructed.

    Attributes:
        max_side: Long side in pixels at which keypoints are found.
        features: SIFT keypoints of a photo at most; those of the largest scale are kept.
        neighbours: Photos nearest by descriptor with which each photo is matched; then, twice, as many at
            most of those that match the same photos.
        exhaustive: Up to so many photos every pair is matched.
        least_matches: Matches that one geometry must explain for a pair to count.
        seed: Of RANSAC and of the mapping; at least 0.
    """

    max_side: int = 1600
    features: int = 4096
    neighbours: int = 30
    exhaustive: int = 60
    least_matches: int = 15
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Features:
    width: int
    height: int
    focal: float | None  # share of the long side, by the EXIF data
    keypoints: Float32[np.ndarray, "n 4"]
    descriptors: pycolmap.FeatureDescriptors


@contextmanager
def colmap() -> Iterator[None]:
    """Lets COLMAP work without its log; errors are raised as ever.

    Raises:
        MissingExtra: pycolmap is not installed.
    """
    require("sfm", ["pycolmap"], "structure from motion")
    import pycolmap

    level, pycolmap.logging.minloglevel = pycolmap.logging.minloglevel, _ERRORS_ALONE
    try:
        yield
    except KeyboardInterrupt:
        level = _ERRORS_ALONE  # Threads that are not waited for still work.
        raise
    finally:
        pycolmap.logging.minloglevel = level


def add_photos(
    database: Path, photos: Sequence[Path], config: ReconstructionConfig, progress: Progress = silent
) -> None:
    """Finds keypoints of the photos that the database lacks; a photo's name in it is its row as a number.

    A photo that cannot be read has no keypoints.
    """
    import pycolmap

    with closing(pycolmap.Database.open(database)) as opened:
        done = opened.num_images()
        work = in_threads(lambda photo: _features(photo, config), photos[done:])
        for row, features in enumerate(work, start=done):
            _write(opened, row, features)
            progress(row + 1, len(photos))


def _features(path: Path, config: ReconstructionConfig) -> _Features:
    import pycolmap

    options = pycolmap.FeatureExtractionOptions()
    options.max_image_size = config.max_side
    options.num_threads = 1
    options.sift.max_num_features = config.features
    try:
        with images.open_file(path) as stream:
            focal = images.focal_of(stream)
            photo = images.read(stream, max_side=config.max_side)
    except (OSError, UnreadableImage):
        nothing = pycolmap.FeatureDescriptors(
            type=pycolmap.FeatureExtractorType.SIFT, data=np.zeros((0, 128), np.uint8)
        )
        return _Features(1, 1, None, np.zeros((0, 4), np.float32), nothing)
    grey = cv2.cvtColor(photo.pixels, cv2.COLOR_RGB2GRAY)
    extractor = pycolmap.FeatureExtractor.create(options, pycolmap.Device.auto)
    keypoints, descriptors = extractor.extract_from_uint8_array(grey)
    height, width = grey.shape
    return _Features(width, height, focal, pycolmap.keypoints_to_matrix(keypoints), descriptors)


def _write(database: pycolmap.Database, row: int, features: _Features) -> None:
    """Writes a photo with a camera of its own: photos of one folder may come from many cameras."""
    import pycolmap

    number, side = row + 1, max(features.width, features.height)
    camera = pycolmap.Camera.create_from_model_name(
        number,
        "SIMPLE_RADIAL",
        side * (features.focal or _USUAL_FOCAL),
        features.width,
        features.height,
    )
    camera.has_prior_focal_length = features.focal is not None
    with pycolmap.DatabaseTransaction(database):
        database.write_camera(camera, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=number)
        rig.add_ref_sensor(camera.sensor_id)
        database.write_rig(rig, use_rig_id=True)
        image = pycolmap.Image(name=str(row), camera_id=number, image_id=number)
        database.write_image(image, use_image_id=True)
        frame = pycolmap.Frame(frame_id=number, rig_id=number)
        frame.add_data_id(image.data_id)
        database.write_frame(frame, use_frame_id=True)
        database.write_keypoints(number, features.keypoints)
        database.write_descriptors(number, features.descriptors)


def match_pairs(
    database: Path,
    pairs: Int64[np.ndarray, "n 2"],
    config: ReconstructionConfig,
    progress: Progress = silent,
) -> None:
    """Matches the pairs that are not matched yet, and verifies them by two-view geometry.

    Args:
        database: As `add_photos` made it.
        pairs: Rows of photos.
        config: How.
        progress: Called with pairs done and pairs in all.
    """
    import pycolmap

    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads = available_cpus()
    verification = pycolmap.TwoViewGeometryOptions()
    verification.min_num_inliers = config.least_matches
    verification.ransac.random_seed = config.seed
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = database.with_name("pairs.txt")
    for start in range(0, len(pairs), _BLOCK):
        block = pairs[start : start + _BLOCK]
        write_whole(pairing.match_list_path, "".join(f"{a} {b}\n" for a, b in block.tolist()))
        pycolmap.match_image_pairs(
            database, matching_options=matching, pairing_options=pairing, verification_options=verification
        )
        progress(start + len(block), len(pairs))


def verified_pairs(database: Path, config: ReconstructionConfig) -> Int64[np.ndarray, "n 3"]:
    """Returns rows of two photos and how many matches one geometry explains, where these are enough."""
    import pycolmap

    with closing(pycolmap.Database.open(database)) as opened:
        pairs, counts = opened.read_two_view_geometry_num_inliers()
    rows = [
        (a - 1, b - 1, count)
        for (a, b), count in zip(map(pycolmap.pair_id_to_image_pair, pairs), counts, strict=True)
        if count >= config.least_matches
    ]
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 3)
