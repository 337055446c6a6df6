"""A user's copy of a landmark benchmark: its ground truth and where its photos are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from resight.datasets.google_landmarks import (
    Solution,
    image_path,
    read_ids,
    read_solution,
    read_train,
    retrieval_truth,
)
from resight.datasets.holidays import holidays_truth, read_holidays
from resight.datasets.landmark_truth import LandmarkTruth, Task, indices
from resight.datasets.oxford_paris import read_oxford_paris, read_oxford_paris_lists
from resight.datasets.revisited import read_annotations, read_ground_truth
from resight.errors import InvalidInput
from resight.files import shown
from resight.files.budget import MOST_VALUES

__all__ = [
    "LandmarkFolder",
    "Recognition",
    "photos_in",
    "read_holidays_folder",
    "read_landmark_truth",
    "read_original",
    "read_recall_truth",
    "read_recognition",
    "read_retrieval",
    "read_revisited",
]

_RETRIEVAL_SOLUTION = "retrieval_solution_v2.1.csv"
_RECOGNITION_SOLUTION = "recognition_solution_v2.1.csv"
_TRAINS = ("train_clean.csv", "train.csv")
_SUFFIXES = (".pkl", ".mat", ".json")


@dataclass(frozen=True, slots=True)
class LandmarkFolder:
    """A benchmark's ground truth and photos.

    Attributes:
        truth: The positives of each query.
        root: The folder that paths are relative to.
        database: One path a database image, relative, ``/`` between folders.
        queries: One a query.
    """

    truth: LandmarkTruth
    root: Path
    database: tuple[str, ...]
    queries: tuple[str, ...]

    def __post_init__(self) -> None:
        for path in (*self.queries, *self.database):
            parts = PurePath(path)
            # Ground truth comes from elsewhere, and pages show what it names.
            if parts.is_absolute() or ".." in parts.parts:
                raise InvalidInput(
                    f"the ground truth of {self.root} names a photo outside of that folder: {shown(path)}"
                )

    def require_photos(self) -> None:
        """Passes a copy whose photos are all there.

        Raises:
            InvalidInput: One is missing; the message counts them.
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
    return replace(read_ground_truth(path).as_landmarks(name), files=(path,))


def read_recall_truth(path: str | Path) -> LandmarkTruth:
    """Returns the ground truth of a JSON of ``dataset``, ``queries`` (how many) and ``positives``.

    ``positives`` holds for each query number, from 0, the numbers of its right references. How many there
    are in all it does not say: ``references`` where the file has it, else one more than the largest number.

    Raises:
        InvalidInput: The file is missing or holds something else, or a query has no entry.
    """
    content = read_annotations(Path(path))
    try:
        listed, count = content["positives"], content["queries"]
        if not isinstance(listed, dict) or not isinstance(count, int) or isinstance(count, bool):
            raise InvalidInput("positives is no dict, or queries no number")
        if count < 1:
            raise InvalidInput("it lists no query")
        if count > len(listed):
            raise InvalidInput(f"it has {count} queries, and positives of {len(listed)}")
        strangers = sorted(listed.keys() - {str(query) for query in range(count)})
        if strangers:
            raise InvalidInput(f"query {strangers[0]} is none of 0 to {count - 1}")
        positives = tuple(indices(listed[str(query)], first=0) for query in range(count))
        size = content.get("references", 1 + max((max(some, default=-1) for some in positives), default=-1))
        if not isinstance(size, int):
            raise InvalidInput("references is no number")
        if size > MOST_VALUES:
            raise InvalidInput(f"it has {shown(size)} references; at most {MOST_VALUES:,} are read")
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is no list of right references: {error}") from None
    return LandmarkTruth(
        str(content.get("dataset", Path(path).stem)),
        tuple(str(number) for number in range(size)),
        tuple(str(number) for number in range(count)),
        (None,) * count,
        (Task("all", positives, (frozenset(),) * count),),
        "recall",
        "Queries and references are different photos.",
        files=(Path(path),),
    )


def read_revisited(root: Path, name: str | None = None) -> LandmarkFolder:
    """Returns the benchmark of a folder with one ``gnd_*.pkl``, ``.mat`` or ``.json``.

    Photos lie in ``jpg/`` or in the folder itself, queries also in ``queries/``.

    Args:
        root: The folder.
        name: The part of the file's name after ``gnd_``, which is the benchmark's; None: whichever is there.

    Raises:
        InvalidInput: There is no such file, there are several, or it cannot be understood.
        MissingExtra: It is a MATLAB file and SciPy is not installed.
    """
    truth = read_landmark_truth(_ground_truth(root, name or "*"))
    return photos_in(truth if name is None else replace(truth, benchmark=name), root)


