"""What is wrong with the photos of a benchmark: each file is read and decoded once."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from resight import images
from resight.datasets.ahead import ahead
from resight.datasets.dataset import Benchmark, LabelledImages
from resight.datasets.findings import Finding, Kind, note, problem, some
from resight.errors import UnreadableImage

__all__ = ["photo_findings"]

# A JPEG that is decoded at an eighth of its size is still read to its end: what is cut off shows.
_DECODED_SIDE = 32
# Sets that count pixels from 1 have boxes that end one pixel past the photo; that crops nothing away.
_PAST_THE_EDGE = 1.0


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


def photo_findings(
    benchmark: Benchmark, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> list[Finding]:
    """Returns what is missing, unreadable, duplicated or leaked, and boxes that leave their photos.

    Args:
        benchmark: Its lists.
        workers: Threads that read; by default the processors available.
        progress: Called with how many photos are done and how many there are.

    Raises:
        InvalidInput: ``workers`` is not positive.
    """
    parts = (benchmark.train, benchmark.test)
    total, done = sum(map(len, parts)), 0
    looked: list[list[_File]] = []
    for part in parts:
        looked.append([])
        for file in ahead(partial(_look, part), range(len(part)), workers=workers):
            looked[-1].append(file)
            done += 1
            if progress is not None:
                progress(done, total)
    findings: list[Finding] = []
    for part, files in zip(parts, looked, strict=True):
        findings += _unusable(part, files) + _repeated(part) + _duplicates(part, files)
    return findings + _leaks(benchmark, *looked)


def _look(part: LabelledImages, index: int) -> _File:
    path = part.root / part.paths[index]
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return _File(None, missing=True)
    except OSError as error:
        return _File(None, reason=error.strerror or type(error).__name__)
    content = hashlib.blake2b(data, digest_size=20).digest()
    try:
        photo = images.read(data, max_side=_DECODED_SIDE)
    except UnreadableImage as error:
        return _File(content, reason=error.reason)
    box = None if part.boxes is None else part.boxes[index]
    return _File(
        content,
        outside=box is not None
        and (
            min(box.x0, box.y0) < 0
            or box.x1 > photo.width + _PAST_THE_EDGE
            or box.y1 > photo.height + _PAST_THE_EDGE
        ),
    )


def _unusable(part: LabelledImages, files: Sequence[_File]) -> list[Finding]:
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
        sentence = f"{part.name}: {len(missing):,} of {len(part):,} photos are missing: {some(missing)}"
        findings.insert(0, problem("missing", sentence, missing))
    if outside:
        sentence = f"{part.name}: {len(outside):,} boxes leave their photos: {some(outside)}"
        findings.append(problem("box", sentence, outside))
    return findings


def _repeated(part: LabelledImages) -> list[Finding]:
    # With boxes a photo may be listed for each of the things it shows.
    boxes = part.boxes or (None,) * len(part)
    counted = Counter(zip(part.paths, boxes, strict=True))
    paths = sorted({path for (path, _), times in counted.items() if times > 1})
    if not paths:
        return []
    return [
        problem("repeated", f"{part.name}: {len(paths):,} are listed more than once: {some(paths)}", paths)
    ]


def _duplicates(part: LabelledImages, files: Sequence[_File]) -> list[Finding]:
    """Returns files of the same bytes within a split: a note, and a problem where their labels differ."""
    groups: dict[bytes, dict[str, int]] = defaultdict(dict)
    for path, label, file in zip(part.paths, part.labels.tolist(), files, strict=True):
        if file.content is not None:
            groups[file.content].setdefault(path, label)
    several = [group for group in groups.values() if len(group) > 1]
    apart = [group for group in several if len(set(group.values())) > 1]
    alike = [group for group in several if len(set(group.values())) == 1]
    return [
        *_same_bytes(problem, "contradiction", f"{part.name}, with different labels", apart),
        *_same_bytes(note, "duplicate", f"{part.name}, with the same label", alike),
    ]


def _same_bytes(
    finding: Callable[[Kind, str, Sequence[str]], Finding],
    kind: Kind,
    where: str,
    groups: list[dict[str, int]],
) -> list[Finding]:
    paths = [path for group in groups for path in group]
    if not paths:
        return []
    sentence = f"{where}: {len(paths):,} files have {len(groups):,} different contents: {some(paths)}"
    return [finding(kind, sentence, paths)]


def _leaks(benchmark: Benchmark, train: Sequence[_File], test: Sequence[_File]) -> list[Finding]:
    trained = zip(benchmark.train.paths, train, strict=True)
    known = {file.content: path for path, file in trained if file.content is not None}
    pairs = [
        (path, known[file.content])
        for path, file in zip(benchmark.test.paths, test, strict=True)
        if file.content in known
    ]
    if not pairs:
        return []
    shown = some([f"{path} is {other}" for path, other in pairs])
    sentence = f"{len(pairs):,} test photos have the bytes of a training photo: {shown}"
    return [problem("leak", sentence, [path for path, _ in pairs])]
