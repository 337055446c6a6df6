"""What is wrong with the photos of a benchmark: each file is read and decoded once."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from resight import images
from resight.datasets.dataset import Benchmark, LabelledImages
from resight.datasets.findings import Finding, Kind, note, problem, some
from resight.datasets.landmark_folder import LandmarkFolder
from resight.errors import UnreadableImage
from resight.features import Box
from resight.files import Progress, in_threads

__all__ = ["labelled_photo_findings", "landmark_photo_findings"]

# A JPEG that is decoded at an eighth of its size is still read to its end: what is cut off shows.
_DECODED_SIDE = 32
# Sets that count pixels from 1 have boxes that end one pixel past the photo; that crops nothing away.
_PAST_THE_EDGE = 1.0


@dataclass(frozen=True, slots=True)
class _Photos:
    """Photos that a benchmark lists.

    Attributes:
        name: What findings call them.
        root: The folder that ``paths`` are relative to.
        paths: One a photo.
        boxes: One a photo; None: the whole photo.
    """

    name: str
    root: Path
    paths: Sequence[str]
    boxes: Sequence[Box | None]


@dataclass(frozen=True, slots=True)
class _File:
    """What became of a listed photo.

    Attributes:
        content: BLAKE2b of its bytes; None if it cannot be read at all.
        reason: Why it is no photo that can be used; None if it is one.
        missing: Whether there is no such file.
        outside: Whether its box leaves it.
    """

    content: bytes | None
    reason: str | None = None
    missing: bool = False
    outside: bool = False


def labelled_photo_findings(
    benchmark: Benchmark, *, workers: int | None = None, progress: Progress | None = None
) -> list[Finding]:
    """Returns what is missing, unreadable, duplicated or leaked, and boxes that leave their photos.

    Args:
        benchmark: Its lists.
        workers: Threads that read; by default the processors available.
        progress: Called with how many photos are done and how many there are.

    Raises:
        InvalidInput: ``workers`` is not positive.
    """
    listed = [_listed(part) for part in benchmark.parts]
    findings: list[Finding] = []
    known: list[tuple[str, dict[bytes | None, str]]] = []
    looked_at = _files(listed, workers=workers, progress=progress)
    splits = ("training", "test") if benchmark.validation is None else ("training", "validation", "test")
    for split, part, photos, files in zip(splits, benchmark.parts, listed, looked_at, strict=True):
        findings += [*_unusable(photos, files), *_repeated(photos), *_duplicates(part, files)]
        for earlier, contents in known:
            pairs = zip(photos.paths, files, strict=True)
            findings += _leaks(pairs, contents, f"{split} photos have the bytes of a {earlier} photo")
        known.append((split, {file.content: path for path, file in zip(photos.paths, files, strict=True)}))
    return findings


def landmark_photo_findings(
    folder: LandmarkFolder, *, workers: int | None = None, progress: Progress | None = None
) -> list[Finding]:
    """Returns what is missing, unreadable, duplicated or leaked, and query boxes that leave their photos.

    A query leaks if an image of the database has its bytes, and the benchmark does not have it there itself.

    Args:
        folder: The benchmark's lists.
        workers: Threads that read; by default the processors available.
        progress: Called with how many photos are done and how many there are.

    Raises:
        InvalidInput: ``workers`` is not positive.
    """
    truth = folder.truth
    database = _Photos("database", folder.root, folder.database, (None,) * len(folder.database))
    queries = _Photos("queries", folder.root, folder.queries, truth.boxes)
    stored, searched = _files((database, queries), workers=workers, progress=progress)
    names = set(truth.database)
    known = {file.content: path for path, file in zip(database.paths, stored, strict=True)}
    # A query that the benchmark keeps in its database is there by its rules.
    others = [
        (path, file)
        for name, path, file in zip(truth.queries, queries.paths, searched, strict=True)
        if name not in names
    ]
    return [
        *_unusable(database, stored),
        *_unusable(queries, searched),
        *_duplicate(note, "duplicate", "database", _same_bytes(database.paths, stored)),
        *_leaks(others, known, "queries have the bytes of a database image"),
    ]


def _listed(part: LabelledImages) -> _Photos:
    return _Photos(part.name, part.root, part.paths, part.boxes or (None,) * len(part))


def _files(parts: Sequence[_Photos], *, workers: int | None, progress: Progress | None) -> list[list[_File]]:
    total, done = sum(len(part.paths) for part in parts), 0
    files: list[list[_File]] = []
    for part in parts:
        files.append([])
        for file in in_threads(partial(_look, part), range(len(part.paths)), workers=workers):
            files[-1].append(file)
            done += 1
            if progress is not None:
                progress(done, total)
    return files


def _look(part: _Photos, index: int) -> _File:
    path = part.root / part.paths[index]
    content: bytes | None = None
    try:
        with images.open_file(path) as stream:
            content = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=20)).digest()
            photo = images.read(stream, max_side=_DECODED_SIDE)
    except FileNotFoundError:
        return _File(None, missing=True)
    except UnreadableImage as error:
        return _File(content, reason=error.reason)
    except (OSError, ValueError) as error:
        # A name with a null character is no path.
        return _File(None, reason=getattr(error, "strerror", None) or str(error))
    box = part.boxes[index]
    return _File(
        content,
        outside=box is not None
        and (
            min(box.x0, box.y0) < 0
            or box.x1 > photo.width + _PAST_THE_EDGE
            or box.y1 > photo.height + _PAST_THE_EDGE
        ),
    )


def _unusable(part: _Photos, files: Sequence[_File]) -> list[Finding]:
    listed = list(zip(part.paths, files, strict=True))
    missing = [path for path, file in listed if file.missing]
    outside = [path for path, file in listed if file.outside]
    # One finding a reason, so that one of a thousand broken files does not speak for all.
    reasons: dict[str, list[str]] = defaultdict(list)
    for path, file in listed:
        if file.reason is not None:
            reasons[file.reason].append(path)
    findings = [
        problem("unreadable", f"{part.name}: {len(paths):,} cannot be read ({reason}): {some(paths)}", paths)
        for reason, paths in reasons.items()
    ]
    if missing:
        sentence = f"{part.name}: {len(missing):,} of {len(listed):,} photos are missing: {some(missing)}"
        findings.insert(0, problem("missing", sentence, missing))
    if outside:
        sentence = f"{part.name}: {len(outside):,} boxes leave their photos: {some(outside)}"
        findings.append(problem("box", sentence, outside))
    return findings


def _repeated(part: _Photos) -> list[Finding]:
    # With boxes a photo may be listed for each of the things it shows.
    counted = Counter(zip(part.paths, part.boxes, strict=True))
    paths = sorted({path for (path, _), times in counted.items() if times > 1})
    if not paths:
        return []
    return [
        problem("repeated", f"{part.name}: {len(paths):,} are listed more than once: {some(paths)}", paths)
    ]


def _duplicates(part: LabelledImages, files: Sequence[_File]) -> list[Finding]:
    """Returns files of the same bytes within a split: a note, and a problem where their labels differ."""
    label: dict[str, int] = {}
    for path, number in zip(part.paths, part.labels.tolist(), strict=True):
        label.setdefault(path, number)
    groups = _same_bytes(part.paths, files)
    apart = [group for group in groups if len({label[path] for path in group}) > 1]
    alike = [group for group in groups if len({label[path] for path in group}) == 1]
    return [
        *_duplicate(problem, "contradiction", f"{part.name}, with different labels", apart),
        *_duplicate(note, "duplicate", f"{part.name}, with the same label", alike),
    ]


def _same_bytes(paths: Sequence[str], files: Sequence[_File]) -> list[list[str]]:
    """Returns the groups of two or more paths whose files have the same bytes."""
    groups: dict[bytes, dict[str, None]] = defaultdict(dict)
    for path, file in zip(paths, files, strict=True):
        if file.content is not None:
            groups[file.content][path] = None
    return [list(group) for group in groups.values() if len(group) > 1]


def _duplicate(
    finding: Callable[[Kind, str, Sequence[str]], Finding],
    kind: Kind,
    where: str,
    groups: Sequence[Sequence[str]],
) -> list[Finding]:
    paths = [path for group in groups for path in group]
    if not paths:
        return []
    sentence = f"{where}: {len(paths):,} files have {len(groups):,} different contents: {some(paths)}"
    return [finding(kind, sentence, paths)]


def _leaks(
    listed: Iterable[tuple[str, _File]], known: Mapping[bytes | None, str], words: str
) -> list[Finding]:
    """Returns a problem where listed files have bytes that are known by a path of another part."""
    pairs = [
        (path, known[file.content])
        for path, file in listed
        if file.content is not None and file.content in known
    ]
    if not pairs:
        return []
    shown = some([f"{path} is {other}" for path, other in pairs])
    return [problem("leak", f"{len(pairs):,} {words}: {shown}", [path for path, _ in pairs])]
