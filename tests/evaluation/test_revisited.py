import numpy as np
import pytest

from resight.datasets.revisited import QueryTruth
from resight.errors import InvalidInput
from resight.evaluation import evaluate_revisited
from resight.features import Box

BOX = Box(0, 0, 1, 1)


def truth(easy=(), hard=(), junk=()):
    return QueryTruth(BOX, frozenset(easy), frozenset(hard), frozenset(junk))


def test_junk_is_taken_out_before_ranks_are_counted():
    result = evaluate_revisited([np.array([4, 2, 0])], [truth(easy=[2], junk=[4])], "easy")
    assert result.mean_average_precision == 1.0


def test_each_protocol_has_its_own_positives_and_junk():
    truths = [truth(easy=[0], hard=[1], junk=[2])]
    ids = [np.array([2, 1, 3, 0])]
    expected = {
        "easy": (0 + 1 / 2) / 2,  # 3, 0 remain
        "medium": (1 + (1 / 2 + 2 / 3) / 2) / 2,  # 1, 3, 0 remain
        "hard": 1.0,  # 1, 3 remain
    }
    for difficulty, value in expected.items():
        assert evaluate_revisited(ids, truths, difficulty).mean_average_precision == pytest.approx(value)


def test_a_query_without_positives_is_left_out_of_the_mean():
    result = evaluate_revisited([np.array([0]), np.array([0])], [truth(easy=[0]), truth(hard=[0])], "easy")
    assert result.mean_average_precision == 1.0
    assert np.isnan(result.average_precisions[1])


def test_positives_beyond_a_truncated_ranking_are_misses():
    result = evaluate_revisited([np.array([7, 8])], [truth(easy=[0, 1])], "easy")
    assert result.mean_average_precision == 0.0


def test_no_query_with_positives_has_no_mean():
    assert np.isnan(evaluate_revisited([np.array([1])], [truth()], "hard").mean_average_precision)


def test_rankings_and_queries_must_be_as_many():
    with pytest.raises(InvalidInput, match="1 rankings were given for 2 queries"):
        evaluate_revisited([np.array([1])], [truth(), truth()], "hard")
