import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.search import ExactIndex, augment_database, combine, expand, search_expanded


def unit(rng, *shape):
    rows = rng.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def literal(query, neighbours, scores, alpha):
    vectors = [query.astype(float)]
    for neighbour, score in zip(neighbours, scores, strict=True):
        if score > 0:
            vectors.append(neighbour.astype(float) * score**alpha)
    mean = sum(vectors) / len(vectors)
    return mean / np.sqrt((mean**2).sum())


@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
def test_expand_equals_the_literal_formula(alpha):
    rng = np.random.default_rng(0)
    queries, neighbours = unit(rng, 4, 8), unit(rng, 4, 5, 8)
    scores = np.einsum("qd,qnd->qn", queries, neighbours)
    assert (scores < 0).any()
    expanded = expand(queries, neighbours, scores, alpha=alpha)
    for row in range(4):
        np.testing.assert_allclose(
            expanded[row], literal(queries[row], neighbours[row], scores[row].astype(float), alpha), atol=1e-6
        )
    np.testing.assert_allclose(np.linalg.norm(expanded, axis=1), 1, atol=1e-6)


def test_a_missing_neighbour_changes_nothing():
    rng = np.random.default_rng(0)
    queries = unit(rng, 2, 8)
    missing = np.full((2, 3), -np.inf, dtype=np.float32)
    np.testing.assert_allclose(
        expand(queries, np.zeros((2, 3, 8), np.float32), missing, alpha=0), queries, atol=1e-6
    )


def test_search_expanded_equals_expanding_by_hand_and_n_0_is_plain_search():
    rng = np.random.default_rng(1)
    index = ExactIndex(8, fingerprint="a")
    index.add(np.arange(10, 40), unit(rng, 30, 8))
    queries, allowed = unit(rng, 3, 8), np.arange(10, 30)
    first = index.search(queries, 4, allowed=allowed)
    neighbours = np.stack([index.descriptors(row) for row in first.ids])
    by_hand = np.stack(
        [literal(*row, 3.0) for row in zip(queries, neighbours, first.scores.astype(float), strict=True)]
    ).astype(np.float32)
    found = search_expanded(index, queries, 5, n=4, allowed=allowed)
    expected = index.search(by_hand, 5, allowed=allowed)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    plain = search_expanded(index, queries, 5, n=0)
    np.testing.assert_array_equal(plain.ids, index.search(queries, 5).ids)
    beyond = search_expanded(index, queries, 40, n=100)
    assert (beyond.ids >= 0).sum(axis=1).tolist() == [30, 30, 30]


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_augment_database_leaves_each_descriptor_out_of_its_own_neighbours(block):
    rng = np.random.default_rng(2)
    index = ExactIndex(8, fingerprint="a")
    made = unit(rng, 20, 8)
    made[5] = made[3]
    index.add(rng.permutation(20), made)
    stored = index.descriptors(index.ids)
    expected = []
    for row in range(20):
        scores = stored.astype(float) @ stored[row].astype(float)
        others = sorted((i for i in range(20) if i != row), key=lambda i: (-scores[i], index.ids[i]))[:3]
        expected.append(literal(stored[row], stored[others], scores[others], 2.0))
    np.testing.assert_allclose(augment_database(index, n=3, alpha=2.0, block=block), expected, atol=1e-5)
    np.testing.assert_array_equal(augment_database(index, n=0), stored)


def test_combine_is_rocchio():
    rng = np.random.default_rng(0)
    wanted, unwanted = unit(rng, 3, 8), unit(rng, 2, 8)
    mean = [
        sum(wanted[i][j] for i in range(3)) / 3 - 0.5 * sum(unwanted[i][j] for i in range(2)) / 2
        for j in range(8)
    ]
    np.testing.assert_allclose(
        combine(wanted, unwanted, weight=0.5), np.array(mean) / np.linalg.norm(mean), atol=1e-6
    )
    np.testing.assert_allclose(combine(wanted[:1], unwanted[:0]), wanted[0], atol=1e-6)
    assert combine(wanted, unwanted) @ unwanted.mean(axis=0) < combine(wanted, unwanted[:0]) @ unwanted.mean(
        axis=0
    )


def test_what_cannot_be_right_is_refused():
    rng = np.random.default_rng(0)
    one = unit(rng, 1, 8)
    index = ExactIndex(8, fingerprint="a")
    with pytest.raises(InvalidInput, match="alpha"):
        expand(one, one[None], np.ones((1, 1), np.float32), alpha=-1)
    with pytest.raises(InvalidInput, match="do not fit"):
        expand(one, one[None], np.ones((1, 2), np.float32), alpha=1)
    with pytest.raises(InvalidInput, match="0 or more"):
        search_expanded(index, one, 1, n=-1)
    with pytest.raises(InvalidInput, match="block"):
        augment_database(index, n=1, block=0)
    with pytest.raises(InvalidInput, match="one wanted"):
        combine(one[:0], one)
    with pytest.raises(InvalidInput, match="weight"):
        combine(one, one, weight=-0.1)
    with pytest.raises(InvalidInput, match="cancel"):
        combine(one, one, weight=1.0)
