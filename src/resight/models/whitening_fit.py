"""Whitenings computed from descriptors: of their covariance (PCA), or learned from matching pairs.

Everything is symmetric and in float64, so that results are real. Both begin with a covariance C of which the
eigenvalues λ1 >= ... >= λd and eigenvectors v1 ... vd are taken:

* ``shrinkage`` s replaces C by ``(1 - s) C + s (tr C / d) I``, the isotropic matrix of the same trace (Ledoit
  and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004, equation 2, with s
  chosen by the caller).
* ``floor`` f raises eigenvalues below ``f λ1`` to ``f λ1``.
* With neither, an eigenvalue that is needed and not above 1e-10 λ1 is refused: the directions it would
  amplify are rounding errors. Fewer descriptors than dimensions always have such ones.

An eigenvector is one up to its sign: every row of P gets the one that makes its largest component positive.
Dimensions are never cut amid directions without variance, where any choice would be as good as another.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64

from resight.errors import InvalidInput
from resight.models.whitening import Whitening

__all__ = [
    "RANK_TOLERANCE",
    "fit_learned",
    "fit_pca",
    "groups_of_pairs",
    "matching_pairs",
    "non_matching_pairs",
    "numbered",
    "variance_kept",
]

RANK_TOLERANCE = 1e-10
"""Eigenvalues up to this share of the largest one count as zero."""

_BLOCK = 4096
"""Rows made float64 at once."""


def fit_pca(
    descriptors: Float32[np.ndarray, "n inputs"],
    dim: int | None = None,
    *,
    shrinkage: float = 0.0,
    power: float = 0.5,
    floor: float = 0.0,
    provenance: str = "",
) -> Whitening:
    """Returns the PCA whitening: ``P = diag(λ^-power) Vᵀ`` of the centred covariance, m the mean descriptor.

    The covariance is divided by n. ``power=0.5`` makes all variances 1 (``pcawhitenlearn`` of the GeM
    authors' code; Jégou and Chum, "Negative evidences and co-occurrences in image retrieval: the benefit of
    PCA and whitening", ECCV 2012), ``0.25`` is that of AP-GeM (``whitenp``; Revaud et al., ICCV 2019), 0 only
    rotates.

    Args:
        descriptors: Of the training set, one a row.
        dim: How many dimensions are kept, the ones of largest variance; all if ``None``.
        shrinkage: From 0 to 1, see this module's head.
        power: From 0 to 1.
        floor: From 0 to 1, see this module's head.
        provenance: What the descriptors are of; the settings are put before it.

    Raises:
        InvalidInput: A setting is out of range, a number is not finite, or the descriptors do not span as
            many dimensions as are kept.
    """
    outputs = _checked(descriptors, dim, shrinkage=shrinkage, floor=floor)
    if not 0 <= power <= 1:
        raise InvalidInput(f"the power of a whitening must lie between 0 and 1, not {power}")
    mean = descriptors.mean(axis=0, dtype=np.float64)
    covariance = _second_moment(len(descriptors), lambda rows: descriptors[rows].astype(np.float64) - mean)
    values, vectors = _spectrum(covariance)
    source = f"the {len(descriptors)} descriptors"
    _require_span(values, outputs, source, regularised=shrinkage > 0 or floor > 0)
    values = _regularised(values, shrinkage, floor)
    matrix = _signed(values[:outputs, None] ** -power * vectors[:outputs])
    description = (
        f"PCA whitening to {outputs} of {descriptors.shape[1]} dimensions, power {power:g}, shrinkage "
        f"{shrinkage:g}, floor {floor:g}, from {len(descriptors)} descriptors"
    )
    return Whitening(mean, matrix, "pca", len(descriptors), _joined(description, provenance))


def fit_learned(
    descriptors: Float32[np.ndarray, "n inputs"],
    pairs: Int64[np.ndarray, "m 2"],
    dim: int | None = None,
    *,
    rotation: Literal["all", "non_matching"] = "all",
    non_matching: Int64[np.ndarray, "m2 2"] | None = None,
    shrinkage: float = 0.0,
    floor: float = 0.0,
    provenance: str = "",
) -> Whitening:
    """Returns the whitening learned from matching pairs (Radenović et al., TPAMI 2018, section 3.4).

    Differences of matching descriptors are made white and what is left is rotated to its principal axes:
    ``S = (1/m) Σ (q - p)(q - p)ᵀ`` over matching pairs, ``W = S^(-1/2)``, and ``P = Vᵀ W`` with V the
    eigenvectors of the rotation's matrix D, largest eigenvalue first. There are two forms:

    * ``all``, the authors' code: ``D = W Σ (x - m)(x - m)ᵀ Wᵀ`` over all descriptors, and m the mean of the
      queries, one a pair. (The code takes the inverse Cholesky factor for W: another square root, which
      differs by a rotation that D's eigenvectors take back.)
    * ``non_matching``, the paper: ``D = W Σ (q - p)(q - p)ᵀ Wᵀ`` over pairs that do not match, and m the mean
      of all descriptors.

    Args:
        descriptors: Of the training set, one a row.
        pairs: Rows of query and positive.
        dim: How many dimensions are kept, the ones of largest eigenvalue of D; all if ``None``.
        rotation: Which form.
        non_matching: Rows of two descriptors that do not match, for the second form.
        shrinkage: Of S, from 0 to 1, see this module's head.
        floor: Of S, from 0 to 1, see this module's head.
        provenance: What the descriptors are of; the settings are put before it.

    Raises:
        InvalidInput: A setting is out of range, a number is not finite, a pair names no descriptor or one
            twice, or the differences do not span all dimensions without shrinkage or floor.
    """
    outputs = _checked(descriptors, dim, shrinkage=shrinkage, floor=floor)
    _check_pairs(pairs, "matching pairs", len(descriptors))
    if rotation not in ("all", "non_matching"):
        raise InvalidInput(
            f"the rotation comes from 'all' descriptors or 'non_matching' pairs, not {rotation!r}"
        )
    if (rotation == "non_matching") != (non_matching is not None):
        raise InvalidInput("pairs that do not match are for rotation='non_matching', which needs them")

    scatter = _second_moment(len(pairs), _differences(descriptors, pairs))
    values, vectors = _spectrum(scatter)
    source = f"the differences of {len(pairs)} matching pairs"
    # All of them, whatever is kept: the rotation chooses from the whitened space.
    _require_span(values, len(values), source, regularised=shrinkage > 0 or floor > 0)
    white = _regularised(values, shrinkage, floor)[:, None] ** -0.5 * vectors
    mean, spread, source = _spread(descriptors, pairs, non_matching)
    values, axes = _spectrum(white @ spread @ white.T)
    _require_span(values, outputs, source, regularised=True)
    others = "all of them" if non_matching is None else f"{len(non_matching)} non-matching pairs"
    description = (
        f"whitening learned from {len(pairs)} matching pairs of {len(descriptors)} descriptors, "
        f"rotation from {others}, to {outputs} of {descriptors.shape[1]} dimensions, "
        f"shrinkage {shrinkage:g}, floor {floor:g}"
    )
    matrix = _signed(axes[:outputs] @ white)
    return Whitening(mean, matrix, "learned", len(pairs), _joined(description, provenance))


def _spread(
    descriptors: Float32[np.ndarray, "n inputs"],
    pairs: Int64[np.ndarray, "m 2"],
    non_matching: Int64[np.ndarray, "m2 2"] | None,
) -> tuple[Float64[np.ndarray, " inputs"], Float64[np.ndarray, "inputs inputs"], str]:
    """Returns the mean m, the covariance within D that W is put around, and what it is of, in words."""
    if non_matching is None:
        mean = descriptors[pairs[:, 0]].mean(axis=0, dtype=np.float64)
        spread = _second_moment(len(descriptors), lambda rows: descriptors[rows].astype(np.float64) - mean)
        return mean, spread, f"the {len(descriptors)} descriptors"
    _check_pairs(non_matching, "pairs that do not match", len(descriptors))
    mean = descriptors.mean(axis=0, dtype=np.float64)
    spread = _second_moment(len(non_matching), _differences(descriptors, non_matching))
    return mean, spread, f"the differences of {len(non_matching)} pairs that do not match"


def variance_kept(descriptors: Float32[np.ndarray, "n inputs"], whitening: Whitening) -> float:
    """Returns which share of the descriptors' variance lies in the dimensions that the whitening keeps.

    That is the sum of squares of the centred descriptors within the span of the matrix's rows, over all.
    """
    mean = descriptors.mean(axis=0, dtype=np.float64)
    span, _ = np.linalg.qr(whitening.matrix.T)
    kept = total = 0.0
    for start in range(0, len(descriptors), _BLOCK):
        centred = descriptors[start : start + _BLOCK].astype(np.float64) - mean
        kept += float(np.square(centred @ span).sum())
        total += float(np.square(centred).sum())
    return kept / total if total > 0 else 0.0


def numbered(names: Sequence[Hashable]) -> Int64[np.ndarray, " n"]:
    """Returns a number for each name, the same for equal names: 0 for the first, 1 for the next new one."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def groups_of_pairs(pairs: Int64[np.ndarray, "m 2"], count: int) -> Int64[np.ndarray, " n"]:
    """Returns which of ``count`` photos belong together: those joined by pairs, over any number of steps.

    A photo in no pair is a group of its own.
    """
    leaders = list(range(count))

    def leader(photo: int) -> int:
        while leaders[photo] != photo:
            leaders[photo] = leaders[leaders[photo]]
            photo = leaders[photo]
        return photo

    for first, second in pairs.tolist():
        leaders[leader(second)] = leader(first)
    return numbered([leader(photo) for photo in range(count)])


def matching_pairs(
    groups: Int64[np.ndarray, " n"], generator: np.random.Generator, *, per_photo: int = 10
) -> Int64[np.ndarray, "m 2"]:
    """Returns pairs of photos of one group, in random order within the pair.

    All pairs of a group, or ``per_photo`` times its size drawn without replacement where there are more, so
    that the number of pairs grows with the photos and not with their square.
    """
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        size = len(members)
        total, limit = size * (size - 1) // 2, per_photo * size
        chosen = np.arange(total) if total <= limit else generator.choice(total, limit, replace=False)
        # Pair number t of the lower triangle: row i has i pairs, so that i (i - 1) / 2 <= t.
        rows = ((1 + np.sqrt(1 + 8 * chosen.astype(np.float64))) / 2).astype(np.int64)
        pairs.append(members[np.stack([rows, chosen - rows * (rows - 1) // 2], axis=1)])
    return generator.permuted(np.concatenate(pairs), axis=1)


def non_matching_pairs(
    groups: Int64[np.ndarray, " n"], count: int, generator: np.random.Generator
) -> Int64[np.ndarray, "count 2"]:
    """Returns so many random pairs of photos of different groups; one may be drawn twice.

    Raises:
        InvalidInput: There is one group alone.
    """
    if len(np.unique(groups)) < 2:
        raise InvalidInput("pairs that do not match need photos of at least two groups")
    drawn = np.zeros((0, 2), dtype=np.int64)
    while len(drawn) < count:
        fresh = generator.integers(len(groups), size=(count, 2))
        drawn = np.concatenate([drawn, fresh[groups[fresh[:, 0]] != groups[fresh[:, 1]]]])
    return drawn[:count]


def _joined(description: str, provenance: str) -> str:
    return f"{description}: {provenance}" if provenance else description


def _checked(
    descriptors: Float32[np.ndarray, "n inputs"], dim: int | None, *, shrinkage: float, floor: float
) -> int:
    """Returns the number of dimensions to keep, after checking what both fits take."""
    if descriptors.ndim != 2 or not descriptors.size:
        raise InvalidInput(f"a whitening is computed from descriptors (n, dim), not {descriptors.shape}")
    if not np.isfinite(descriptors).all():
        bad = int(np.flatnonzero(~np.isfinite(descriptors).all(axis=1))[0])
        raise InvalidInput(f"descriptors must be finite, and row {bad} holds NaN or infinity: leave it out")
    for name, share in (("shrinkage", shrinkage), ("floor", floor)):
        if not 0 <= share <= 1:
            raise InvalidInput(f"the {name} of a whitening must lie between 0 and 1, not {share}")
    inputs = descriptors.shape[1]
    if dim is not None and not 1 <= dim <= inputs:
        raise InvalidInput(f"descriptors of {inputs} dimensions can be whitened to 1 to {inputs}, not {dim}")
    return inputs if dim is None else dim


def _check_pairs(pairs: Int64[np.ndarray, "m 2"], name: str, count: int) -> None:
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs) or not np.issubdtype(pairs.dtype, np.integer):
        raise InvalidInput(
            f"{name} are whole numbers (m, 2), at least one pair, not {pairs.dtype} {pairs.shape}"
        )
    if pairs.min() < 0 or pairs.max() >= count:
        raise InvalidInput(
            f"{name} name descriptors 0 to {count - 1}, and one of them names "
            f"{pairs.min() if pairs.min() < 0 else pairs.max()}"
        )
    same = np.flatnonzero(pairs[:, 0] == pairs[:, 1])
    if len(same):
        raise InvalidInput(f"row {same[0]} of the {name} joins {pairs[same[0], 0]} with itself: leave it out")


def _differences(
    descriptors: Float32[np.ndarray, "n inputs"], pairs: Int64[np.ndarray, "m 2"]
) -> Callable[[slice], Float64[np.ndarray, "rows inputs"]]:
    def rows_of(rows: slice) -> Float64[np.ndarray, "rows inputs"]:
        first, second = pairs[rows].T
        return descriptors[first].astype(np.float64) - descriptors[second]

    return rows_of


def _second_moment(
    count: int, rows_of: Callable[[slice], Float64[np.ndarray, "rows inputs"]]
) -> Float64[np.ndarray, "inputs inputs"]:
    """Returns ``(1/n) Σ x xᵀ`` of so many rows, a block of them at a time."""
    total = np.zeros(())
    for start in range(0, count, _BLOCK):
        rows = rows_of(slice(start, min(start + _BLOCK, count)))
        total = total + rows.T @ rows
    return total / count


def _spectrum(
    matrix: Float64[np.ndarray, "inputs inputs"],
) -> tuple[Float64[np.ndarray, " inputs"], Float64[np.ndarray, "inputs inputs"]]:
    """Returns eigenvalues of a covariance, largest first, and eigenvectors as rows."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    # None of a covariance is negative but by rounding.
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1].T


def _require_span(
    values: Float64[np.ndarray, " inputs"], outputs: int, source: str, *, regularised: bool
) -> None:
    """Refuses dimensions that are not there, and a cut amid directions of which none is before another.

    Args:
        values: Eigenvalues before shrinkage and floor, largest first.
        outputs: How many dimensions are kept.
        source: Of what the covariance is.
        regularised: Whether those without variance can be kept, as nothing divides by zero.
    """
    rank = int((values > RANK_TOLERANCE * values[0]).sum())
    if rank == 0:
        raise InvalidInput(f"{source} are all the same: a whitening needs different ones")
    if outputs <= rank or (regularised and outputs == len(values)):
        return
    if regularised:
        raise InvalidInput(
            f"{source} span {rank} of {len(values)} dimensions, and which {outputs} of them to keep would be "
            f"arbitrary: keep at most {rank}, or all {len(values)}"
        )
    raise InvalidInput(
        f"{source} span {rank} of {len(values)} dimensions and {outputs} are to be whitened: give more "
        f"photos, a shrinkage above 0, or for PCA fewer dimensions"
    )


def _regularised(
    values: Float64[np.ndarray, " inputs"], shrinkage: float, floor: float
) -> Float64[np.ndarray, " inputs"]:
    """Returns the eigenvalues after shrinkage and floor; the eigenvectors stay."""
    shrunk = (1 - shrinkage) * values + shrinkage * values.mean()
    return np.maximum(shrunk, floor * shrunk[0])


def _signed(rows: Float64[np.ndarray, "dim inputs"]) -> Float64[np.ndarray, "dim inputs"]:
    """Returns the rows, each with the sign that makes its component of largest size positive."""
    largest = np.abs(rows).argmax(axis=1)
    return rows * np.sign(rows[np.arange(len(rows)), largest])[:, None]
