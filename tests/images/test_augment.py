"""Transforms: equal to a literal writing of each paper's, the batch equal to photo by photo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from resight.errors import InvalidInput
from resight.images.augment import (
    CentreCrop,
    LongSide,
    RandomResizedCrop,
    ResizeRandomCrop,
    Stretch,
    paper_transforms,
)

TRANSFORMS = [
    Stretch(24),
    ResizeRandomCrop(24, 30),
    RandomResizedCrop(24),
    CentreCrop(24, 28),
    LongSide(24),
]


def photo(rows, columns, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def bilinear(pixels, rows, columns):
    return np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR))


class Scripted:
    """A generator that gives the numbers it was told to give."""

    def __init__(self, numbers):
        self.numbers = np.asarray(numbers, dtype=np.float64)

    def random(self, count):
        assert count == len(self.numbers)
        return self.numbers


def literal_random_resized_crop(pixels, size, numbers):
    """As torchvision's: areas, proportions, then row, column and mirror, each from a uniform number."""
    rows, columns = pixels.shape[:2]
    areas, proportions, (u_top, u_left, u_mirror) = numbers[:10], numbers[10:20], numbers[20:]
    for u_area, u_proportion in zip(areas, proportions, strict=True):
        area = rows * columns * (0.08 + (1.0 - 0.08) * u_area)
        low, high = math.log(3 / 4), math.log(4 / 3)
        proportion = math.exp(low + (high - low) * u_proportion)
        width, height = round(math.sqrt(area * proportion)), round(math.sqrt(area / proportion))
        if 0 < width <= columns and 0 < height <= rows:
            top, left = int(u_top * (rows - height + 1)), int(u_left * (columns - width + 1))
            break
    else:
        if columns / rows < 3 / 4:
            width, height = columns, round(columns / (3 / 4))
        elif columns / rows > 4 / 3:
            width, height = round(rows * (4 / 3)), rows
        else:
            width, height = columns, rows
        top, left = (rows - height) // 2, (columns - width) // 2
    part = bilinear(np.ascontiguousarray(pixels[top : top + height, left : left + width]), size, size)
    return part[:, ::-1] if u_mirror < 0.5 else part


def test_stretching_loses_the_proportions():
    pixels = photo(40, 90)
    assert np.array_equal(Stretch(24)(pixels, np.random.default_rng()), bilinear(pixels, 24, 24))


@pytest.mark.parametrize("numbers", [(0.0, 0.0, 0.9), (0.999, 0.5, 0.2), (0.4, 0.999, 0.5)])
def test_cgd_crops_the_stretched_photo(numbers):
    pixels = photo(50, 70)
    whole = bilinear(pixels, 30, 30)
    top, left = int(numbers[0] * 7), int(numbers[1] * 7)
    part = whole[top : top + 24, left : left + 24]
    expected = part[:, ::-1] if numbers[2] < 0.5 else part
    assert np.array_equal(ResizeRandomCrop(24, 30)(pixels, Scripted(numbers)), expected)


def test_every_crop_and_both_sides_come_up():
    columns = np.arange(7, dtype=np.uint8)
    pixels = np.ascontiguousarray(
        np.stack(
            [np.broadcast_to(columns, (7, 7)), np.broadcast_to(columns[:, None], (7, 7)), np.zeros((7, 7))],
            -1,
        )
    ).astype(np.uint8)
    rng = np.random.default_rng(3)
    crops = [ResizeRandomCrop(5, 7)(pixels, rng) for _ in range(400)]
    seen = {
        (int(crop[0, :, 0].min()), int(crop[0, 0, 1]), bool(crop[0, 0, 0] > crop[0, 1, 0])) for crop in crops
    }
    assert seen == {(left, top, mirror) for left in range(3) for top in range(3) for mirror in (True, False)}


@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (64, 64), (30, 200), (200, 30)])
def test_random_resized_crop_is_the_literal_one(shape):
    pixels, transform = photo(*shape), RandomResizedCrop(24)
    rng = np.random.default_rng(1)
    for numbers in rng.random((40, transform.draws)):
        expected = literal_random_resized_crop(pixels, 24, numbers)
        got = transform.apply(pixels, numbers)
        # Enlarged parts come from another implementation of the same filter: two levels at most.
        assert np.abs(got.astype(int) - expected.astype(int)).max() <= 2


def test_without_a_crop_that_fits_the_middle_is_taken():
    pixels = photo(20, 400)
    numbers = np.full(23, 0.9999)
    expected = literal_random_resized_crop(pixels, 12, numbers)
    middle = bilinear(np.ascontiguousarray(pixels[:, 186:213]), 12, 12)
    assert np.array_equal(expected, middle)
    assert np.array_equal(RandomResizedCrop(12).apply(pixels, numbers), middle)


