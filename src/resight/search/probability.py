"""How likely two photos show the same thing, from their similarity and what geometry says of them.

A logistic regression: the score of a pair is a weighted sum of measures of which more never speaks against
it. Its probabilities hold for pairs that come as those did that it was fitted to: as answers of searches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float64

from resight.errors import InvalidInput
from resight.search.geometry.evidence import MOST_SHARED

if TYPE_CHECKING:
    from resight.search.geometry.verification import Verification

__all__ = ["PairProbability", "brier_score", "fit_probability", "measures", "reliability"]

_ODDS = 4.0
"""Log odds of the evidence count within this, and from 0 upwards."""

_PENALTY = 0.01
"""Of the squared weights, a pair: without it, measures that tell right from wrong without error have none."""


@dataclass(frozen=True, slots=True)
class PairProbability:
    """A fitted regression, and how it did.

    Attributes:
        plain: Weights of `measures` and bias for pairs that geometry has not checked.
        verified: The same for those that it has; None where the model has no local features.
        source: What said which pairs are of one thing: ``label NAME``, ``pairs`` or ``geometry``.
        pairs: Pairs that it was fitted to.
        same: How many of them show the same thing.
        brier: `brier_score` of verified pairs (of others where there are none) whose query was held out.
    """

    plain: tuple[float, ...]
    verified: tuple[float, ...] | None
    source: str
    pairs: int
    same: int
    brier: float

    def __post_init__(self) -> None:
        for weights, count in ((self.plain, 2), (self.verified, 4)):
            if weights is not None and (len(weights) != count or not np.isfinite(weights).all()):
                raise InvalidInput(f"a fitted regression has {count} finite weights, not {weights!r:.80}")

    @property
    def uninformed(self) -> float:
        """Brier score of saying of every pair the share that shows the same thing: what is to be beaten."""
        share = self.same / self.pairs
        return share * (1 - share)

    def of(self, similarity: float, match: Verification | None) -> float:
        """Returns the probability that a query and an answer show the same thing.

        Args:
            similarity: Inner product of their descriptors.
            match: What geometry says; None where it has not checked the pair.
        """
        weights = self.plain if match is None else self.verified
        if weights is None:
            weights, match = self.plain, None
        *slopes, bias = weights
        return _logistic(float(np.dot(slopes, measures(similarity, match))) + bias)


def measures(similarity: float, match: Verification | None) -> Float64[np.ndarray, " measures"]:
    """Returns the measures of a pair, each the larger, the more it speaks for the same thing.

    Similarity alone where geometry has not checked the pair. Else also ``log(1 + inliers beyond 1.25 times
    chance)``, and the log odds of the evidence from -4 to 4, moved to begin at 0; 0 without evidence and
    where the inliers lie on a part that other answers share.
    """
    if match is None:
        return np.array([similarity])
    evidence = match.evidence
    odds = 0.0
    if evidence is not None and evidence.shared < MOST_SHARED:
        odds = min(max(evidence.log_odds, -_ODDS), _ODDS) + _ODDS
    return np.array([similarity, math.log1p(match.beyond), odds])


def fit_probability(rows: Float64[np.ndarray, "n m"], same: Bool[np.ndarray, " n"]) -> tuple[float, ...]:
    """Returns the weights of a logistic regression and its bias; no weight is negative.

    Maximum likelihood with a small penalty on the squared weights of standardised measures.

    Args:
        rows: Measures of each pair.
        same: Whether the pair shows the same thing.

    Raises:
        InvalidInput: All pairs are of one kind, or a measure is not finite.
    """
    from scipy.optimize import minimize

    if same.all() or not same.any() or not np.isfinite(rows).all():
        raise InvalidInput(
            f"a probability is learned from pairs of both kinds, not from {int(same.sum())} of the same "
            f"thing and {int((~same).sum())} of different ones"
        )
    centre, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
    standard = (rows - centre) / scale
    sign = np.where(same, 1.0, -1.0)

    def loss(weights: Float64[np.ndarray, " m"]) -> tuple[float, Float64[np.ndarray, " m"]]:
        margin = sign * (standard @ weights[:-1] + weights[-1])
        slope = -sign / (1.0 + np.exp(np.minimum(margin, 500.0))) / len(sign)
        penalty = _PENALTY * weights[:-1]
        gradient = np.append(standard.T @ slope + penalty, slope.sum())
        return float(np.logaddexp(0.0, -margin).mean() + 0.5 * penalty @ weights[:-1]), gradient

    count = rows.shape[1]
    start, bounds = np.zeros(count + 1), [*[(0.0, None)] * count, (None, None)]
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    slopes = fitted[:-1] / scale
    return (*slopes.tolist(), float(fitted[-1] - slopes @ centre))


def brier_score(probabilities: Sequence[float], same: Sequence[bool]) -> float:
    """Returns the mean squared difference of probabilities and what was so: 0 is perfect, 0.25 knows nothing.

    G. W. Brier, Verification of forecasts expressed in terms of probability, 1950, in its form for two cases.

    >>> brier_score([1.0, 0.5], [True, False])
    0.125
    """
    return float(np.mean((np.asarray(probabilities, dtype=np.float64) - np.asarray(same, dtype=bool)) ** 2))


def reliability(
    probabilities: Sequence[float], same: Sequence[bool], *, bins: int = 10
) -> list[tuple[float, float, int]]:
    """Returns mean probability, share of the same thing and number of the pairs of each bin with any.

    A reliability diagram draws the second over the first.

    Bins are equally wide; a probability of 1 falls into the last.

    >>> reliability([0.1, 0.3, 0.9], [False, True, True], bins=2)
    [(0.2, 0.5, 2), (0.9, 1.0, 1)]
    """
    given, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(same, dtype=bool)
    number = np.minimum((given * bins).astype(np.int64), bins - 1)
    return [
        (
            float(given[number == each].mean()),
            float(truth[number == each].mean()),
            int((number == each).sum()),
        )
        for each in np.unique(number)
    ]


def _logistic(score: float) -> float:
    return 1.0 / (1.0 + math.exp(-score)) if score >= 0 else math.exp(score) / (1.0 + math.exp(score))
