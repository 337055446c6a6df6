"""From files to features, in threads."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from resight.errors import InvalidInput
from resight.features import ImageFeatures
from resight.images import usual_memory
from resight.images.content import Content, content_of
from resight.models import Model, Traits
from resight.models.extract import extract


class Means:
    """Mean colours as descriptor; counts the photos it is shown."""

    def __init__(self, batch_size: int = 1, delay: float = 0.0, memory=None) -> None:
        self.traits = Traits("means", 3, 64, batch_size, fingerprint="00" * 8, memory=memory)
        self.delay = delay
        self.batches: list[int] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()

    def extract(self, photos):
        with self.lock:
            self.batches.append(len(photos))
            self.busy += 1
            self.most_busy = max(self.busy, self.most_busy)
        time.sleep(self.delay * len(photos))
        with self.lock:
            self.busy -= 1
        means = [photo.pixels.reshape(-1, 3).mean(axis=0) + 1 for photo in photos]
        return [ImageFeatures((mean / np.linalg.norm(mean)).astype(np.float32)) for mean in means]


def model_of(describer: Means) -> Model:
    return Model(describer, name="means")


def described(extractions) -> int:
    return sum(one.features is not None for one in extractions)


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Twenty files, of which every fifth is none."""
    paths = []
    for number in range(20):
        path = tmp_path / f"{number:02d}.png"
        pixels = np.full((10, 20 + number, 3), (number, 100, 255 - number), dtype=np.uint8)
        # Two spots of another colour that leave the mean: a photo of one colour shows nothing.
        pixels[0, 0, 1], pixels[0, 1, 1] = 40, 160
        cv2.imwrite(str(path), pixels)
        if number % 5 == 4:
            path.write_bytes(b"nothing")
        paths.append(path)
    return paths


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("workers", [1, 4, None])
def test_everything_comes_back_in_order(files, batch_size, workers):
    model = Means(batch_size)
    results = list(extract(files, model_of(model), workers=workers))
    assert [result.path for result in results] == files
    for number, result in enumerate(results):
        assert result.content == content_of(files[number])
        if number % 5 == 4:
            assert result.features is None
            assert result.reason
        else:
            assert result.reason is None
            assert (result.width, result.height) == (20 + number, 10)
            expected = np.array([255 - number, 100, number]) + 1.0
            np.testing.assert_allclose(
                result.features.descriptor, expected / np.linalg.norm(expected), rtol=1e-6
            )
    assert sum(model.batches) == 16
    assert max(model.batches) <= batch_size


def test_content_is_hash_size_and_time(files):
    data, status = files[0].read_bytes(), files[0].stat()
    digest = hashlib.blake2b(data, digest_size=20).digest()
    assert content_of(files[0]) == Content(digest, len(data), status.st_mtime_ns)


def test_known_contents_are_read_and_not_described(files):
    model = Means()
    known = {content_of(files[0]).hash, content_of(files[7]).hash}
    results = list(extract(files, model_of(model), known=known))
    assert [
        number for number, result in enumerate(results) if result.features is None and not result.reason
    ] == [
        0,
        7,
    ]
    assert sum(model.batches) == 14


def test_models_that_take_one_photo_are_called_from_several_threads_and_others_from_one(files):
    single, batched = Means(1, 0.02), Means(2, 0.02)
    list(extract(files, model_of(single), workers=3))
    list(extract(files, model_of(batched), workers=3))
    assert single.most_busy == 3
    assert batched.most_busy == 1


def test_as_many_photos_are_described_at_once_as_fit_the_memory(files):
    few = {"memory": 1_000_000, "max_pixels": 1_000}
    for bytes_a_row, at_once in ((40, 4), (39_000, 2), (4 * 10**7, 1)):
        single = Means(1, 0.02, lambda rows, columns, each=bytes_a_row: each * rows)
        assert described(extract(files, model_of(single), workers=4, **few)) == 16
        assert single.most_busy == at_once
    # Two photos of 400,000 bytes fit, and three do not.
    batched = Means(4, memory=lambda rows, columns: 40_000 * rows)
    assert described(extract(files, model_of(batched), workers=3, **few)) == 16
    assert max(batched.batches) == 2


def test_a_memory_that_holds_no_photo_is_refused(files):
    with pytest.raises(InvalidInput, match="4,999 bytes does not hold a photo of 1,000 pixels, the most"):
        list(extract(files, model_of(Means()), memory=4_999, max_pixels=1_000))
    assert described(extract(files, model_of(Means()), memory=5_000, max_pixels=1_000)) == 16
    assert usual_memory() >= 1_000_000_000


def test_only_a_few_files_are_read_ahead(files):
    taken = []

    def paths():
        for path in files * 10:
            taken.append(path)
            yield path

    results = extract(paths(), model_of(Means()), workers=2)
    for _ in range(3):
        next(results)
    assert len(taken) < 20
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("resight-")]


def test_missing_files_and_folders_have_their_reasons(tmp_path, files):
    first, second, third = extract([tmp_path / "gone.png", tmp_path, files[0]], model_of(Means()))
    assert first.reason == "it has disappeared"
    assert second.reason == "it is a directory"
    assert third.features is not None


@pytest.mark.parametrize(
    ("descriptor", "text"), [([np.nan, 0, 1], "finite"), ([0, 0, 0], "nothing"), ([1.0], "3")]
)
def test_descriptors_that_cannot_be_kept_are_reasons(files, descriptor, text):
    class Wrong(Means):
        def extract(self, photos):
            return [ImageFeatures(np.array(descriptor, dtype=np.float32)) for _ in photos]

    assert all(text in result.reason for result in extract(files[:4], model_of(Wrong())))


def test_an_error_of_the_model_itself_is_raised(files):
    class Failing(Means):
        def extract(self, photos):
            raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        list(extract(files, model_of(Failing())))


def test_threads_of_opencv_are_shared_out_and_given_back(files):
    before = cv2.getNumThreads()
    seen = set()

    class Watching(Means):
        def extract(self, photos):
            seen.add(cv2.getNumThreads())
            return super().extract(photos)

    cv2.setNumThreads(4)
    try:
        first, second = (extract(files, model_of(Watching()), workers=2) for _ in range(2))
        next(first)
        next(second)
        first.close()
        assert cv2.getNumThreads() == 2
        list(second)
        assert seen == {2}
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(before)


def test_a_photo_is_described_by_all_threads_of_torch_and_several_share_them(files):
    before = torch.get_num_threads()
    both = threading.Barrier(2)
    seen = []

    class Watching(Means):
        def extract(self, photos):
            if len(seen):
                both.wait(10)
            seen.append(torch.get_num_threads())
            return super().extract(photos)

    torch.set_num_threads(4)
    try:
        model = model_of(Watching())
        model.describe(files[:1])
        assert seen == [4]
        model.describe(files[:3:2])
        assert sorted(seen) == [2, 4, 4]
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_no_workers_is_refused(files):
    with pytest.raises(InvalidInput, match="workers"):
        next(extract(files, model_of(Means()), workers=0))
