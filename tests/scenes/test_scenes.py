"""Rendered places: decided by their seed, true to the camera, neither trivial nor hopeless to find again."""

from __future__ import annotations

import itertools
import re

import cv2
import numpy as np
import pytest

from resight import scenes
from resight.errors import InvalidInput
from resight.scenes.camera import Plane, draw, look_at, texture


def test_a_view_is_decided_by_its_seed_alone():
    first = scenes.render_view(3, 2, seed=5, side=320)
    scenes.render_view(1, 0, seed=9, side=128)
    np.random.seed(7)  # noqa: NPY002  global state must not matter
    assert np.array_equal(first, scenes.render_view(3, 2, seed=5, side=320))
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert max(first.shape[:2]) == 320


@pytest.mark.parametrize(("place", "view", "seed"), [(4, 2, 5), (3, 1, 5), (3, 2, 6)])
def test_another_place_view_or_seed_is_another_photo(place, view, seed):
    first, other = (
        scenes.render_view(3, 2, seed=5, side=128),
        scenes.render_view(place, view, seed=seed, side=128),
    )
    assert first.shape != other.shape or np.abs(first.astype(int) - other).mean() > 8


def test_distractors_are_places_of_their_own():
    one, other = scenes.render_distractor(0, side=128), scenes.render_distractor(1, side=128)
    place = scenes.render_view(0, 0, side=128)
    assert one.shape != other.shape or np.abs(one.astype(int) - other).mean() > 8
    assert one.shape != place.shape or np.abs(one.astype(int) - place).mean() > 8
    assert np.array_equal(one, scenes.render_distractor(0, side=128))


def test_a_collection_on_disk_is_the_rendered_views(tmp_path):
    told = []
    photos = scenes.write_collection(
        tmp_path / "new",
        places=2,
        views=2,
        distractors=1,
        seed=4,
        side=160,
        progress=lambda done, total: told.append((done, total)),
    )
    assert [photo.path.name for photo in photos] == [
        "place_000_view_0.jpg",
        "place_000_view_1.jpg",
        "place_001_view_0.jpg",
        "place_001_view_1.jpg",
        "distractor_000.jpg",
    ]
    assert [(photo.place, photo.view) for photo in photos] == [(0, 0), (0, 1), (1, 0), (1, 1), (None, 0)]
    assert told[-1] == (5, 5)
    for photo in photos[:4]:
        stored = cv2.imread(str(photo.path), cv2.IMREAD_COLOR_RGB)
        assert np.array_equal(stored, scenes.render_view(photo.place, photo.view, seed=4, side=160))
    stored = cv2.imread(str(photos[4].path), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(stored, scenes.render_distractor(0, seed=4, side=160))


def test_threads_change_nothing(tmp_path):
    one = scenes.write_collection(tmp_path / "one", places=3, views=1, distractors=0, side=96, workers=1)
    four = scenes.write_collection(tmp_path / "four", places=3, views=1, distractors=0, side=96, workers=4)
    assert [a.path.read_bytes() for a in one] == [b.path.read_bytes() for b in four]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: scenes.render_view(-1, 0),
            "seeds, numbers and counts of rendered photos must not be negative, got -1",
        ),
        (lambda: scenes.render_distractor(0, seed=-2), "must not be negative, got -2"),
        (lambda: scenes.render_view(0, 0, side=63), "a long side of at least 64 pixels, got 63"),
    ],
)
def test_impossible_numbers_are_refused(call, message):
    with pytest.raises(InvalidInput, match=re.escape(message)):
        call()


def test_a_plane_is_pictured_where_its_points_project():
    camera = look_at((3.0, 1.7, 9.0), (0.5, 3.0, 0.0), roll=0.1, focal=500.0, width=400, height=300)
    plane = Plane((-1.0, 4.0, 0.5))
    colour, alpha = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8)
    alpha[20:23, 50:53] = 255
    canvas = np.full((300, 400, 3), 255, np.float32)
    draw(canvas, camera, plane, texture(colour, alpha, 40.0))
    # The painted spot's middle, 51.5 and 21.5 texels from the corner, seen through the pinhole by hand.
    spot = np.array([-1.0 + 51.5 / 40, 4.0 - 21.5 / 40, 0.5]) - np.array([3.0, 1.7, 9.0])
    x, y, z = camera.rotation @ spot
    expected = (199.5 + 500 * x / z, 149.5 + 500 * y / z)
    darkness = 255 - canvas[..., 0]
    rows, columns = np.indices(darkness.shape)
    found = (darkness * columns).sum() / darkness.sum(), (darkness * rows).sum() / darkness.sum()
    assert found == pytest.approx(expected, abs=0.1)
    assert np.allclose(camera.rotation @ camera.rotation.T, np.eye(3))


def test_what_is_behind_the_camera_is_not_pictured():
    camera = look_at((0.0, 1.7, 5.0), (0.0, 1.7, 0.0), roll=0.0, focal=100.0, width=64, height=64)
    paint = texture(np.full((200, 200, 3), 200, np.uint8), np.full((200, 200), 255, np.uint8), 10.0)
    canvas = np.zeros((64, 64, 3), np.float32)
    draw(canvas, camera, Plane((-10.0, 10.0, 6.0)), paint)
    assert not canvas.any()
    ground = Plane((-10.0, 0.0, -10.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    draw(canvas, camera, ground, paint)
    assert not canvas[:31].any()
    assert canvas[60:].all()


def _features(pixels):
    keypoints, raw = cv2.SIFT.create(nfeatures=1000).detectAndCompute(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), None
    )
    return np.array([keypoint.pt for keypoint in keypoints], np.float32), np.sqrt(
        raw / raw.sum(1, keepdims=True)
    )


def _inliers(one, other):
    likeness = one[1] @ other[1].T
    nearest = likeness.argmax(1)
    gap = 2 - 2 * np.sort(likeness, axis=1)[:, -2:]
    mutual = likeness.argmax(0)[nearest] == np.arange(len(nearest))
    kept = np.flatnonzero(mutual & (gap[:, 1] <= 0.64 * gap[:, 0]))
    if len(kept) < 4:
        return 0
    _, found = cv2.estimateAffine2D(
        one[0][kept], other[0][nearest[kept]], method=cv2.USAC_MAGSAC, ransacReprojThreshold=5.0
    )
    return 0 if found is None else int(found.sum())


@pytest.mark.slow
def test_views_of_a_place_match_often_and_different_places_do_not():
    features = [[_features(scenes.render_view(place, view)) for view in range(3)] for place in range(8)]
    same = [_inliers(a, b) for views in features for a, b in itertools.combinations(views, 2)]
    apart = [_inliers(a[0], b[1]) for a, b in itertools.permutations(features, 2)]
    assert 0.4 <= np.mean(np.array(same) >= 15) <= 0.95
    assert np.mean(np.array(apart) < 8) >= 0.95
