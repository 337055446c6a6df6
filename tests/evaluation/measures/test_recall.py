import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.evaluation import recall_at_k


def test_counts_queries_with_a_hit_among_the_first_k():
    relevant = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 1]], dtype=bool)
    assert [recall_at_k(relevant, k) for k in (1, 2, 3)] == [0.25, 0.5, 0.75]


@pytest.mark.parametrize("k", [0, 4, -1])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(InvalidInput, match="k from 1 to 3"):
        recall_at_k(np.zeros((2, 3), dtype=bool), k)


def test_no_query_is_refused():
    with pytest.raises(InvalidInput, match="at least one query"):
        recall_at_k(np.zeros((0, 3), dtype=bool), 1)
