import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resight.errors import InvalidInput
from resight.evaluation import average_precision


def ranking(positions, length=6):
    relevant = np.zeros(length, dtype=bool)
    relevant[list(positions)] = True
    return relevant


@pytest.mark.parametrize(
    ("positions", "positives", "expected"),
    [
        ([0], 1, 1.0),
        ([1], 1, 0.25),
        ([0, 2], 2, (1 + (1 / 2 + 2 / 3) / 2) / 2),
        ([], 3, 0.0),
        ([0], 2, 0.5),
        ([5], 1, (0 + 1 / 6) / 2),
    ],
)
def test_equals_the_cases_worked_out_by_hand(positions, positives, expected):
    assert average_precision(ranking(positions), positives) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 5))
def test_equals_a_literal_loop(relevant, missing):
    positives = sum(relevant) + missing
    if positives == 0:
        return
    total, found = 0.0, 0
    for rank, is_positive in enumerate(relevant):
        if is_positive:
            before = 1.0 if rank == 0 else found / rank
            found += 1
            total += (before + found / (rank + 1)) / 2
    value = average_precision(np.array(relevant, dtype=bool), positives)
    assert value == pytest.approx(total / positives, abs=1e-12)


def test_a_query_without_positives_is_no_zero():
    assert np.isnan(average_precision(ranking([]), 0))


def test_more_hits_than_positives_are_refused():
    with pytest.raises(InvalidInput, match="2 positives are ranked, but the query has only 1"):
        average_precision(ranking([0, 1]), 1)
