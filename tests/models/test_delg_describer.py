"""DELG as a model: where its keypoints lie, that photos do not disturb each other, and its bundle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_delg import bright_delg, bright_model
from PIL import Image

from resight import images
from resight.errors import InvalidBundle, InvalidInput
from resight.features import Box
from resight.images import Photo
from resight.models import (
    BinaryCodec,
    Bundle,
    DELGDescriber,
    KeypointConfig,
    Model,
    NetworkDescriber,
    ProductCodec,
    load_model,
    model_of,
)
from resight.models import bundle as bundles
from resight.models.delg_describer import PAPER_SCALES
from resight.models.whitening import Whitening
from resight.networks import DELG, Backbone
from resight.networks.delg import DELGConfig

SCALES = KeypointConfig().scales


def spot(width, height, x, y, *, sigma=20.0):
    """A dark picture with a bright spot whose centre is the pixel (x, y)."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    bright = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat(bright[..., None], 3, axis=2).round().astype(np.uint8)


def a_photo(pixels):
    height, width = pixels.shape[:2]
    return Photo(pixels, width, height, Box(0, 0, width, height))


def centre_of(features):
    """The mean position, each keypoint weighed by how much its attention exceeds the darkest one's."""
    weights = (features.scores - features.scores.min()).astype(np.float64)
    return (features.positions * weights[:, None]).sum(axis=0) / weights.sum()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("subsample", [False, True])
def test_a_spot_is_found_where_it_is_at_every_scale(scale, subsample):
    model = bright_model(scales=(scale,), max_features=100_000, subsample=subsample)
    (found,) = model.extract([a_photo(spot(250, 210, 131, 78))])
    step = model.local.attention.field.stride / scale
    assert np.abs(found.local.positions[0] - [131, 78]).max() <= 0.55 * step
    # Far below a cell, and below the half pixel that confusing centres with corners would cost.
    np.testing.assert_allclose(centre_of(found.local), [131, 78], atol=0.3)
    np.testing.assert_allclose(found.local.scales, model.local.attention.field.size / scale, rtol=0.03)
    assert found.local.descriptors.shape[1] == model.local.dim
    norms = np.linalg.norm(found.local.descriptors[:50].astype(np.float32), axis=1)
    np.testing.assert_allclose(norms, 1, atol=2e-3)


def test_a_spot_in_a_large_file_is_found_there_whole_and_inside_a_box(tmp_path):
    path = tmp_path / "spot.png"
    Image.fromarray(spot(900, 700, 523, 311, sigma=60)).save(path)
    model = bright_model(scales=(1.0,), max_features=100_000)
    for box in (None, Box(300, 100, 801, 602)):
        photo = images.read(path, max_side=model.max_side, box=box)
        assert photo.pixels.shape[1] < 300
        (found,) = model.extract([photo])
        np.testing.assert_allclose(centre_of(found.local), [523, 311], atol=1.5)
        expected = model.local.attention.field.size * 900 / 256
        np.testing.assert_allclose(found.local.scales, expected, rtol=0.02)


def test_all_sizes_together_keep_the_best_and_the_limit():
    photo = a_photo(spot(120, 90, 60, 40))
    (every,) = bright_model(max_features=100_000).extract([photo])
    (best,) = bright_model(max_features=50).extract([photo])
    assert len(best.local) == 50
    np.testing.assert_array_equal(best.local.positions, every.local.positions[:50])
    np.testing.assert_array_equal(best.local.descriptors, every.local.descriptors[:50])
    assert len({round(float(scale)) for scale in every.local.scales}) == len(SCALES)
    single = [bright_model(scales=(scale,), max_features=100_000).extract([photo])[0] for scale in SCALES]
    assert len(every.local) == sum(len(one.local) for one in single)


def test_the_descriptor_is_the_one_of_the_network_at_the_same_scales():
    pixels = spot(96, 64, 30, 30)
    model = bright_model()
    (found,) = model.extract([a_photo(pixels)])
    values = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        expected = model.describer.net.describe_at(values, model.facts.scales).descriptor[0].numpy()
    np.testing.assert_allclose(found.descriptor, expected, atol=1e-6)
    assert np.linalg.norm(found.descriptor) == pytest.approx(1, abs=1e-6)


