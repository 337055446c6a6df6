"""A user's copy of a landmark benchmark: its ground truth and where its photos are."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from resight.datasets.holidays import holidays_truth, read_holidays
from resight.datasets.landmark_truth import LandmarkTruth
from resight.datasets.landmarks import image_path, read_ids, read_solution, retrieval_truth
from resight.datasets.oxford_paris import read_oxford_paris, read_oxford_paris_lists
from resight.datasets.recall_truth import read_recall_truth
from resight.datasets.revisited import read_annotations, read_ground_truth
from resight.errors import InvalidInput

__all__ = ["LANDMARK_BENCHMARKS", "LandmarkFolder", "open_landmarks", "photos_in", "read_landmark_truth"]

RETRIEVAL_SOLUTION = "retrieval_solution_v2.1.csv"
_SUFFIXES = (".pkl", ".mat", ".json")

_SIZES = {
    "roxford5k": (4993, 70),
    "rparis6k": (6322, 70),
    "oxford5k": (5063, 55),
    "paris6k": (6392, 55),
    "holidays": (1491, 500),
    "gldv2": (761_757, 1129),
}
"""Images and queries as published: Radenovic et al. 2018; Philbin et al. 2007, 2008 (20 corrupted photos of
Paris left out); Jégou et al. 2008; Weyand et al. 2020 (379 public and 750 private queries)."""


@dataclass(frozen=True, slots=True)
class LandmarkFolder:
    """A benchmark's ground truth and photos.

    Attributes:
        truth: What must be found.
        root: The folder that paths are relative to.
        database: One path a database image, relative, ``/`` between folders.
        queries: One a query.
    """

    truth: LandmarkTruth
    root: Path
    database: tuple[str, ...]
    queries: tuple[str, ...]

    def require_photos(self) -> None:
        """Passes a copy whose photos are all there.

        Raises:
            InvalidInput: One is missing; how many are is said.
        """
        missing = [path for path in (*self.queries, *self.database) if not (self.root / path).is_file()]
        if missing:
            raise InvalidInput(
                f"{self.root} lacks {missing[0]} ({len(missing):,} of "
                f"{len(self.queries) + len(self.database):,} photos are missing)"
            )


def read_landmark_truth(path: str | Path) -> LandmarkTruth:
    """Returns the ground truth of a file, whichever of the known kinds it is.

    Known are the revisited, the original Oxford and Paris, and the Holidays files (.pkl of plain types, .mat,
    .json), and lists of the right references of place recognition (.json).

    Raises:
        InvalidInput: The file is missing, or is none of them.
        MissingExtra: It is a MATLAB file and SciPy is not installed.
    """
    path = Path(path)
    content = read_annotations(path)
    name = path.stem.removeprefix("gnd_")
    if "feature_name" in content:
        return read_holidays(path)
    if "positives" in content:
        return read_recall_truth(path)
    entries = content.get("gnd")
    first = entries[0] if isinstance(entries, list) and entries else None
    if isinstance(first, dict) and "ok" in first:
        return read_oxford_paris(path, benchmark=name)
    return read_ground_truth(path).as_landmarks(name)


def open_landmarks(name: str, root: str | Path) -> LandmarkFolder:
    """Returns a benchmark from the user's copy of it; its lists are checked, the photos are not opened.

    ``revisited`` is any folder with ``gnd_*.pkl``, ``.mat`` or ``.json``. Photos lie in ``jpg/`` or in the
    folder itself, queries also in ``queries/``. Oxford5k and Paris6k are read from the authors' lists in
    ``gt_files/`` too, Holidays without any list. ``gldv2`` needs ``index.csv`` and
    ``retrieval_solution_v2.1.csv`` beside ``index/`` and ``test/``.

    Args:
        name: One of `LANDMARK_BENCHMARKS`.
        root: The folder.

    Raises:
        InvalidInput: There is no such benchmark or no such copy of it, or its counts are not as published.
        MissingExtra: The ground truth is a MATLAB file and SciPy is not installed.
    """
    if name not in LANDMARK_BENCHMARKS:
        near = difflib.get_close_matches(name, LANDMARK_BENCHMARKS, n=1)
        hint = f", did you mean {near[0]}" if near else ""
        raise InvalidInput(
            f"there is no landmark benchmark {name!r}{hint}; there are {', '.join(LANDMARK_BENCHMARKS)}"
        )
    root = Path(root)
    if not root.is_dir():
        raise InvalidInput(f"there is no folder {root}")
    found = LANDMARK_BENCHMARKS[name](root)
    sizes = _SIZES.get(name)
    held = len(found.truth.database), len(found.truth.queries)
    if sizes is not None and held != sizes:
        raise InvalidInput(
            f"{root} is no complete copy of {name}: it has {held[0]:,} images and {held[1]:,} queries, not "
            f"{sizes[0]:,} and {sizes[1]:,}; measure a part of it as revisited"
        )
    return found


def _revisited(root: Path) -> LandmarkFolder:
    return photos_in(read_landmark_truth(_ground_truth(root, "*")), root)


def _named(name: str) -> Callable[[Path], LandmarkFolder]:
    def read(root: Path) -> LandmarkFolder:
        truth = read_landmark_truth(_ground_truth(root, name))
        return photos_in(replace(truth, benchmark=name), root)

    return read


def _original(name: str) -> Callable[[Path], LandmarkFolder]:
    def read(root: Path) -> LandmarkFolder:
        if not (root / "gt_files").is_dir():
            return _named(name)(root)
        names = tuple(sorted(path.stem for path in _photos(root).glob("*.jpg")))
        return photos_in(read_oxford_paris_lists(root / "gt_files", names, benchmark=name), root)

    return read


def _holidays(root: Path) -> LandmarkFolder:
    if (root / "gnd_holidays.mat").is_file():
        return photos_in(read_holidays(root / "gnd_holidays.mat"), root)
    return photos_in(holidays_truth(path.stem for path in _photos(root).glob("*.jpg")), root)


def _gldv2(root: Path) -> LandmarkFolder:
    truth = retrieval_truth(read_solution(root / RETRIEVAL_SOLUTION), read_ids(root / "index.csv"))
    return LandmarkFolder(
        truth,
        root,
        tuple(image_path(Path("index"), image).as_posix() for image in truth.database),
        tuple(image_path(Path("test"), image).as_posix() for image in truth.queries),
    )


def _ground_truth(root: Path, name: str) -> Path:
    found = [path for suffix in _SUFFIXES for path in sorted(root.glob(f"gnd_{name}{suffix}"))]
    stems = {path.stem for path in found}
    if not found:
        raise InvalidInput(f"{root} has no ground truth gnd_{name}.pkl, .mat or .json")
    if len(stems) > 1:
        raise InvalidInput(
            f"{root} has several ground truths ({', '.join(sorted(stems))}): name the benchmark"
        )
    return found[0]


def _photos(root: Path) -> Path:
    return root / "jpg" if (root / "jpg").is_dir() else root


def photos_in(truth: LandmarkTruth, root: Path) -> LandmarkFolder:
    """Returns where the photos of a ground truth lie in a folder, as `open_landmarks` says."""
    folder = _photos(root).relative_to(root)
    own = root / "queries"
    database = tuple((folder / f"{name}.jpg").as_posix() for name in truth.database)
    queries = tuple(
        (Path("queries") if (own / f"{name}.jpg").is_file() else folder).joinpath(f"{name}.jpg").as_posix()
        for name in truth.queries
    )
    return LandmarkFolder(truth, root, database, queries)


LANDMARK_BENCHMARKS: dict[str, Callable[[Path], LandmarkFolder]] = {
    "roxford5k": _named("roxford5k"),
    "rparis6k": _named("rparis6k"),
    "oxford5k": _original("oxford5k"),
    "paris6k": _original("paris6k"),
    "holidays": _holidays,
    "gldv2": _gldv2,
    "revisited": _revisited,
}
"""Names that can be typed, and how each is read."""
