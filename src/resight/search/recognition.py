"""Recognition by neighbours: the labels of the nearest neighbours vote, by their cosines and inliers.

The rule of DELG (B. Cao et al., ECCV 2020, recognition on Google Landmarks v2, and the released baseline of
the recognition challenge of 2020): a neighbour counts ``min(inliers, most) / most + cosine``, a label the sum
over its neighbours, and the label with the largest sum is the answer. The paper caps inliers at 70, the
released code at 35. Here more of the nearest may be verified than vote: on rendered places with SIFT micro-AP
is 0.68 with the 3 voters alone verified and 0.81 with 10 (``benchmarks/recognition.py``, validation photos).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from resight.errors import InvalidInput

__all__ = ["Calibration", "LabelScore", "VotingRule", "choose_threshold", "neighbour_scores", "recognise"]


@dataclass(frozen=True, slots=True)
class VotingRule:
    """How neighbours vote.

    Attributes:
        neighbours: How many vote: those of the largest score.
        verify: How many of the nearest are verified by geometry beforehand, so that a farther one of many
            inliers can be among the voters. 0: none, and cosines vote alone.
        max_inliers: Inliers beyond this number add nothing.

    Raises:
        InvalidInput: A number is out of its range.
    """

    neighbours: int = 3
    verify: int = 10
    max_inliers: int = 70

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.verify < 0 or self.max_inliers < 1:
            raise InvalidInput(
                f"recognition needs neighbours and max_inliers of at least 1 and verify of at least 0, "
                f"not {self.neighbours}, {self.max_inliers} and {self.verify}"
            )


@dataclass(frozen=True, slots=True)
class LabelScore:
    """The neighbours of one label, and the sum of their scores.

    Attributes:
        label: Its name.
        score: Sum of the scores of its neighbours, larger is better: at most twice their number.
        members: Positions of its neighbours in the arguments, the largest score first.
    """

    label: str
    score: float
    members: tuple[int, ...]


def neighbour_scores(
    cosines: Sequence[float], inliers: Sequence[int | None], *, max_inliers: int = 70
) -> Float64[np.ndarray, " n"]:
    """Returns ``min(inliers, max_inliers) / max_inliers + cosine`` of each neighbour.

    Args:
        cosines: Inner products with the query, both of unit length.
        inliers: ``None``, for a neighbour that was not verified, counts as 0.
        max_inliers: At least 1.

    Raises:
        InvalidInput: The lengths differ, or a cosine is not finite.

    >>> neighbour_scores([0.5, 0.75], [35, None]).tolist()
    [1.0, 0.75]
    """
    similarities = np.asarray(cosines, dtype=np.float64)
    if similarities.shape != (len(inliers),) or not np.isfinite(similarities).all():
        raise InvalidInput(
            f"neighbours need a finite cosine and inliers each, got {len(cosines)} and {len(inliers)}"
        )
    counts = np.array([count or 0 for count in inliers], dtype=np.float64)
    return np.minimum(counts, max_inliers) / max_inliers + similarities


def recognise(
    labels: Sequence[str], scores: Float64[np.ndarray, " n"], *, neighbours: int = 3
) -> list[LabelScore]:
    """Returns the labels of the ``neighbours`` best neighbours, the label with the largest sum first.

    Of equal neighbours the one given first is the better. Of equal labels the one whose best neighbour is
    better comes first. Without neighbours there is no label.

    Args:
        labels: One a neighbour.
        scores: Of `neighbour_scores`, one a neighbour, in any order.
        neighbours: How many vote.

    Raises:
        InvalidInput: The lengths differ, or ``neighbours`` is not positive.

    >>> [best, other] = recognise(["tower", "bridge", "tower"], np.array([0.5, 0.75, 0.5]))
    >>> best.label, best.score, best.members
    ('tower', 1.0, (0, 2))
    """
    if len(labels) != len(scores) or neighbours < 1:
        raise InvalidInput(
            f"recognition needs a label for each score and at least one neighbour, "
            f"got {len(labels)} labels, {len(scores)} scores and neighbours={neighbours}"
        )
    members: dict[str, list[int]] = {}
    for position in np.argsort(-scores, kind="stable")[:neighbours].tolist():
        members.setdefault(labels[position], []).append(position)
    sums = [
        LabelScore(label, float(scores[positions].sum()), tuple(positions))
        for label, positions in members.items()
    ]
    # Stable: the labels stand in the order of their best neighbours.
    return sorted(sums, key=lambda one: -one.score)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold, and how it did on the photos that it was chosen on.

    Attributes:
        label: Name of the labels: a collection's column.
        rule: The rule whose scores it is for; scores of another compare with it as little as those of
            another model.
        threshold: A label of a smaller score is not given: the thing is unknown.
        known: Photos whose thing was among the labelled ones.
        unknown: Photos whose thing was not.
        precision: Share of the labels given that were right.
        recall: Share of the known photos whose right label was given.
        rejected: Share of the unknown photos that were said to be unknown; 0 without such photos.
    """

    label: str
    rule: VotingRule
    threshold: float
    known: int
    unknown: int
    precision: float
    recall: float
    rejected: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def choose_threshold(
    label: str,
    rule: VotingRule,
    scores: Float64[np.ndarray, " n"],
    right: Bool[np.ndarray, " n"],
    known: Bool[np.ndarray, " n"],
) -> Calibration:
    """Returns the threshold of the largest F1 on validation photos.

    F1 is the harmonic mean of the precision over the labels given and of the recall over the known photos, so
    that it depends on how many of the photos are of unknown things: as many as are expected in use is right.
    A threshold lies half-way between two scores; of equally good ones it is the largest, which says unknown
    more often. Micro-AP cannot choose one: it falls or stays whenever the last answers are left out.

    Args:
        label: Name of the labels.
        rule: Of the scores.
        scores: Of the best label of each photo; minus infinity where no neighbour has a label.
        right: Whether that label is the photo's; never for an unknown one.
        known: Whether the photo's thing is among the labelled ones.

    Raises:
        InvalidInput: The lengths differ, an unknown photo is right, or no photo is.
    """
    if not scores.shape == right.shape == known.shape or (right & ~known).any():
        raise InvalidInput("each validation photo needs a score, and only a known one can be right")
    if not right.any():
        raise InvalidInput(
            f"none of the {int(known.sum())} known among {len(scores)} validation photos gets its right "
            f"label, so that no threshold can be chosen: check the labels, or add photos of these things"
        )
    # A threshold below a score that occurs gives every label from that score on; equal scores go together.
    levels = np.unique(scores[np.isfinite(scores)])[::-1]
    labelled = np.array([(scores >= level).sum() for level in levels])
    hits = np.array([(right & (scores >= level)).sum() for level in levels])
    best = int(np.argmax(2 * hits / (labelled + known.sum())))
    lower = levels[best + 1] if best + 1 < len(levels) else levels[best]
    unknown = int((~known).sum())
    rejected = int((~known & (scores < levels[best])).sum())
    return Calibration(
        label,
        rule,
        float((levels[best] + lower) / 2),
        int(known.sum()),
        unknown,
        float(hits[best] / labelled[best]),
        float(hits[best] / known.sum()),
        rejected / unknown if unknown else 0.0,
    )
