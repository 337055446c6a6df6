"""The model that needs no learned network: keypoints, their codes, the descriptor, its determinism."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

import resight
from resight.errors import InvalidBundle, InvalidInput
from resight.features import Box
from resight.images import Photo, read
from resight.models import bundle, model_of
from resight.models.sift import rootsift
from resight.models.sift.sift import Sift
from resight.scenes.render import render_view
from resight.search import verify

WEIGHTS = Path(resight.__file__).parent / "models" / "weights" / "sift.safetensors"


@pytest.fixture(scope="module")
def model() -> Sift:
    return model_of(bundle.read(WEIGHTS), name="sift")


@pytest.fixture(scope="module")
def place() -> np.ndarray:
    return render_view(1, 0, seed=9)


def whole(pixels: np.ndarray) -> Photo:
    rows, columns = pixels.shape[:2]
    return Photo(np.ascontiguousarray(pixels), columns, rows, Box(0, 0, columns, rows))


def with_changes(
    original: bundle.Bundle, *, tensors=None, settings=None, architecture="sift"
) -> bundle.Bundle:
    return bundle.Bundle(
        architecture,
        settings if settings is not None else original.settings,
        original.preprocessing,
        original.licence,
        original.provenance,
        tensors if tensors is not None else original.tensors,
    )


# RootSIFT and its codes


def test_root_sift_equals_the_definition():
    rng = np.random.default_rng(0)
    sift = rng.integers(0, 200, size=(5, 128)).astype(np.float32)
    sift[3] = 0
    for row, result in zip(sift, rootsift.root_sift(sift), strict=True):
        total = float(row.sum())
        expected = [(float(value) / total) ** 0.5 if total else 0.0 for value in row]
        np.testing.assert_allclose(result, expected, atol=1e-6)


def unit(codes):
    values = codes.astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_codes_keep_the_cosine(place):
    root = rootsift.keypoints(place, count=500, contrast_threshold=0.04).descriptors
    codes = rootsift.to_codes(root)
    assert codes.dtype == np.uint8
    np.testing.assert_allclose(np.linalg.norm(root, axis=1), 1, atol=1e-5)
    back = unit(codes)
    np.testing.assert_allclose(back @ back.T, root @ root.T, atol=4e-3)
    assert float(np.mean(root > 255.5 / 512)) < 1e-3


# Keypoints


def test_keypoints_are_the_strongest_and_sorted(place):
    many = rootsift.keypoints(place, count=2000, contrast_threshold=0.04)
    few = rootsift.keypoints(place, count=100, contrast_threshold=0.04)
    assert len(few) == 100 < len(many)
    assert (np.diff(many.responses) <= 0).all()
    np.testing.assert_array_equal(few.responses, many.responses[:100])
    assert (many.orientations >= 0).all()
    assert (many.orientations < 2 * np.pi).all()
    assert len(np.unique(np.c_[many.positions, many.scales, many.orientations], axis=0)) == len(many)


def test_no_keypoints_asked_for_is_refused(place):
    with pytest.raises(InvalidInput, match="at least 1, not 0"):
        rootsift.keypoints(place, count=0, contrast_threshold=0.04)


def test_blobs_are_found_where_they_are_drawn():
    spots = [(60, 50), (150, 90), (90, 180)]
    picture = np.full((240, 220, 3), 120, dtype=np.uint8)
    for x, y in spots:
        cv2.circle(picture, (x, y), 7, (250, 250, 250), -1, cv2.LINE_AA)
    found = rootsift.keypoints(picture, count=100, contrast_threshold=0.04)
    for spot in spots:
        distance = np.linalg.norm(found.positions - np.float32(spot), axis=1)
        assert distance.min() < 0.3
        # A disc of radius r answers most at a standard deviation of r / √2; OpenCV's size is twice that.
        assert found.scales[distance.argmin()] == pytest.approx(7 * 2**0.5, rel=0.3)


# The model


def test_descriptor_and_features_have_their_declared_form(model, place):
    (features,) = model.extract([whole(place)])
    assert features.descriptor.shape == (model.dim,)
    assert features.descriptor.dtype == np.float32
    assert model.dim <= 512
    assert np.linalg.norm(features.descriptor) == pytest.approx(1, abs=1e-6)
    assert 300 < len(features.local) <= 1000
    assert len(features.local.to_bytes()) <= 200 * len(features.local)
    assert model.batch_size == 1
    assert model.max_side == 640
    assert model.name == "sift"
    assert model.fingerprint == bundle.read(WEIGHTS).fingerprint


def test_bundle_is_small_and_says_where_it_comes_from():
    assert WEIGHTS.stat().st_size <= 10_000_000
    header = bundle.read_header(WEIGHTS)
    assert header.licence == "Apache-2.0"
    assert "Grocery Store" in header.provenance
    assert "MIT" in header.provenance


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_photo_without_keypoints_has_a_unit_descriptor(model, shade):
    flat = np.full((120, 200, 3), shade, dtype=np.uint8)
    (features,) = model.extract([whole(flat)])
    assert len(features.local) == 0
    assert np.linalg.norm(features.descriptor) == pytest.approx(1, abs=1e-6)
    (pixel,) = model.extract([whole(flat[:1, :1])])
    np.testing.assert_array_equal(pixel.descriptor, features.descriptor)


def test_place_is_nearer_to_itself_rescaled_and_tilted_than_to_others(model, place):
    rows, columns = place.shape[:2]
    smaller = cv2.resize(place, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), 15, 1)
    tilted = cv2.warpAffine(place, turn, (columns, rows), borderMode=cv2.BORDER_REFLECT)
    query, *rest = (row.descriptor for row in model.extract([whole(x) for x in (place, smaller, tilted)]))
    others = [
        row.descriptor for row in model.extract([whole(render_view(k, 0, seed=9)) for k in range(2, 8)])
    ]
    farthest_own = min(float(query @ row) for row in rest)
    assert farthest_own > max(float(query @ row) for row in others) + 0.1


def test_local_features_of_a_turned_place_lie_where_the_turn_puts_them(model, place):
    quarter = np.ascontiguousarray(np.rot90(place))
    before, after = (row.local for row in model.extract([whole(place), whole(quarter)]))
    one, two = unit(before.descriptors), unit(after.descriptors)
    scores = one @ two.T
    pairs = [(i, j) for i, j in enumerate(scores.argmax(axis=1)) if scores[:, j].argmax() == i]
    columns = place.shape[1]
    inliers = sum(
        np.hypot(
            after.positions[j, 0] - before.positions[i, 1],
            after.positions[j, 1] - (columns - 1 - before.positions[i, 0]),
        )
        < 2
        for i, j in pairs
    )
    assert inliers > 0.4 * len(before)


# Positions in pixels of the whole photo


def spotted(width: int, height: int, spot: tuple[int, int], radius: int) -> np.ndarray:
    picture = np.full((height, width, 3), 90, dtype=np.uint8)
    cv2.circle(picture, spot, radius, (240, 240, 240), -1, cv2.LINE_AA)
    return picture


@pytest.mark.parametrize("box", [None, Box(300, 200, 1300, 1000)])
def test_positions_and_scales_are_in_full_pixels(model, tmp_path, box):
    spot, radius = (801, 602), 24
    path = tmp_path / "spot.png"
    cv2.imwrite(str(path), spotted(1600, 1200, spot, radius))
    photo = read(path, max_side=model.max_side, box=box)
    assert photo.pixels.shape[1] == (640 if box is None else 400)
    (features,) = model.extract([photo])
    distance = np.linalg.norm(features.local.positions - np.float32(spot), axis=1)
    assert distance.min() < 0.8
    assert features.local.scales[distance.argmin()] == pytest.approx(radius * 2**0.5, rel=0.3)


def test_describe_reads_files_and_boxes(model, tmp_path, place):
    path = tmp_path / "place.png"
    cv2.imwrite(str(path), cv2.cvtColor(place, cv2.COLOR_RGB2BGR))
    box = Box(100, 50, 500, 400)
    both = model.describe([path, path], boxes=[None, box])
    (on_its_own,) = model.extract([whole(place)])
    part = np.ascontiguousarray(place[50:400, 100:500])
    (cropped,) = model.extract([Photo(part, place.shape[1], place.shape[0], box)])
    np.testing.assert_array_equal(both[0], on_its_own.descriptor)
    np.testing.assert_array_equal(both[1], cropped.descriptor)
    # A keypoint counts by its size in the whole photo; as a photo of its own the part is another one.
    (alone,) = model.extract([whole(part)])
    assert 0.8 < float(alone.descriptor @ both[1]) < 0.9999


# The same bits always


def test_same_bits_again_in_threads_and_whatever_opencv_uses(model):
    photos = [whole(render_view(k, 1, seed=4)) for k in range(4)]
    first = model.extract(photos)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda number: model.extract([photos[number % 4]])[0], range(16)))
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        results += model.extract(photos)
    finally:
        cv2.setNumThreads(threads)
    for number, result in enumerate(results):
        expected = first[number % 4]
        assert result.descriptor.tobytes() == expected.descriptor.tobytes()
        assert result.local.to_bytes() == expected.local.to_bytes()


def test_same_bits_in_another_process_with_one_blas_thread(model):
    code = (
        "import sys\n"
        "from resight.features import Box\n"
        "from resight.images import Photo\n"
        "from resight.scenes.render import render_view\n"
        "from resight.models import bundle\n"
        "from resight.models.sift.sift import Sift\n"
        f"describer = Sift(bundle.read({str(WEIGHTS)!r}), name='sift')\n"
        "pixels = render_view(0, 1, seed=4)\n"
        "rows, columns = pixels.shape[:2]\n"
        "features, = describer.extract([Photo(pixels, columns, rows, Box(0, 0, columns, rows))])\n"
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules), 'torch was imported'\n"
        "print(features.descriptor.tobytes().hex())\n"
    )
    environment = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(resight.__file__).parents[1])}
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    (features,) = model.extract([whole(render_view(0, 1, seed=4))])
    assert bytes.fromhex(answer.stdout.strip()) == features.descriptor.tobytes()


# Broken bundles


def test_another_architecture_is_refused(model):
    with pytest.raises(InvalidBundle, match="holds the architecture 'gem', not 'sift'"):
        Sift(with_changes(bundle.read(WEIGHTS), architecture="gem"), name="x")


@pytest.mark.parametrize("part", ["centres", "projection", "mean"])
def test_missing_tensors_are_named(part):
    original = bundle.read(WEIGHTS)
    tensors = {name: tensor for name, tensor in original.tensors.items() if name != part}
    with pytest.raises(InvalidBundle, match=f"no whole sift model.*{part}"):
        Sift(with_changes(original, tensors=tensors), name="x")


def test_settings_of_the_wrong_kind_are_refused():
    original = bundle.read(WEIGHTS)
    with pytest.raises(InvalidBundle, match="positive whole number, not 'many'"):
        Sift(with_changes(original, settings={**original.settings, "keypoints": "many"}), name="x")


def test_parts_that_do_not_fit_together_are_refused():
    original = bundle.read(WEIGHTS)
    tensors = {**original.tensors, "centres": original.tensors["centres"][:3]}
    with pytest.raises(InvalidBundle, match="no whole sift model"):
        Sift(with_changes(original, tensors=tensors), name="x")


# What is known of a turned and a mirrored photo without reading it


def test_mirrored_features_are_those_of_the_mirrored_photo(model, place):
    width = place.shape[1]
    (features, other) = (model.extract([whole(pixels)])[0].local for pixels in (place, place[:, ::-1]))
    mirrored = rootsift.mirrored(features, width)

    match = verify(mirrored, other)
    assert match.inliers == min(500, match.inliers)
    assert match.inliers > 0.9 * min(500, len(features))
    np.testing.assert_allclose(match.transform, np.eye(3), atol=0.2)
    assert verify(features, other).inliers < 20
    halves = features.with_descriptors(rootsift.from_stored(features.descriptors).astype("f2"), "cosine")
    np.testing.assert_array_equal(
        rootsift.to_codes(model.mirrored(halves, width).descriptors.astype("f4")), mirrored.descriptors
    )
    bits = features.with_descriptors(np.zeros((len(features), 16), np.uint8), "hamming")
    assert model.mirrored(bits, width) is None
    assert model.turned(bits, width) is None
    again = rootsift.mirrored(mirrored, width)
    np.testing.assert_array_equal(again.descriptors, features.descriptors)
    np.testing.assert_allclose(again.positions, features.positions, atol=1e-3)


def test_turned_descriptors_are_near_those_of_the_turned_photo(model, place):
    features = model.extract([whole(place)])[0].local
    turned = model.turned(features, max(place.shape[:2]))
    assert turned.shape == (4, model.dim)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, atol=1e-5)
    for quarters in range(4):
        photo = whole(np.rot90(place, -quarters))
        similarities = turned @ model.extract([photo])[0].descriptor
        assert similarities.argmax() == quarters
        assert similarities[quarters] > 0.7