def test_areas_and_proportions_have_torchvisions_distribution():
    transform = RandomResizedCrop(24)
    parts = transform._parts(1000, 1000, np.random.default_rng(0).random((4000, transform.draws)))
    areas, proportions = parts[:, 2] * parts[:, 3] / 1e6, parts[:, 3] / parts[:, 2]
    # A part of share a fits where a <= min(r, 1/r); the mean share of those, a uniform in [0.08, 1] and log r
    # uniform in [-log 4/3, log 4/3], is (0.7604 - 0.0064) / (2 (0.8690 - 0.08)) = 0.4778.
    assert 0.07 < areas.min() < 0.09
    assert abs(areas.mean() - 0.4778) < 0.01
    assert abs(np.log(proportions).mean()) < 0.02
    assert 0.74 < proportions.min() < 0.76
    assert 1.32 < proportions.max() < 1.35
    assert (parts[:, 0] + parts[:, 2] <= 1000).all()
    assert (parts[:, 1] + parts[:, 3] <= 1000).all()


@pytest.mark.parametrize(("rows", "columns"), [(40, 60), (60, 41), (28, 28), (20, 33)])
def test_centre_crop_is_the_literal_one(rows, columns):
    pixels = photo(rows, columns)
    height, width = (28, 28 * columns // rows) if rows <= columns else (28 * rows // columns, 28)
    whole = bilinear(pixels, height, width)
    top, left = round((height - 24) / 2), round((width - 24) / 2)
    got = CentreCrop(24, 28)(pixels, np.random.default_rng())
    difference = np.abs(got.astype(int) - whole[top : top + 24, left : left + 24].astype(int))
    assert difference.max() <= (2 if min(rows, columns) < 28 else 0)


def test_the_long_side_is_reduced_and_never_enlarged():
    assert LongSide(24)(photo(48, 96), np.random.default_rng()).shape == (12, 24, 3)
    small = photo(10, 20)
    assert np.array_equal(LongSide(24)(small, np.random.default_rng()), small)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: type(transform).__name__)
@pytest.mark.parametrize("shape", [(30, 30), (20, 20), (24, 24), (90, 50)])
def test_a_batch_gives_the_bits_of_photo_by_photo(transform, shape):
    pixels = np.stack([photo(*shape, seed=seed) for seed in range(9)])
    before = pixels.copy()
    numbers = np.random.default_rng(5).random((9, transform.draws))
    batch = transform.apply_batch(pixels, numbers)
    rng = np.random.default_rng(5)
    assert batch.dtype == np.uint8
    for index in range(9):
        assert np.array_equal(batch[index], transform.apply(pixels[index], numbers[index]))
        assert np.array_equal(batch[index], transform(pixels[index], rng))
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("transform", TRANSFORMS[1:4], ids=lambda transform: type(transform).__name__)
def test_a_part_of_a_batch_is_that_part_of_the_whole(transform):
    pixels = np.stack([photo(30, 30, seed=seed) for seed in range(8)])
    numbers = np.random.default_rng(2).random((8, transform.draws))
    whole = transform.apply_batch(pixels, numbers)
    for world in (2, 4):
        for rank in range(world):
            part = transform.apply_batch(pixels[rank::world], numbers[rank::world])
            assert np.array_equal(part, whole[rank::world])


def test_transforms_can_be_sent_an_empty_batch_and_read_only_photos():
    empty = np.empty((0, 30, 30, 3), dtype=np.uint8)
    for transform in TRANSFORMS[:4]:
        assert len(transform.apply_batch(empty, np.empty((0, transform.draws)))) == 0
    fixed = np.stack([photo(30, 30)])
    fixed.flags.writeable = False
    for transform in TRANSFORMS:
        transform.apply_batch(fixed, np.full((1, transform.draws), 0.3))


def test_the_papers_sizes():
    cgd, softtriple, gem = (paper_transforms(paper, 224) for paper in ("cgd", "softtriple", "gem"))
    assert (cgd.train, cgd.test) == (ResizeRandomCrop(224, 252, 0.5), Stretch(224))
    assert (softtriple.train, softtriple.test) == (
        RandomResizedCrop(224, 0.08, 4 / 3, 0.5),
        CentreCrop(224, 256),
    )
    assert (gem.train, gem.test) == (LongSide(224), LongSide(224))
    assert paper_transforms("cgd", 80).train == ResizeRandomCrop(80, 90)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Stretch(0), "size from 1 pixel"),
        (lambda: ResizeRandomCrop(24, 23), "not 24 of 23"),
        (lambda: ResizeRandomCrop(24, 30, 1.5), "mirror is a probability, not 1.5"),
        (lambda: RandomResizedCrop(24, 0.0), r"least area in \(0, 1\]"),
        (lambda: RandomResizedCrop(24, 0.5, 0.9), "ratio from 1"),
        (lambda: CentreCrop(24, 20), "not 24 of 20"),
        (lambda: paper_transforms("dolg", 224), "there are cgd, softtriple and gem"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()
