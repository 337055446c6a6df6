import math

import numpy as np
import pytest

from resight.search.geometry.chance import inliers_by_chance


def false_alarms(k, matches, share, sample, tests):
    n = matches - sample
    return tests * sum(math.comb(n, j) * share**j * (1 - share) ** (n - j) for j in range(k - sample, n + 1))


@pytest.mark.parametrize(("matches", "share", "sample", "tests"), [(60, 0.01, 3, 60), (300, 0.004, 2, 44850)])
def test_it_lies_where_the_number_of_false_alarms_is_one(matches, share, sample, tests):
    found = inliers_by_chance(matches, share, sample=sample, tests=tests)
    below, above = (
        false_alarms(k, matches, share, sample, tests) for k in (math.floor(found), math.ceil(found))
    )
    assert below >= 1 > above
    whole, part = math.floor(found), found - math.floor(found)
    assert part == pytest.approx(math.log(below) / (math.log(below) - math.log(above)))
    assert whole >= sample


def test_it_grows_with_matches_share_and_tests():
    numbers = [inliers_by_chance(n, 0.004, sample=3, tests=n) for n in (20, 100, 500)]
    assert numbers == sorted(numbers)
    assert inliers_by_chance(100, 0.02, sample=3, tests=100) > numbers[1]
    assert inliers_by_chance(100, 0.004, sample=3, tests=1e6) > numbers[1]


def test_the_edges():
    assert inliers_by_chance(2, 0.1, sample=3, tests=1) == 0
    assert inliers_by_chance(3, 0.1, sample=3, tests=1) == 3
    assert inliers_by_chance(50, 1.0, sample=3, tests=50) == 50
    assert inliers_by_chance(50, 1e-9, sample=3, tests=50) < 3.5
    assert np.isfinite(inliers_by_chance(5000, 1e-6, sample=4, tests=math.comb(5000, 4)))