def test_sizes_that_two_scales_share_are_one_pass(monkeypatch):
    exact, rounded = bright_model(), bright_model(global_scales=(0.70710678, 1.0, 1.41421356))
    photo = a_photo(spot(96, 64, 30, 30))
    passes = []
    maps_at = DELG.maps_at
    monkeypatch.setattr(DELG, "maps_at", lambda net, shown: passes.append(shown.shape) or maps_at(net, shown))
    (first,), (second,) = exact.extract([photo]), rounded.extract([photo])
    assert len(passes) == 2 * len(SCALES)
    np.testing.assert_array_equal(first.descriptor, second.descriptor)
    np.testing.assert_array_equal(first.local.positions, second.local.positions)


def test_one_photo_alone_and_among_others_gives_the_same_bits():
    model = bright_model()
    random = np.random.default_rng(0)
    photos = [
        a_photo(random.integers(0, 255, size, dtype=np.uint8))
        for size in ((64, 96, 3), (63, 97, 3), (64, 96, 3), (31, 200, 3))
    ]
    together = model.extract(photos)
    for photo, found in zip(photos, together, strict=True):
        (alone,) = model.extract([photo])
        np.testing.assert_array_equal(alone.descriptor, found.descriptor)
        for name in ("positions", "scales", "scores", "descriptors"):
            np.testing.assert_array_equal(getattr(alone.local, name), getattr(found.local, name))
        width, height = photo.width, photo.height
        assert (found.local.positions >= -0.5).all()
        assert (found.local.positions <= [width - 0.5, height - 0.5]).all()
        assert (np.diff(found.local.scores) <= 0).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (9, 9), (12, 300), (37, 11)])
def test_tiny_and_thin_photos_are_described(size):
    model = bright_model()
    (found,) = model.extract([a_photo(np.full((*size, 3), 200, dtype=np.uint8))])
    assert np.linalg.norm(found.descriptor) == pytest.approx(1, abs=1e-5)
    smallest = min(size) * max(SCALES)
    assert (len(found.local) > 0) == (smallest >= 10)


def test_a_real_trunk_gives_keypoints_of_its_own_receptive_field():
    torch.manual_seed(0)
    net = DELG(Backbone("test_resnet", out_indices=(-2, -1)), DELGConfig(32, local_dim=16, attention_dim=8))
    model = Model(DELGDescriber(net, max_side=128, device="cpu"), name="made")
    assert (model.local.attention.field.size, model.local.attention.field.stride) == (71, 16)
    random = np.random.default_rng(0)
    (found,) = model.extract([a_photo(random.integers(0, 255, (100, 128, 3), dtype=np.uint8))])
    assert found.local.descriptors.shape == (len(found.local), 16)
    assert len(found.local) > 100
    assert found.local.positions.min() >= -0.5


def test_attention_is_the_map_at_scale_1():
    model = bright_model()
    photo = a_photo(spot(80, 60, 40, 20))
    attention = model.local.attention.map_of(photo)
    assert attention.shape == (15, 20)
    assert np.unravel_index(attention.argmax(), attention.shape) == (5, 10)
    assert model.facts.local.attention


