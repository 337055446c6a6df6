import dataclasses
import math

import numpy as np
import pytest
from scipy.spatial import cKDTree
from skimage.measure import ransac
from skimage.transform import AffineTransform

from resight.errors import InvalidInput
from resight.features import Box, LocalFeatures
from resight.search import (
    Ranking,
    Verification,
    VerificationConfig,
    VerifiedRanking,
    match_many,
    match_mutual,
    match_ratio,
    order_verified,
    rerank,
    verification_config,
    verify,
    without,
)
from resight.search.geometry.chance import inliers_by_chance


def features(rng, n, *, positions=None, scales=None, orientations=None, descriptors=None, side=640):
    return LocalFeatures(
        (rng.random((n, 2)) * side if positions is None else positions).astype(np.float32),
        (rng.random(n) * 10 + 2 if scales is None else scales).astype(np.float32),
        (rng.random(n) * 2 * np.pi if orientations is None else orientations).astype(np.float32),
        np.ones(n, np.float32),
        rng.integers(0, 256, (n, 32)).astype(np.uint8) if descriptors is None else descriptors,
    )


def seen_through(rng, query, transform, clutter=200):
    """The query's features moved by a transform, in a random order, among random ones."""
    moved = np.c_[query.positions, np.ones(len(query))] @ transform.T
    depth = moved[:, 2:]
    moved = moved[:, :2] / depth
    # Scale and orientation of a keypoint: those of the derivative, by small steps.
    step = np.c_[
        query.positions + 0.01 * np.c_[np.cos(query.orientations), np.sin(query.orientations)],
        np.ones(len(query)),
    ]
    step = step @ transform.T
    away = (step[:, :2] / step[:, 2:] - moved) / 0.01
    other = features(rng, clutter)
    order = rng.permutation(len(query) + clutter)
    return features(
        rng,
        len(order),
        positions=np.r_[moved, other.positions][order],
        scales=np.r_[query.scales * np.hypot(*away.T), other.scales][order],
        orientations=np.r_[np.arctan2(away[:, 1], away[:, 0]) % (2 * np.pi), other.orientations][order],
        descriptors=np.r_[query.descriptors, other.descriptors][order],
    )


def rotation(degrees, scale, shift=(0, 0)):
    angle = np.deg2rad(degrees)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]], [0, 0, 1]])


