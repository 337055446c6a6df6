"""Which cells become keypoints, and where they lie in the photo."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.features import Box, ReceptiveField
from resight.images import Photo
from resight.models.delg_describer import PAPER_SCALES
from resight.models.keypoints import KeypointConfig, LocalMaps, keypoints_of

FIELD = ReceptiveField(size=9, stride=4, padding=4)


def a_photo(rows=12, columns=16, *, region=None, reduction=1):
    width, height = columns * reduction, rows * reduction
    whole = region or Box(0, 0, width, height)
    return Photo(np.zeros((rows, columns, 3), dtype=np.uint8), width, height, whole)


def some_maps(attention, *, width=16, height=12, dim=2):
    attention = np.array(attention, dtype=np.float32)
    local = np.zeros((dim, *attention.shape), dtype=np.float32)
    # The second number says which cell it is: rows and columns told apart.
    local[0], local[1] = 1.0, np.arange(attention.size).reshape(attention.shape)
    return LocalMaps(attention, local, width, height)


ATTENTION = [[1, 5, 2, 0], [7, 3, 3, 4], [9, 6, 8, 2.5]]


def found(maps, photo, field=FIELD, **settings):
    return keypoints_of(maps, photo, field, KeypointConfig(**settings), dim=2)


def test_the_best_cells_come_first_at_the_centres_of_what_they_see():
    features = found([some_maps(ATTENTION)], a_photo(), max_features=4)
    np.testing.assert_array_equal(features.scores, [9, 8, 7, 6])
    np.testing.assert_array_equal(features.positions, [[0, 8], [8, 8], [0, 4], [4, 8]])
    np.testing.assert_array_equal(features.descriptors[:, 1], [8, 10, 4, 9])
    np.testing.assert_array_equal(features.scales, [9, 9, 9, 9])
    np.testing.assert_array_equal(features.orientations, 0)
    assert features.descriptors.dtype == np.float16
    assert features.metric == "cosine"


def test_equal_scores_keep_the_order_of_sizes_rows_and_columns():
    features = found([some_maps(np.ones((3, 4))), some_maps(np.ones((3, 4)))], a_photo())
    np.testing.assert_array_equal(features.descriptors[:, 1], [*range(12), *range(12)])
    first = found([some_maps(np.ones((3, 4)))] * 2, a_photo(), max_features=12)
    np.testing.assert_array_equal(first.descriptors[:, 1], range(12))


def test_positions_and_sizes_of_a_reduced_part_are_in_pixels_of_the_whole_photo():
    # The part from (100, 40) is shown at a quarter; the network saw it at twice that.
    photo = a_photo(12, 16, region=Box(100, 40, 164, 88), reduction=20)
    features = found([some_maps(ATTENTION, width=32, height=24)], photo, max_features=1)
    # The cell (2, 0) of stride 4 lies at pixel (0, 8) of 32 x 24.
    shown = np.array([0.5 / 2 - 0.5, 8.5 / 2 - 0.5])
    np.testing.assert_allclose(features.positions[0], (shown + 0.5) * 4 + [100, 40] - 0.5)
    assert features.scales[0] == pytest.approx(9 / 2 * 4)


def test_cells_whose_centre_lies_outside_the_photo_are_left_out():
    maps = some_maps(np.ones((3, 4)), width=13, height=9)
    features = found([maps], a_photo(9, 13))
    assert len(features) == 12
    # The last row's centre is pixel 8, one beyond an image of 8 rows.
    assert len(found([some_maps(np.ones((3, 4)), width=13, height=8)], a_photo(8, 13))) == 8


def test_cells_without_response_are_left_out():
    maps = some_maps(np.ones((3, 4)))
    maps.local[:, 1, 2] = 0
    assert 6 not in found([maps], a_photo()).descriptors[:, 1]
    assert len(found([maps], a_photo())) == 11


def test_threshold_and_quantile_bound_the_attention():
    assert found([some_maps(ATTENTION)], a_photo(), threshold=6).scores.tolist() == [9, 8, 7, 6]
    # Of twelve cells the quantile 0.75 lies between the third and the fourth best.
    assert found([some_maps(ATTENTION)], a_photo(), quantile=0.75).scores.tolist() == [9, 8, 7]
    assert found([some_maps(ATTENTION)], a_photo(), quantile=0.75, threshold=8).scores.tolist() == [9, 8]
    assert len(found([some_maps(ATTENTION)], a_photo(), threshold=100)) == 0


def test_without_any_map_there_are_no_keypoints():
    features = found([], a_photo())
    assert len(features) == 0
    assert features.descriptors.shape == (0, 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scales": ()}, "scales must be positive numbers, at least one"),
        ({"scales": (0.0,)}, "scales must be positive"),
        ({"scales": (1.0, 1.0)}, "differ from each other"),
        ({"max_features": 0}, "max_features must be at least 1"),
        ({"threshold": float("nan")}, "threshold must be a finite number"),
        ({"quantile": 1.5}, "quantile must lie in 0 .. 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(InvalidInput, match=words):
        KeypointConfig(**settings)


def test_the_defaults_are_the_papers():
    settings = KeypointConfig()
    np.testing.assert_allclose(
        settings.scales, [0.25, 0.35355338, 0.5, 0.70710677, 1.0, 1.4142135, 2.0], rtol=1e-7
    )
    np.testing.assert_allclose(PAPER_SCALES, settings.scales[3:6], rtol=0)
    assert settings.max_features == 1000
