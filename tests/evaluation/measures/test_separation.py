"""How well scores tell matching pairs from others, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.evaluation.measures.separation import separation


def _at(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_by_hand():
    # The second photo's best answer is the third, of another thing; the fifth is of a thing seen once.
    found = separation(_at(0, 50, 90, 120, 270), np.array([0, 0, 1, 1, 2]))
    matching = np.cos(np.radians([50, 30]))
    others = np.cos(np.radians([90, 120, 270, 40, 70, 220, 180, 150]))
    assert (found.queries, found.pairs) == (4, 2)
    assert found.recall_at_1 == 0.75
    assert found.matching == pytest.approx(matching.mean(), abs=1e-6)
    assert found.non_matching == pytest.approx(others.mean(), abs=1e-6)
    gap = matching.mean() - others.mean()
    assert found.distance == pytest.approx(gap / np.sqrt((matching.var() + others.var()) / 2), rel=1e-5)


def test_no_spread_is_no_distance():
    assert separation(_at(0, 0, 0), np.array([0, 0, 1])).distance == 0


@pytest.mark.parametrize("groups", [[], [0], [0, 1, 2], [0, 0, 0]])
def test_nothing_to_tell_apart(groups):
    assert separation(_at(*range(len(groups))).reshape(-1, 2), np.array(groups, dtype=np.int64)) is None


def test_lengths_that_differ_are_refused():
    with pytest.raises(InvalidInput, match="2 descriptors were given with 3 groups"):
        separation(_at(0, 1), np.array([0, 0, 1]))
