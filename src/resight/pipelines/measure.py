"""Models side by side on one's own photos: how much they find, how long they take, how much they store."""

from __future__ import annotations

import html
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from resight.collection import Collection
from resight.errors import InvalidInput, ResightError
from resight.evaluation.measures.labels import evaluate_labels
from resight.evaluation.statistics import Interval, bootstrap
from resight.files import Progress, silent, write_whole
from resight.models import load_model
from resight.pipelines.adapt import labelled_photos
from resight.pipelines.describe import describe_photos

__all__ = ["MeasuredModel", "draw_models", "measure_models"]

_WIDTH, _HEIGHT, _MARGIN = 720, 420, 60


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """What a model does with one's own photos.

    Attributes:
        name: Of the model.
        dim: Length of a descriptor.
        map_at_r: Mean over the photos that have another one of the same thing, with its interval over things.
        recall_at_1: Share of those photos whose first answer shows the same thing.
        milliseconds: Wall time a photo of reading and describing, on all processors.
        stored_bytes: What a collection stores of a photo.
        best: Whether no other model is at least as good in all three, and better in one.
    """

    name: str
    dim: int
    map_at_r: Interval
    recall_at_1: float
    milliseconds: float
    stored_bytes: float
    best: bool = False


def measure_models(
    names: Sequence[str],
    photos: Sequence[Path],
    *,
    labels: Path | None = None,
    progress: Progress = silent,
) -> tuple[list[MeasuredModel], list[str]]:
    """Returns the models measured, and why others could not be, and which photos could not be described.

    What shows the same thing is said by a table, by folders where photos lie in several, and else by the
    geometry of sift: photos that it confirms to show one thing.

    Args:
        names: Of the models.
        photos: Files and folders.
        labels: A CSV file with the columns ``path`` and ``label``.
        progress: Called with photos described and photos in all, for each model anew.

    Raises:
        InvalidInput: No two photos show the same thing, as far as can be said.
    """
    files, classes = labelled_photos(photos, labels)
    if labels is None and len(np.unique(classes)) < 2:
        classes = _confirmed(files)
    _, sizes = np.unique(classes, return_counts=True)
    if not (sizes > 1).any() or len(sizes) < 2:
        raise InvalidInput(
            "no two photos are known to show the same thing: name what they show with --labels, or put the "
            "photos of each thing into a folder of its own"
        )
    measured, failed = [], []
    for name in names:
        try:
            one, broken = _measure(name, files, classes, progress)
            measured.append(one)
            failed += [each for each in broken if each not in failed]
        except ResightError as error:
            failed.append(f"{name}: {error}")
    return [replace(each, best=_is_best(each, measured)) for each in measured], failed


def draw_models(measured: Sequence[MeasuredModel], path: Path) -> None:
    """Writes MAP@R over time a photo as an SVG picture: filled circles are the best, their size is storage.

    Raises:
        OSError: The file cannot be written.
    """
    times = [math.log10(max(each.milliseconds, 1e-3)) for each in measured]
    left, right = min(times) - 0.2, max(times) + 0.2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<path d="M{_MARGIN} 20V{_HEIGHT - _MARGIN}H{_WIDTH - 20}" fill="none" stroke="black"/>',
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 16}" text-anchor="middle">milliseconds a photo</text>',
        f'<text x="16" y="{_HEIGHT / 2}" transform="rotate(-90 16 {_HEIGHT / 2})" '
        f'text-anchor="middle">MAP@R</text>',
    ]
    for step in range(6):
        y = _height_of(step / 5)
        parts.append(f'<text x="{_MARGIN - 8}" y="{y + 4:.1f}" text-anchor="end">{step / 5:.1f}</text>')
    for each, when in zip(measured, times, strict=True):
        x = _MARGIN + (when - left) / (right - left) * (_WIDTH - _MARGIN - 140)
        y = _height_of(each.map_at_r.mean)
        radius = 3 + 2 * math.log10(max(each.stored_bytes, 1) / 100 + 1)
        fill = "#1f5fa8" if each.best else "none"
        low, high = _height_of(each.map_at_r.low), _height_of(each.map_at_r.high)
        parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="#1f5fa8"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{fill}" stroke="#1f5fa8"/>')
        label = f"{each.name}, {each.milliseconds:.0f} ms"
        parts.append(f'<text x="{x + radius + 4:.1f}" y="{y + 4:.1f}">{html.escape(label)}</text>')
    write_whole(path, "\n".join([*parts, "</svg>\n"]))


def _height_of(value: float) -> float:
    return 20 + (1 - value) * (_HEIGHT - _MARGIN - 20)


def _measure(
    name: str, files: Sequence[Path], classes: Int64[np.ndarray, " n"], progress: Progress
) -> tuple[MeasuredModel, list[str]]:
    """Returns what was measured, and the photos that could not be described, each with the reason."""
    model = load_model(name)
    class_of = dict(zip(map(str, files), classes.tolist(), strict=True))
    start = time.monotonic()
    described = describe_photos(model, files, purpose="measure with", progress=progress)
    seconds = time.monotonic() - start
    own = np.array([class_of[str(path)] for path in described.paths], dtype=np.int64)
    result = evaluate_labels(described.descriptors, own, ks=(1,))
    counted = ~np.isnan(result.per_query.map_at_r)
    drawn = own[result.per_query.queries]
    measured = MeasuredModel(
        name,
        model.dim,
        bootstrap(result.per_query.map_at_r, classes=drawn),
        float(result.per_query.recall[counted, 0].mean()) if counted.any() else float("nan"),
        1000 * seconds / len(own),
        2 * model.dim + described.feature_bytes / len(own),
    )
    return measured, [f"{photo.path}: {photo.reason}" for photo in described.broken]


def _confirmed(files: Sequence[Path]) -> Int64[np.ndarray, " n"]:
    """Returns a number for each photo, the same for those that sift's geometry confirms to show one thing."""
    number_of = {str(file): number for number, file in enumerate(files)}
    classes = np.arange(len(files), dtype=np.int64)
    with tempfile.TemporaryDirectory() as folder:
        collection = Collection.create(Path(folder) / "photos.resight", model="sift")
        collection.add(list(files))
        for group in collection.groups("things"):
            members = [number_of[member.path] for member in group if member.path in number_of]
            if members:
                classes[members] = members[0]
    return classes


def _is_best(one: MeasuredModel, measured: Sequence[MeasuredModel]) -> bool:
    def figures(each: MeasuredModel) -> tuple[float, float, float]:
        return each.map_at_r.mean, -each.milliseconds, -each.stored_bytes

    mine, others = figures(one), [figures(each) for each in measured]
    return not any(
        theirs != mine and all(a >= b for a, b in zip(theirs, mine, strict=True)) for theirs in others
    )
