"""A whitening computed from photos, its effect measured on photos held out, and a model with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64

from resight.collection import BrokenPhoto
from resight.collection.scan import absolute
from resight.errors import InvalidInput
from resight.evaluation.measures.separation import Separation, separation
from resight.files import Progress, on_disk, read_rows, silent
from resight.models import bundle, load_model
from resight.models.whitening import Whitening
from resight.models.whitening_fit import (
    fit_learned,
    fit_pca,
    groups_of_pairs,
    matching_pairs,
    non_matching_pairs,
    numbered,
    variance_kept,
)
from resight.pipelines.describe import DescribedPhotos, describe_photos, folder_names

__all__ = ["Matches", "WhitenOutcome", "WhitenSettings", "find_matches", "hold_out", "whiten"]

_COLUMNS = ("query", "positive")


@dataclass(frozen=True, slots=True)
class WhitenSettings:
    """How a whitening is computed.

    Attributes:
        kind: ``pca`` needs no pairs; ``learned`` learns from matching ones.
        dim: Dimensions that are kept; None for all.
        shrinkage: 0 to 1, how far the covariance is drawn to a multiple of the identity.
        power: Of the eigenvalues in ``pca``: 0.5 whitens fully, which is the default, 0 not at all.
        rotation: In ``learned``: from all photos, which is the default, or from pairs that do not match.
        held_out: Share of the matching photos on which the effect is shown.
        seed: Of pairs and of what is held out.
    """

    kind: Literal["pca", "learned"] = "pca"
    dim: int | None = None
    shrinkage: float = 0.0
    power: float | None = None
    rotation: Literal["all", "non_matching"] | None = None
    held_out: float = 0.2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class WhitenOutcome:
    """What a whitening was computed from, what it keeps, and what it does to photos held out.

    Attributes:
        model: Name of the model that is whitened.
        bundle: The file of the model with the whitening.
        fingerprint: Of that model.
        kind: Of the whitening.
        inputs: Dimensions before.
        dim: Dimensions after.
        pairs_or_images: From how many pairs (learned) or photos (pca) it was computed.
        provenance: The same in words.
        variance_kept: Share of the variance of the photos that remains.
        photos: How many it was computed from.
        held_out: How many it was tried on.
        before: How well scores told the photos held out apart; None without any.
        after: How well they do now; None without any.
        broken: What could not be described, and why.
    """

    model: str
    bundle: Path
    fingerprint: str
    kind: str
    inputs: int
    dim: int
    pairs_or_images: int
    provenance: str
    variance_kept: float
    photos: int
    held_out: int
    before: Separation | None
    after: Separation | None
    broken: list[BrokenPhoto]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Which photos match.

    Attributes:
        pairs: int64 ``(m, 2)``, query and positive, rows of the descriptors.
        groups: int64 ``(n,)``, the same number for photos that match, over any number of steps.
    """

    pairs: Int64[np.ndarray, "m 2"]
    groups: Int64[np.ndarray, " n"]


def whiten(
    name: str,
    photos: Sequence[Path],
    out: Path,
    settings: WhitenSettings,
    *,
    pairs: Path | None = None,
    progress: Progress = silent,
) -> WhitenOutcome:
    """Returns what became of whitening a model by photos; the model with the whitening is written.

    Args:
        name: Of the model, or its bundle.
        photos: Files and folders; photos of one folder match.
        out: The bundle to write.
        settings: How the whitening is computed.
        pairs: A CSV file with the columns ``query`` and ``positive`` names those that match instead.
        progress: Called with photos described and photos in all.

    Raises:
        InvalidInput: No photo can be described, too few match, the table is wrong, or the model cannot be
            written to a bundle or has fewer dimensions than are to be kept.
        ModelError: The model cannot be loaded.
        StorageFailed: The bundle cannot be written.
    """
    model = load_model(name)
    # Refused before any photo is described.
    model.to_bundle()
    if settings.dim is not None and settings.dim > model.dim:
        raise InvalidInput(f"{name} has {model.dim} dimensions, of which {settings.dim} cannot be kept")
    described = describe_photos(model, photos, purpose="learn from", progress=progress)
    matches = find_matches(described, pairs, seed=settings.seed)
    held = hold_out(matches.groups, settings.held_out, seed=settings.seed)
    whitening = _fit(described, matches, held, settings, folder_names(photos))
    whitened = model.whitened(whitening)
    bundle.write(whitened.to_bundle(), out)
    unseen, groups = described.descriptors[held], matches.groups[held]
    return WhitenOutcome(
        model=model.name,
        bundle=out,
        fingerprint=whitened.fingerprint,
        kind=whitening.kind,
        inputs=whitening.inputs,
        dim=whitening.dim,
        pairs_or_images=whitening.pairs_or_images,
        provenance=whitening.provenance,
        variance_kept=variance_kept(described.descriptors[~held], whitening),
        photos=int((~held).sum()),
        held_out=int(held.sum()),
        before=separation(unseen, groups),
        after=separation(whitening.apply(unseen), groups),
        broken=described.broken,
    )


