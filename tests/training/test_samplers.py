"""Samplers: whole batches, their promises about classes, and nothing but seed and epoch behind them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.training.samplers import ClassBalancedSampler, MPerClassSampler, PlainSampler

SIZES = (9, 1, 4, 2, 7, 12, 5, 3)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(len(SIZES)), SIZES)).astype(np.int64)
SAMPLERS = {
    "plain": lambda seed: PlainSampler(len(LABELS), 8, seed),
    "balanced": lambda seed: ClassBalancedSampler(LABELS, 8, seed),
    "m per class": lambda seed: MPerClassSampler(LABELS, 8, 2, seed),
}


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_seed_and_epoch_decide_and_nothing_else(make):
    sampler = make(3)
    first = [sampler.batches(epoch) for epoch in range(4)]
    resumed = make(3)
    assert np.array_equal(resumed.batches(3), first[3])
    assert np.array_equal(sampler.batches(0), first[0])
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(make(4).batches(0), first[0])
    for batches in first:
        assert batches.dtype == np.int64
        assert batches.shape == (sampler.batches_per_epoch, sampler.batch)
        assert batches.min() >= 0
        assert batches.max() < len(LABELS)


def test_another_process_lays_out_the_same_batches():
    code = (
        "import numpy as np; from resight.training.samplers import MPerClassSampler; "
        "print(MPerClassSampler(np.repeat(np.arange(6), 5), 12, 4, 7).batches(2).tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = MPerClassSampler(np.repeat(np.arange(6), 5), 12, 4, 7).batches(2)
    assert run.stdout.strip() == str(here.tolist())


def test_plain_shows_every_photo_and_fills_the_last_batch():
    sampler = PlainSampler(43, 8, 0)
    batches = sampler.batches(0)
    times = np.bincount(batches.ravel(), minlength=43)
    assert len(batches) == 6
    assert sorted(set(times)) == [1, 2]
    assert times.sum() == 48
    assert all(len(set(batch)) == 8 for batch in batches)
    assert set(batches.ravel()[43:]) == set(batches.ravel()[:5])


def test_plain_without_a_rest_repeats_nothing():
    assert sorted(PlainSampler(40, 8, 0).batches(1).ravel()) == list(range(40))


def test_balanced_draws_classes_equally_and_photos_in_rounds():
    sampler = ClassBalancedSampler(LABELS, 4, 1)
    chosen = sampler.batches(0).ravel()
    assert len(chosen) == len(LABELS) // 4 * 4
    per_class = np.bincount(LABELS[chosen], minlength=len(SIZES))
    assert per_class.max() - per_class.min() <= 1
    for label, size in enumerate(SIZES):
        drawn = chosen[LABELS[chosen] == label]
        for start in range(0, len(drawn), size):
            part = drawn[start : start + size]
            assert len(set(part)) == len(part)


@pytest.mark.parametrize("epoch", range(5))
def test_m_per_class_holds_its_counts(epoch):
    sampler = MPerClassSampler(LABELS, 12, 4, 5)
    batches = sampler.batches(epoch)
    assert len(batches) == len(LABELS) // 12
    for batch in batches:
        labels = LABELS[batch].reshape(3, 4)
        assert (labels == labels[:, :1]).all()
        assert len(set(labels[:, 0])) == 3
        for label, photos in zip(labels[:, 0], batch.reshape(3, 4), strict=True):
            times = np.unique(photos, return_counts=True)[1]
            # As many different photos as there are, repeated as evenly as can be.
            assert len(times) == min(4, SIZES[label])
            assert times.max() - times.min() <= 1


def test_classes_and_photos_come_in_rounds():
    labels = np.repeat(np.arange(10), 8)
    chosen = MPerClassSampler(labels, 8, 2, 0).batches(0)
    classes = labels[chosen].reshape(-1, 2)[:, 0]
    # 4 classes a batch, 10 batches: every class four times, once in each round of ten.
    assert np.bincount(classes).tolist() == [4] * 10
    assert sorted(classes[:8]) != list(range(8))
    assert set(classes[:10]) | set(classes[10:12]) == set(range(10))
    # Two of eight photos each time, four times: every photo once.
    assert np.bincount(chosen.ravel()).tolist() == [1] * 80


def test_small_classes_can_be_left_out():
    sampler = MPerClassSampler(LABELS, 12, 4, 5, few="skip")
    large = {label for label, size in enumerate(SIZES) if size >= 4}
    chosen = np.concatenate([sampler.batches(epoch).ravel() for epoch in range(10)])
    assert set(LABELS[chosen]) == large
    assert sampler.batches_per_epoch == sum(size for size in SIZES if size >= 4) // 12


def test_every_photo_has_its_turn_over_epochs():
    sampler = MPerClassSampler(LABELS, 8, 2, 0)
    chosen = np.concatenate([sampler.batches(epoch).ravel() for epoch in range(60)])
    assert set(chosen) == set(range(len(LABELS)))


def test_labels_need_not_start_at_zero_nor_be_without_gaps():
    labels = np.array([7, 3, 7, 3, 90, 90], dtype=np.int64)
    batch = MPerClassSampler(labels, 4, 2, 0).batches(0)[0]
    assert (labels[batch].reshape(2, 2)[:, 0] == labels[batch].reshape(2, 2)[:, 1]).all()


def test_few_photos_still_make_one_batch():
    labels = np.repeat(np.arange(4), 2)
    assert MPerClassSampler(labels, 12, 3, 0).batches(0).shape == (1, 12)
    assert ClassBalancedSampler(labels, 12, 0).batches(0).shape == (1, 12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PlainSampler(7, 8, 0), "7 photos do not fill a batch of 8"),
        (lambda: PlainSampler(8, 0, 0), "batch must be positive, not 0"),
        (lambda: PlainSampler(8, 8, -1), "seed must be zero or positive, not -1"),
        (lambda: ClassBalancedSampler(LABELS[:0], 4, 0), "0 photos do not fill"),
        (lambda: MPerClassSampler(LABELS, 10, 4, 0), "cannot hold 4 of each class"),
        (lambda: MPerClassSampler(LABELS, 8, 0, 0), "per_class must be positive, not 0"),
        (lambda: MPerClassSampler(LABELS, 36, 4, 0), "needs 9 classes, and there are 8"),
        (
            lambda: MPerClassSampler(LABELS, 24, 4, 0, few="skip"),
            "6 classes with at least 4 photos, and there are 5",
        ),
        (lambda: MPerClassSampler(LABELS, 8, 2, 0, few="drop"), "few must be repeat or skip, not 'drop'"),
        (lambda: PlainSampler(8, 8, 0).batches(-1), "counted from 0, not -1"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_in_a_sentence(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()