def read_original(root: Path, name: str) -> LandmarkFolder:
    """Returns Oxford5k or Paris6k: of the authors' lists in ``gt_files/``, else as `read_revisited`.

    Raises:
        InvalidInput: There is no ground truth, or it cannot be understood.
        MissingExtra: It is a MATLAB file and SciPy is not installed.
    """
    if not (root / "gt_files").is_dir():
        return read_revisited(root, name)
    names = tuple(sorted(path.stem for path in _photos(root).glob("*.jpg")))
    return photos_in(read_oxford_paris_lists(root / "gt_files", names, benchmark=name), root)


def read_holidays_folder(root: Path) -> LandmarkFolder:
    """Returns Holidays: of ``gnd_holidays.mat`` where it is there, else of the photos' names.

    Raises:
        InvalidInput: The file cannot be understood, or a photo has no name of Holidays.
        MissingExtra: There is the file, and SciPy is not installed.
    """
    if (root / "gnd_holidays.mat").is_file():
        return photos_in(read_holidays(root / "gnd_holidays.mat"), root)
    return photos_in(holidays_truth(path.stem for path in _photos(root).glob("*.jpg")), root)


def read_retrieval(root: Path) -> LandmarkFolder:
    """Returns the retrieval task of Google Landmarks v2.

    Args:
        root: Holds ``index.csv`` and ``retrieval_solution_v2.1.csv`` beside ``index/`` and ``test/``.

    Raises:
        InvalidInput: A list is missing or cannot be understood.
    """
    files = (root / _RETRIEVAL_SOLUTION, root / "index.csv")
    truth = retrieval_truth(read_solution(files[0]), read_ids(files[1]))
    return _google_landmarks(replace(truth, files=files), root, "index")


@dataclass(frozen=True, slots=True)
class Recognition:
    """The recognition task of Google Landmarks v2.

    Attributes:
        solution: The landmarks of each test image.
        folder: The photos: the database are the training images, the queries the test images that count.
        landmarks: The landmark of each training image.
        train: Name of the list of training images.
    """

    solution: Solution
    folder: LandmarkFolder
    landmarks: tuple[str, ...]
    train: str


def read_recognition(root: Path) -> Recognition:
    """Returns the recognition task of Google Landmarks v2.

    Args:
        root: Holds ``recognition_solution_v2.1.csv``, ``train_clean.csv`` or ``train.csv``, ``train/`` and
            ``test/``.

    Raises:
        InvalidInput: A list is missing or cannot be understood.
    """
    solution = read_solution(root / _RECOGNITION_SOLUTION)
    if solution.kind != "recognition":
        raise InvalidInput(f"{root / _RECOGNITION_SOLUTION} is a solution of retrieval")
    train = next((name for name in _TRAINS if (root / name).is_file()), None)
    if train is None:
        raise InvalidInput(f"{root} has neither {' nor '.join(_TRAINS)}")
    images, landmarks = read_train(root / train)
    queries = tuple(image for image, usage in solution.usages.items() if usage != "Ignored")
    boxes = (None,) * len(queries)
    truth = LandmarkTruth(
        "gldv2 recognition",
        images,
        queries,
        boxes,
        (),
        "recall",
        "Not in training.",
        files=(root / _RECOGNITION_SOLUTION, root / train),
    )
    return Recognition(solution, _google_landmarks(truth, root, "train"), landmarks, train)


def _google_landmarks(truth: LandmarkTruth, root: Path, database: str) -> LandmarkFolder:
    return LandmarkFolder(
        truth,
        root,
        tuple(image_path(Path(database), image).as_posix() for image in truth.database),
        tuple(image_path(Path("test"), image).as_posix() for image in truth.queries),
    )


def _ground_truth(root: Path, name: str) -> Path:
    paths = [path for suffix in _SUFFIXES for path in sorted(root.glob(f"gnd_{name}{suffix}"))]
    stems = {path.stem for path in paths}
    if not paths:
        raise InvalidInput(f"{root} has no ground truth gnd_{name}.pkl, .mat or .json")
    if len(stems) > 1:
        raise InvalidInput(
            f"{root} has several ground truths ({', '.join(sorted(stems))}): name the benchmark"
        )
    return paths[0]


def _photos(root: Path) -> Path:
    return root / "jpg" if (root / "jpg").is_dir() else root


def photos_in(truth: LandmarkTruth, root: Path) -> LandmarkFolder:
    """Returns where the photos of a ground truth lie in a folder, as `read_revisited` says."""
    folder = _photos(root).relative_to(root)
    own = root / "queries"
    database = tuple((folder / f"{name}.jpg").as_posix() for name in truth.database)
    queries = tuple(
        (Path("queries") if (own / f"{name}.jpg").is_file() else folder).joinpath(f"{name}.jpg").as_posix()
        for name in truth.queries
    )
    return LandmarkFolder(truth, root, database, queries)