class TestBundle:
    def model(self, codec=None, settings=None, scales=PAPER_SCALES):
        torch.manual_seed(3)
        net = DELG(
            Backbone("test_resnet", out_indices=(-2, -1)),
            DELGConfig(24, local_dim=16, attention_dim=8),
            classes=5,
        )
        describer = DELGDescriber(net, max_side=96, scales=scales, keypoints=settings, device="cpu")
        return Model(describer, name="made", codec=codec)

    def test_comes_back_with_every_bit(self, tmp_path):
        values = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
        settings = KeypointConfig((0.5, 1.0), 70, threshold=0.1, quantile=0.2)
        model = self.model(ProductCodec.fit(values, 4), settings, (1.0,))
        path = tmp_path / "delg.safetensors"
        bundles.write(model.to_bundle(), path)
        again = load_model(path)
        assert isinstance(again.describer, DELGDescriber)
        assert again.fingerprint == model.fingerprint == bundles.read_header(path).fingerprint
        assert again.describer.keypoints == settings
        assert again.facts.scales == (1.0,)
        assert again.codec.name == "product of 4"
        photo = a_photo(np.random.default_rng(1).integers(0, 255, (70, 96, 3), dtype=np.uint8))
        (one,), (other,) = model.extract([photo]), again.extract([photo])
        np.testing.assert_array_equal(one.descriptor, other.descriptor)
        np.testing.assert_array_equal(one.local.descriptors, other.local.descriptors)
        assert 0 < len(other.local) <= 70

    def test_fingerprint_follows_settings_and_codec(self):
        plain = self.model()
        assert self.model().fingerprint == plain.fingerprint
        values = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
        others = [
            self.model(settings=KeypointConfig(max_features=10)).fingerprint,
            self.model(BinaryCodec.fit(values)).fingerprint,
            self.model(BinaryCodec.fit(values, rotation="none")).fingerprint,
        ]
        assert len({plain.fingerprint, *others}) == 4
        coded = plain.with_codec(BinaryCodec.fit(values)).to_bundle()
        assert coded.fingerprint == others[1]
        assert model_of(coded, name="made").codec.name == "binary of 16 bits"

    def test_a_protocol_card_names_the_global_scales(self):
        model = self.model(scales=(0.7, 1.0))
        assert model.facts.scales == (0.7, 1.0)
        whitening = Whitening(np.zeros(24), np.eye(24)[:8], "pca", 30, "made")
        assert model.whitened(whitening).facts.scales == (0.7, 1.0)

    def test_one_written_for_the_global_descriptor_alone_gets_the_papers_settings(self):
        describer = Model(
            NetworkDescriber(self.model().describer.net, scales=(1.0, 0.5), device="cpu"), name="made"
        )
        model = model_of(describer.to_bundle(), name="made")
        assert (model.describer.keypoints, model.facts.scales) == (KeypointConfig(), (1.0, 0.5))

    @pytest.mark.parametrize(
        ("scales", "text"), [((0.0,), "must be positive"), ((), "at least one"), ((1, 1), "must differ")]
    )
    def test_scales_that_cannot_be_are_refused(self, scales, text):
        with pytest.raises(InvalidInput, match=text):
            self.model(scales=scales)

    def test_a_damaged_one_is_refused_in_words(self):
        whole = self.model().to_bundle()

        def changed(**settings):
            return Bundle(
                "delg",
                {**whole.settings, **settings},
                whole.preprocessing,
                whole.licence,
                whole.provenance,
                whole.tensors,
            )

        for settings in (
            {"local": 3},
            {"local": {**whole.settings["local"], "scales": [0.0]}},
            {"local": {**whole.settings["local"], "max_features": "many"}},
            {"local_codec": {"kind": "zip"}},
            {"local_codec": {"kind": "product"}},
            {"local_dim": 8},
        ):
            with pytest.raises(InvalidBundle, match="the bundle broken makes no network"):
                model_of(changed(**settings), name="broken")

    def test_a_codec_of_another_length_is_refused(self):
        values = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
        with pytest.raises(
            InvalidInput, match="takes local descriptors of 8 numbers and the network gives 16"
        ):
            self.model(BinaryCodec.fit(values))


def test_it_keeps_the_contract_of_a_model(tmp_path):
    path = tmp_path / "spot.png"
    Image.fromarray(spot(90, 70, 20, 30)).save(path)
    model: Model = bright_model()
    assert (model.name, model.dim, model.max_side, model.batch_size) == ("bright", 12, 256, 1)
    assert len(model.fingerprint) == 64
    described = model.describe([path, path], boxes=[None, Box(0, 0, 40, 40)])
    np.testing.assert_array_equal(described[0], model.extract([images.read(path)])[0].descriptor)
    assert not np.array_equal(described[0], described[1])


def test_the_network_is_in_eval_mode():
    net = bright_delg().train()
    Model(DELGDescriber(net, device="cpu"), name="bright")
    assert not net.training