PLANTED = {
    "identity": rotation(0, 1),
    "turned upside down": rotation(180, 1, (640, 640)),
    "a third": rotation(30, 1 / 3, (300, 100)),
    "three times": rotation(70, 3, (600, 0)),
    "affine": np.array([[1.2, 0.3, 20], [-0.2, 0.8, 90], [0, 0, 1]]),
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("matching", ["mutual", "ratio"])
def test_a_planted_transform_is_recovered(name, matching):
    rng = np.random.default_rng(0)
    query = features(rng, 100)
    answer = seen_through(rng, query, PLANTED[name])
    box = Box(10.5, 20.5, 300.5, 400.5)
    found = verify(query, answer, region=box, config=VerificationConfig(matching=matching))
    assert found.inliers >= 90
    assert found.query_points.shape == found.answer_points.shape == (found.inliers, 2)
    corners = np.array([[10, 20, 1], [300, 20, 1], [300, 400, 1], [10, 400, 1]]) @ PLANTED[name].T
    np.testing.assert_allclose(found.region, corners[:, :2], atol=1.0)
    predicted = np.c_[found.query_points, np.ones(found.inliers)] @ found.transform.T
    np.testing.assert_allclose(predicted[:, :2] / predicted[:, 2:], found.answer_points, atol=1.0)


@pytest.mark.parametrize("model", ["affine", "homography"])
def test_a_group_grows_to_all_that_the_transform_explains(model):
    # A similarity transform comes within twice 6 pixels of a part only; noise spoils the fit to that part.
    rng = np.random.default_rng(1)
    query = features(rng, 100)
    answer = seen_through(rng, query, np.array([[1.5, 0.6, 20], [-0.1, 0.7, 90], [0, 0, 1]]))
    noise = rng.normal(0, 1.5, answer.positions.shape)
    noisy = dataclasses.replace(answer, positions=(answer.positions + noise).astype(np.float32))
    assert verify(query, noisy, config=VerificationConfig(model=model, threshold=6.0)).inliers >= 98


def test_a_planted_homography_is_recovered():
    rng = np.random.default_rng(0)
    query = features(rng, 150)
    planted = np.array([[1.1, 0.1, 10], [0.05, 0.9, 30], [4e-4, 2e-4, 1]])
    answer = seen_through(rng, query, planted)
    found = verify(query, answer, config=VerificationConfig(model="homography"))
    assert found.inliers >= 100
    corners = np.array([[0, 0, 1], [640, 0, 1], [640, 640, 1], [0, 640, 1]]) @ planted.T
    whole = verify(
        query, answer, region=Box(0.5, 0.5, 640.5, 640.5), config=VerificationConfig(model="homography")
    )
    np.testing.assert_allclose(whole.region, corners[:, :2] / corners[:, 2:], atol=3.0)


@pytest.mark.parametrize(
    "refused",
    [
        np.array([[-1, 0, 640], [0, 1, 0], [0, 0, 1.0]]),
        rotation(0, 1 / 12, (300, 300)),
        np.array([[1, 0, 0], [0, 0.15, 200], [0, 0, 1.0]]),
        np.array([[0, 0, 320], [0, 0, 320], [0, 0, 1.0]]),
    ],
    ids=["mirrored", "shrunk 12 times", "squashed", "collapsed"],
)
def test_what_no_camera_sees_is_refused(refused):
    rng = np.random.default_rng(0)
    query = features(rng, 150)
    # Every orientation and scale alike, so that the matches reach the fit.
    plain = dataclasses.replace(query, orientations=np.zeros(150, np.float32))
    moved = (np.c_[plain.positions, np.ones(150)] @ refused.T)[:, :2]
    answer = features(
        rng,
        350,
        positions=np.r_[moved + rng.normal(0, 0.01, moved.shape), rng.random((200, 2)) * 640],
        scales=np.r_[plain.scales * np.sqrt(max(abs(np.linalg.det(refused)), 1e-3)), np.ones(200)],
        orientations=np.zeros(350),
        descriptors=np.r_[plain.descriptors, rng.integers(0, 256, (200, 32)).astype(np.uint8)],
    )
    for model in ("affine", "homography"):
        found = verify(plain, answer, config=VerificationConfig(model=model))
        assert found.inliers < 8


def test_a_refused_transform_has_no_inliers():
    rng = np.random.default_rng(0)
    query = features(rng, 40, side=300)
    twice = dataclasses.replace(query, positions=query.positions * 2, scales=query.scales * 2)
    assert verify(query, twice).inliers == 40
    refused = verify(query, twice, config=VerificationConfig(max_scale=1.5))
    assert (refused.inliers, refused.transform, refused.region) == (0, None, None)


def test_neighbours_beyond_the_distance_are_no_matches():
    rng = np.random.default_rng(0)
    query = features(rng, 40)
    descriptors = query.descriptors.copy()
    descriptors[20:, :4] = 255 - descriptors[20:, :4]
    answer = dataclasses.replace(query, descriptors=descriptors)
    for bound, inliers in ((0.05, 20), (1.0, 40)):
        config = VerificationConfig(matching="distance", max_distance=bound)
        assert verify(query, answer, config=config).inliers == inliers


def test_many_features_at_one_point_count_once():
    rng = np.random.default_rng(0)
    query = features(rng, 60)
    answer = dataclasses.replace(query, positions=np.repeat(query.positions[:5], 12, axis=0))
    assert verify(query, answer).inliers <= 5
    doubled = features(
        rng,
        12,
        positions=np.repeat(query.positions[:6], 2, axis=0),
        scales=np.full(12, 3.0),
        orientations=np.zeros(12),
    )
    assert verify(doubled, doubled).inliers == 6


def test_random_features_have_fewer_than_8_inliers():
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert verify(features(rng, 1000), features(rng, 1000)).inliers < 8


@pytest.mark.parametrize(("model", "sample"), [("affine", 3), ("homography", 4)])
def test_below_the_sample_size_there_are_no_inliers(model, sample):
    rng = np.random.default_rng(0)
    for n in range(sample):
        query = features(rng, n)
        found = verify(query, query, config=VerificationConfig(model=model))
        assert (found.inliers, found.transform, found.region) == (0, None, None)
        assert found.query_points.shape == (0, 2)


def test_photos_of_any_size_are_judged_alike():
    rng = np.random.default_rng(0)
    query = features(rng, 100)
    answer = seen_through(rng, query, rotation(10, 0.8, (50, 50)))
    noisy = dataclasses.replace(
        answer, positions=(answer.positions + rng.normal(0, 3, answer.positions.shape)).astype(np.float32)
    )
    large = dataclasses.replace(noisy, positions=noisy.positions * 6, scales=noisy.scales * 6)
    assert verify(query, noisy).inliers == verify(query, large).inliers > 80


def test_where_in_a_photo_its_features_lie_changes_nothing():
    rng = np.random.default_rng(0)
    query = features(rng, 100)
    answer = seen_through(rng, query, rotation(10, 0.8, (50, 50)))
    noise = rng.normal(0, 20, answer.positions.shape)
    noisy = dataclasses.replace(answer, positions=(answer.positions + noise).astype(np.float32))
    away = dataclasses.replace(noisy, positions=noisy.positions + np.float32([4096, 0]))
    assert 20 < verify(query, noisy).inliers == verify(query, away).inliers < 80


def test_matches_equal_a_literal_loop():
    rng = np.random.default_rng(0)
    for _ in range(20):
        similarities = (rng.integers(0, 12, (9, 7)) / 12).astype(np.float32)
        mutual, ratio = [], {}
        for i in range(9):
            row = similarities[i].tolist()
            j = row.index(max(row))
            column = similarities[:, j].tolist()
            rivals = [
                r
                for r in range(9)
                if column[r] == max(column)
                and similarities[r].tolist().index(max(similarities[r].tolist())) == j
            ]
            if rivals and rivals[0] == i:
                mutual.append((i, j))
            second = max([*row[:j], *row[j + 1 :]])
            if np.sqrt(2 - 2 * row[j]) < 0.8 * np.sqrt(2 - 2 * second) and (
                j not in ratio or row[j] > ratio[j][0]
            ):
                ratio[j] = (row[j], i)
        found = match_mutual(similarities)
        assert list(zip(found.query.tolist(), found.answer.tolist(), strict=True)) == mutual
        tested = match_ratio(similarities, 0.8)
        assert list(zip(tested.query.tolist(), tested.answer.tolist(), strict=True)) == sorted(
            (i, j) for j, (_, i) in ratio.items()
        )


def test_matching_many_equals_matching_each_and_refuses_other_models(monkeypatch):
    monkeypatch.setattr("resight.search.geometry.matching.BLOCK", 2000)
    rng = np.random.default_rng(0)
    query = features(rng, 30)
    answers = [features(rng, n) for n in (20, 0, 50, 1, 40)]
    for answer, found in zip(answers, match_many(query, answers, rule="mutual", ratio=1.0), strict=True):
        alone = next(match_many(query, [answer], rule="mutual", ratio=1.0))
        np.testing.assert_array_equal(found.query, alone.query)
        np.testing.assert_array_equal(found.answer, alone.answer)
    other = dataclasses.replace(query, descriptors=query.descriptors.astype(np.float16))
    with pytest.raises(InvalidInput, match="one model"):
        verify(query, other)


def test_rerank_sorts_the_top_by_inliers_then_score_and_leaves_the_rest():
    rng = np.random.default_rng(0)
    query = features(rng, 80)
    local = {i: features(rng, 200) for i in range(6)}
    local[2] = seen_through(rng, query, rotation(20, 1.1))
    local[5] = seen_through(rng, query, rotation(0, 1))
    ranking = Ranking(
        np.array([[4, 1, 2, 3, 5, -1]]), np.array([[0.9, 0.8, 0.7, 0.6, 0.5, -np.inf]], dtype=np.float32)
    )
    before = ranking.ids.copy(), ranking.scores.copy()

    def features_of(ids):
        return [None if i == 1 else local[i] for i in ids.tolist()]

    reranked = rerank(ranking, [query], features_of, top=4)
    found = [dict(zip(reranked.ids[0].tolist(), reranked.matches[0][:4], strict=False))]
    np.testing.assert_array_equal(ranking.ids, before[0])
    np.testing.assert_array_equal(ranking.scores, before[1])
    assert set(found[0]) == {4, 1, 2, 3}
    assert reranked.ids[0, 0] == 2
    expected = sorted([4, 1, 2, 3], key=lambda i: (-found[0][i].inliers, [4, 1, 2, 3].index(i)))
    assert reranked.ids[0].tolist() == [*expected, 5, -1]
    assert found[0][1].inliers == 0
    similarities = dict(zip(ranking.ids[0].tolist(), ranking.scores[0].tolist(), strict=True))
    assert reranked.similarities[0].tolist() == [similarities[i] for i in reranked.ids[0].tolist()]
    assert reranked.matches[0][4:] == (None, None)
    ids, row, matches = reranked.row(0)
    assert ids.tolist() == [*expected, 5]
    assert row.tolist() == reranked.similarities[0, :5].tolist()
    assert matches == reranked.matches[0][:5]
    for array in (reranked.ids, reranked.similarities):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 0
    alone = verify(query, local[2])
    assert alone.inliers == found[0][2].inliers
    np.testing.assert_array_equal(alone.transform, found[0][2].transform)
    same = rerank(ranking, [query], features_of, top=0)
    np.testing.assert_array_equal(same.ids, ranking.ids)
    np.testing.assert_array_equal(same.similarities, ranking.scores)
    assert same.matches == ((None,) * 6,)
    with pytest.raises(InvalidInput, match="row 0 has 6 verifications for fewer answers"):
        VerifiedRanking.of(ranking, [[alone] * 6])


def test_verified_answers_are_ordered_by_what_chance_does_not_explain():
    nothing = np.empty((0, 2), np.float32)

    def match(inliers, expected):
        return Verification(inliers, nothing, nothing, None, None, expected)

    similarities = np.array([0.9, 0.8, 0.7, 0.2, 0.1], dtype=np.float32)
    matches = [match(5, 6.0), match(7, 6.0), match(0, 0.0), match(9, 6.0), match(80, 6.0)]
    # 5, 7 (up to 7.5) and 0 are no more than chance: these keep their order by similarity.
    expected = sorted(
        range(5),
        key=lambda n: (
            -(similarities[n] + 2 * math.log(1 + max(0.0, matches[n].inliers - 1.25 * matches[n].expected)))
        ),
    )
    assert order_verified(similarities, matches).tolist() == expected == [4, 3, 0, 1, 2]
    assert order_verified(similarities, matches, order="inliers").tolist() == [4, 3, 1, 0, 2]
    assert order_verified(similarities - 100, matches, order="beyond").tolist() == [4, 3, 0, 1, 2]
    assert order_verified(similarities, matches, cap=10).tolist() == [1, 0, 3, 4, 2]
    assert verification_config("delg").order == "inliers"
    with pytest.raises(InvalidInput, match="capped at 1 or more"):
        order_verified(similarities, matches, cap=0)


def test_what_cannot_be_right_is_refused():
    with pytest.raises(InvalidInput, match="ratio"):
        VerificationConfig(ratio=0)
    with pytest.raises(InvalidInput, match="max_scale"):
        VerificationConfig(max_scale=0.5)
    with pytest.raises(InvalidInput, match="affine"):
        VerificationConfig(model="perspective")
    ranking = Ranking(np.array([[1]]), np.array([[1.0]], dtype=np.float32))
    with pytest.raises(InvalidInput, match="needs as many"):
        rerank(ranking, [], lambda ids: [])
    with pytest.raises(InvalidInput, match="2 entries for 1"):
        rerank(ranking, [features(np.random.default_rng(0), 5)], lambda ids: [None, None])


def without_orientation(local):
    """As a network's local features are: no orientation, scales in steps of the square root of 2."""
    scales = 2.0 ** (np.round(2 * np.log2(local.scales)) / 2)
    return dataclasses.replace(
        local, orientations=np.zeros(len(local), np.float32), scales=scales.astype(np.float32)
    )


@pytest.mark.parametrize(
    ("name", "model"),
    [
        (name, model)
        for name in PLANTED
        for model in ("similarity", "affine", "homography")
        if (name, model) != ("affine", "similarity")
    ],
)
def test_features_without_orientation_are_verified_by_pairs(name, model):
    rng = np.random.default_rng(0)
    query = features(rng, 40)
    answer = without_orientation(seen_through(rng, query, PLANTED[name], clutter=400))
    # The nearest descriptors of most query features are wrong.
    mixed = np.r_[query.descriptors[:20], rng.integers(0, 256, (20, 32)).astype(np.uint8)]
    query = without_orientation(dataclasses.replace(query, descriptors=mixed))
    found = verify(query, answer, config=VerificationConfig(model=model, matching="mutual"))
    assert 19 <= found.inliers <= 24
    predicted = np.c_[found.query_points, np.ones(found.inliers)] @ found.transform.T
    away = np.linalg.norm(predicted[:, :2] / predicted[:, 2:] - found.answer_points, axis=1)
    assert np.median(away) < 2


@pytest.mark.parametrize(("box", "side"), [(60, 1000), (110, 1600)])
def test_a_small_part_of_a_photo_is_found_in_a_whole_one(box, side):
    rng = np.random.default_rng(0)
    query = without_orientation(features(rng, 15, positions=rng.random((15, 2)) * box + 300))
    clutter = features(rng, 300, side=side)
    values = {
        name: np.concatenate([getattr(query, name), getattr(clutter, name)])
        for name in ("positions", "scales", "scores", "descriptors")
    }
    answer = LocalFeatures(orientations=np.zeros(315, np.float32), **values)
    assert verify(query, answer).inliers == 15
    # Four times as far away, in a photo of one and a half times as many pixels and more.
    shrunk = dataclasses.replace(query, positions=query.positions * np.float32(3))
    assert verify(shrunk, answer).inliers >= 12
    far = dataclasses.replace(query, positions=query.positions * np.float32(20))
    assert verify(far, answer).inliers < 8


def test_keypoints_without_orientation_are_matched_within_a_distance():
    rng = np.random.default_rng(0)
    query = features(rng, 30)
    twice = LocalFeatures(
        *(np.concatenate([values, values + 1]) for values in (query.positions, query.scales)),
        *(np.concatenate([values, values]) for values in (query.orientations, query.scores)),
        np.concatenate([query.descriptors, query.descriptors]),
    )
    # Each feature of the answer has a neighbour that looks the same: the ratio test refuses all of them.
    assert verify(query, twice).inliers == 0
    bare, bare_twice = without_orientation(query), without_orientation(twice)
    assert verify(bare, bare_twice).inliers == 30
    assert verify(bare, bare_twice, config=VerificationConfig(matching="ratio")).inliers == 0
    assert VerificationConfig().rule_for(query) == "ratio"
    assert VerificationConfig(matching="mutual").rule_for(bare) == "mutual"


def test_a_planted_similarity_is_recovered_under_noise_and_outliers():
    rng = np.random.default_rng(0)
    query = features(rng, 100)
    answer = seen_through(rng, query, rotation(40, 1.5, (300, 20)))
    noisy = dataclasses.replace(
        answer, positions=(answer.positions + rng.normal(0, 2, answer.positions.shape)).astype(np.float32)
    )
    found = verify(query, noisy, config=VerificationConfig(model="similarity"))
    assert found.inliers >= 90
    linear = found.transform[:2, :2]
    np.testing.assert_allclose(linear, rotation(40, 1.5)[:2, :2], atol=0.02)
    assert linear[0, 0] == linear[1, 1]
    assert linear[0, 1] == -linear[1, 0]


def test_random_features_have_no_more_inliers_than_expected_by_chance():
    rng = np.random.default_rng(0)
    for strip in (lambda local: local, without_orientation):
        beyond = 0
        for _ in range(30):
            # Descriptors match, positions mean nothing.
            query = strip(features(rng, 150))
            answer = dataclasses.replace(strip(features(rng, 150)), descriptors=query.descriptors)
            found = verify(query, answer)
            assert 4 < found.expected < 12
            beyond += found.inliers > found.expected + 1
        assert beyond <= 4
    query = features(rng, 100)
    found = verify(query, seen_through(rng, query, PLANTED["affine"]))
    assert found.inliers > 10 * found.expected


def official(query, answer, bound, threshold, trials):
    """The published way, word by word: a k-d tree on the answer, one-way nearest neighbours, RANSAC."""
    left, right = (
        local.descriptors / np.linalg.norm(local.descriptors.astype(float), axis=1, keepdims=True)
        for local in (query, answer)
    )
    _, nearest = cKDTree(right).query(left, distance_upper_bound=bound)
    chosen = np.flatnonzero(nearest < len(right))
    if len(chosen) <= 3:
        return len(chosen), 0
    _, inliers = ransac(
        (answer.positions[nearest[chosen]], query.positions[chosen]),
        AffineTransform,
        min_samples=3,
        residual_threshold=threshold,
        max_trials=trials,
        rng=0,
    )
    return len(chosen), 0 if inliers is None else int(inliers.sum())


def test_the_delg_protocol_finds_what_the_published_way_finds():
    rng = np.random.default_rng(0)
    config = verification_config("delg")
    assert (config.threshold, config.trials, config.max_distance) == (20.0, 1000, 1.0)
    for clutter in (0, 60):
        query = features(rng, 60)
        answer = seen_through(rng, query, PLANTED["affine"], clutter=clutter)
        # The same descriptor again and again: matches of one answer feature all count.
        query = dataclasses.replace(
            query, descriptors=np.r_[query.descriptors[:50], np.repeat(query.descriptors[:1], 10, axis=0)]
        )
        matches, inliers = official(query, answer, 1.0, 20.0, 1000)
        found = verify(query, answer, config=config)
        assert matches == 60
        assert 50 <= inliers <= 52
        assert abs(found.inliers - inliers) <= 1
        area = float(np.ptp(query.positions, axis=0).prod())
        chance = inliers_by_chance(60, np.pi * 20**2 / area, sample=3, tests=1000)
        assert found.expected == pytest.approx(chance)
        np.testing.assert_allclose(found.transform[:2], PLANTED["affine"][:2], rtol=0.05, atol=6)


def test_the_delg_protocol_needs_four_matches_and_counts_pixels_of_the_query():
    rng = np.random.default_rng(0)
    config = verification_config("delg")
    for n, least in ((3, 0), (4, 4)):
        query = features(rng, n)
        assert verify(query, query, config=config).inliers == least
    query = features(rng, 60)
    answer = seen_through(rng, query, rotation(0, 1), clutter=0)
    noise = rng.normal(0, 5, answer.positions.shape)
    answer = dataclasses.replace(answer, positions=(answer.positions + noise).astype(np.float32))
    assert verify(query, answer, config=config).inliers >= 55
    # Ten times the query's pixels: the noise is ten times as many of them.
    large = dataclasses.replace(query, positions=query.positions * 10)
    assert verify(large, answer, config=config).inliers < 30
    small = dataclasses.replace(answer, positions=answer.positions / 10)
    assert verify(query, small, config=config).inliers >= 55


def test_a_mirror_is_refused_but_by_the_delg_protocol():
    rng = np.random.default_rng(0)
    query = features(rng, 60)
    mirror = dataclasses.replace(query, positions=query.positions * np.float32([-1, 1]))
    assert verify(query, mirror).inliers < 8
    assert verify(query, mirror, config=verification_config("delg")).inliers == 60


def test_junk_leaves_before_the_first_answers_are_verified():
    ranking = Ranking(
        np.array([[4, 1, 2, 3], [3, 2, 1, -1]]),
        np.array([[0.9, 0.8, 0.7, 0.6], [0.5, 0.4, 0.3, -np.inf]], dtype=np.float32),
    )
    left = without(ranking, [{1, 9}, {3, 2, 1}])
    assert left.ids.tolist() == [[4, 2, 3, -1], [-1, -1, -1, -1]]
    assert left.scores[0].tolist() == [*ranking.scores[0, [0, 2, 3]].tolist(), -np.inf]
    assert ranking.ids.tolist() == [[4, 1, 2, 3], [3, 2, 1, -1]]
    with pytest.raises(InvalidInput, match="2 queries"):
        without(ranking, [{1}])


def test_a_capped_number_of_inliers_and_the_score_make_one_order():
    rng = np.random.default_rng(0)
    query = features(rng, 80)
    local = {
        0: features(rng, 100),
        1: seen_through(rng, query.best(12), rotation(20, 1.1)),
        2: seen_through(rng, query, rotation(0, 1)),
        3: features(rng, 100),
    }
    scores = np.array([[0.9, 0.8, 0.3, 0.2]], dtype=np.float32)
    ranking = Ranking(np.array([[0, 1, 2, 3]]), scores)
    reranked = rerank(ranking, [query], lambda ids: [local[i] for i in ids.tolist()], top=3, cap=20)
    found = dict(zip(reranked.ids[0].tolist(), reranked.matches[0], strict=True))
    inliers = np.array([found[i].inliers for i in range(3)])
    assert inliers[1] >= 11
    assert inliers[2] >= 70
    combined = scores[0, :3] + np.minimum(inliers, 20) / 20
    assert reranked.ids[0].tolist() == [*np.argsort(-combined).tolist(), 3] == [1, 2, 0, 3]
    np.testing.assert_array_equal(reranked.similarities[0], scores[0, reranked.ids[0]])
    with pytest.raises(InvalidInput, match="capped at 1 or more, not 0"):
        rerank(ranking, [query], lambda ids: [local[i] for i in ids.tolist()], cap=0)


def test_settings_and_protocols_that_do_not_exist_are_refused():
    with pytest.raises(InvalidInput, match="no verification protocol 'delf'; there are: default, delg"):
        verification_config("delf")
    for wrong in (
        {"matching": "nearest"},
        {"sampling": "some"},
        {"sampling": "random", "model": "homography"},
        {"max_distance": 2.5},
        {"trials": 0},
        {"seed": -1},
    ):
        with pytest.raises(InvalidInput, match="verification"):
            VerificationConfig(**wrong)
    for matching in (None, "mutual", "ratio", "distance"):
        assert VerificationConfig(matching=matching).matching == matching
    least = VerificationConfig(threshold=0.5, trials=1)
    assert (least.threshold, least.trials) == (0.5, 1)