def find_matches(described: DescribedPhotos, table: Path | None, *, seed: int) -> Matches:
    """Returns the pairs that a table names, or pairs of photos that lie in one folder.

    Raises:
        InvalidInput: The table is none, or names a photo that is not among those described.
    """
    if table is not None:
        pairs = _read_pairs(table, described)
        return Matches(pairs, groups_of_pairs(pairs, len(described.paths)))
    groups = numbered([str(path.parent) for path in described.paths])
    return Matches(matching_pairs(groups, np.random.default_rng(seed)), groups)


def hold_out(groups: Int64[np.ndarray, " n"], share: float, *, seed: int) -> Bool[np.ndarray, " n"]:
    """Returns which photos are held out: all of a random share of the groups of matching photos.

    Two groups at least, so that there are pairs that do not match; none where fewer than two would be left.
    """
    numbers, sizes = np.unique(groups, return_counts=True)
    candidates = numbers[sizes > 1]
    count = max(2, round(share * len(candidates)))
    if share == 0 or len(candidates) - count < 2:
        return np.zeros(len(groups), dtype=np.bool_)
    chosen = np.random.default_rng(seed).permutation(candidates)[:count]
    return np.isin(groups, chosen)


def _fit(
    described: DescribedPhotos,
    matches: Matches,
    held: Bool[np.ndarray, " n"],
    settings: WhitenSettings,
    folders: str,
) -> Whitening:
    rows = np.flatnonzero(~held)
    descriptors, groups = described.descriptors[rows], matches.groups[rows]
    dim, shrinkage = settings.dim, settings.shrinkage
    learned_from = f"{len(rows):,} photo{'s' * (len(rows) != 1)} of {folders}"
    if settings.kind == "pca":
        power = 0.5 if settings.power is None else settings.power
        return fit_pca(descriptors, dim, shrinkage=shrinkage, power=power, provenance=learned_from)
    pairs = np.searchsorted(rows, matches.pairs[~held[matches.pairs[:, 0]]])
    things = len(np.unique(groups))
    if not len(pairs) or things < 2:
        raise InvalidInput(
            f"learning needs matching photos of at least two things, and the {learned_from} show {things} "
            f"with {len(pairs):,} matching pair{'s' * (len(pairs) != 1)}: put the photos of each thing into "
            f"a folder of their own, or name them with --pairs"
        )
    if settings.rotation != "non_matching":
        return fit_learned(descriptors, pairs, dim, shrinkage=shrinkage, provenance=learned_from)
    others = non_matching_pairs(groups, 10 * len(rows), np.random.default_rng(settings.seed))
    return fit_learned(
        descriptors,
        pairs,
        dim,
        rotation="non_matching",
        non_matching=others,
        shrinkage=shrinkage,
        provenance=learned_from,
    )


def _read_pairs(table: Path, described: DescribedPhotos) -> Int64[np.ndarray, "m 2"]:
    rows = {str(path): row for row, path in enumerate(described.paths)}
    rows |= {os.path.realpath(path): row for row, path in enumerate(described.paths)}
    broken = {photo.path for photo in described.broken}
    pairs = []
    for line in read_rows(table, _COLUMNS):
        paths = [absolute(on_disk(table.parent / line[column])) for column in _COLUMNS]
        if broken.intersection(paths):
            continue
        missing = [path for path in paths if path not in rows]
        if missing:
            raise InvalidInput(
                f"line {line.line} of {table} names {missing[0]}, which is none of the photos "
                f"given: give its folder, too, and paths relative to the table's own folder"
            )
        pairs.append([rows[path] for path in paths])
    if not pairs:
        raise InvalidInput(f"{table} names no pair of photos")
    return np.array(pairs, dtype=np.int64)
