"""The order, the measure and the losses of describing elsewhere, with workers made for the test."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.models import load_model
from resight.models.extract import Extraction
from resight.pipelines import on_ray
from resight.pipelines.on_ray import BATCH, OnRay, WorkerLost, _Describer, in_order


class Workers:
    """Describes a photo by its path, in any order; those whose name says so end their worker."""

    def __init__(self, workers=2, seed=0):
        self.workers, self.random = workers, random.Random(seed)
        self.batches, self.most, self.open, self.dead = [], 0, {}, set()

    def start(self, worker, paths):
        number = len(self.batches)
        self.batches.append((worker, paths))
        self.open[number] = worker
        for each in range(self.workers):
            self.most = max(self.most, list(self.open.values()).count(each))
        return number

    def first(self, running):
        return self.random.choice(list(running))

    def revive(self, worker):
        self.dead.discard(worker)

    def result(self, of):
        if self.open.pop(of) in self.dead:
            raise WorkerLost
        paths = self.batches[of][1]
        if any("deadly" in path for path in paths):
            raise WorkerLost
        return [Extraction(Path(path), None, width=1) for path in paths]


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 1, 1000])
@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_paths(count, workers):
    pool = Workers(workers)
    paths = [f"photo {number}" for number in range(count)]
    assert [str(one.path) for one in in_order(paths, pool)] == paths
    assert sorted(path for _, batch in pool.batches for path in batch) == sorted(paths)
    assert max((len(batch) for _, batch in pool.batches), default=0) <= BATCH
    assert pool.most <= 2


def test_nothing_is_started_far_ahead_of_the_writer():
    pool = Workers()
    results = in_order(iter([f"photo {number}" for number in range(10_000)]), pool)
    for taken, _ in enumerate(results, start=1):
        started = sum(len(batch) for _, batch in pool.batches)
        assert started - taken <= 2 * 4 * BATCH * pool.workers + BATCH
        if taken == 3000:
            break


def test_a_photo_that_ends_its_worker_is_broken_and_its_neighbours_are_not():
    paths = [f"photo {number}" for number in range(100)]
    paths[40] = "deadly"
    found = list(in_order(paths, Workers()))
    assert [str(one.path) for one in found] == paths
    assert [one.reason is None for one in found] == [path != "deadly" for path in paths]
    assert "the worker that describes it ends each time, 4 times" in found[40].reason


@pytest.mark.parametrize("count", [1, 100])
def test_no_photo_is_blamed_for_a_machine_that_dies(count):
    pool = Workers()
    pool.dead = {0, 1}
    paths = [f"photo {number}" for number in range(count)]
    found = list(in_order(paths, pool))
    assert [str(one.path) for one in found] == paths
    assert all(one.reason is None for one in found)


def test_batches_are_of_files_of_like_size(tmp_path):
    sizes = [1 + (7 * number) % 256 for number in range(8 * BATCH)]
    for number, size in enumerate(sizes):
        (tmp_path / str(number)).write_bytes(b"x" * size)
    pool = Workers()
    list(in_order([tmp_path / str(number) for number in range(len(sizes))], pool))
    spans = [[Path(path).stat().st_size for path in batch] for _, batch in pool.batches]
    assert all(max(span) - min(span) <= BATCH for span in spans)


@pytest.mark.parametrize("address", ["spark", "ray://", "ray:", "Ray"])
def test_other_places_are_refused(address):
    with pytest.raises(InvalidInput, match=r"described on ray, or on ray://HOST:PORT, not on"):
        OnRay(address, model="sift", fingerprint="f")


def test_no_cluster_is_started_for_no_photos(monkeypatch):
    monkeypatch.setattr(on_ray, "_RayPool", None)
    assert list(OnRay("ray", model="sift", fingerprint="f")([], None)) == []


def test_a_worker_takes_its_share_of_the_processors_alone(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        worker = _Describer("sift", load_model("sift").fingerprint, 1)
        (found,) = worker.describe([str(tmp_path / "photo.png")], frozenset(), 10_000)
        assert found.features is not None
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)
