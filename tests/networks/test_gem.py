"""GeM networks: unit descriptors, the paper's multi-scale rule, and the same model after a round trip."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from resight.errors import InvalidBundle, InvalidInput
from resight.features import Box
from resight.images import Photo
from resight.models import Model, NetworkDescriber, model_of
from resight.models import bundle as bundles
from resight.models.bundle import Bundle, Preprocessing
from resight.networks import MAC, RMAC, Backbone, GeM, GeMNet, SPoC
from resight.networks.gem import GeMNetConfig
from resight.networks.pooling import POOLINGS

choose = POOLINGS.choose


def make_net(pooling=None, dim=None, **options) -> GeMNet:
    torch.manual_seed(11)
    trunk = Backbone("test_resnet", out_indices=(-1,), **options)
    return GeMNet(trunk, GeMNetConfig(pooling or choose(GeM), dim)).eval()


def make_model(**options) -> Model:
    return Model(NetworkDescriber(make_net(), max_side=96, **options), name="made", licence="cc0-1.0")


def make_photo(rows: int, columns: int, seed: int) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    return Photo(pixels, columns, rows, Box(0, 0, columns, rows))


def images_of(*shape) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / (vectors.square().sum(1, keepdim=True).sqrt() + 1e-6)


@pytest.mark.parametrize(
    "pooling", [choose(SPoC), choose(MAC), choose(GeM), choose(GeM, per_channel=True), choose(RMAC)], ids=str
)
def test_forward_is_trunk_pooling_unit_norm(pooling):
    net = make_net(pooling)
    with torch.inference_mode():
        images = images_of(2, 3, 65, 97)
        descriptor = net(images).descriptor
        torch.testing.assert_close(descriptor, unit(pooling.make(channels=96)(net.trunk(images)[-1])))
    assert descriptor.shape == (2, net.dim) == (2, 96)
    torch.testing.assert_close(descriptor.norm(dim=1), torch.ones(2))


def test_whitening_layer_follows_the_first_norm():
    net = make_net(dim=10)
    layer = net.whitening
    with torch.inference_mode():
        images = images_of(2, 3, 64, 64)
        pooled = unit(net.pooling(net.trunk(images)[-1]))
        expected = unit(pooled @ layer.weight.T + layer.bias)
        torch.testing.assert_close(net(images).descriptor, expected)
    assert net.dim == 10


def test_float32_under_autocast():
    net = make_net(dim=10)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = net(images_of(1, 3, 64, 64))
    assert output.descriptor.dtype == torch.float32
    assert float(output.descriptor.norm()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("pooling", "whitened", "power"),
    [
        (choose(GeM, p=2.5), False, 2.5),
        (choose(GeM, p=2.5, learnable=False), False, 2.5),
        (choose(GeM, p=2.5), True, 1.0),
        (choose(GeM, p=2.5, per_channel=True), False, 1.0),
        (choose(SPoC), False, 1.0),
        (choose(RMAC), False, 1.0),
    ],
    ids=str,
)
def test_scales_are_joined_as_the_specification_says(pooling, whitened, power):
    net = make_net(pooling, 12 if whitened else None)
    images = images_of(1, 3, 96, 128)
    scales = (1.0, 2**-0.5, 0.5)
    with torch.inference_mode():
        total = 0
        for scale in scales:
            shown = nn.functional.interpolate(
                images, scale_factor=scale, mode="bilinear", align_corners=False
            )
            total = total + net(shown).descriptor.double() ** power
        expected = (total / 3) ** (1 / power)
        expected = expected / expected.norm()
        found = net.describe_at(images, scales).descriptor
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)
    assert float(found.norm()) == pytest.approx(1, abs=1e-6)


def test_parts_must_fit():
    assert make_net(dim=3).whitening.in_features == 96
    assert make_net(choose(GeM, per_channel=True)).pooling.p.shape == (96,)
    with pytest.raises(InvalidInput, match="GeMNet: dim must be positive or None, not 0"):
        make_net(dim=0)
    for scales in ((), (1.0, 0.0)):
        with pytest.raises(InvalidInput, match="scales must be positive"):
            make_net().describe_at(images_of(1, 3, 32, 32), scales)
        with pytest.raises(InvalidInput, match="scales must be positive"):
            make_model(scales=scales)


def test_learning_reaches_every_parameter():
    net = make_net(dim=10).train()
    net(images_of(2, 3, 64, 64)).descriptor[:, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert float(net.pooling.p.grad.abs()) > 0


def test_model_contract():
    model: Model = make_model()
    assert (model.name, model.dim, model.max_side, model.batch_size) == ("made", 96, 96, 1)
    assert len(model.fingerprint) == 64
    photos = [make_photo(60, 80, 1), make_photo(80, 60, 2), make_photo(60, 80, 3), make_photo(5, 3, 4)]
    together = np.stack([features.descriptor for features in model.extract(photos)])
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for photo, descriptor in zip(photos, together, strict=True):
        np.testing.assert_allclose(model.extract([photo])[0].descriptor, descriptor, atol=1e-5)
    assert np.abs(together[0] - together[2]).max() > 1e-3
    assert model.extract([]) == []


def test_same_alone_and_in_a_real_batch():
    model = make_model()
    photos = [make_photo(60, 80, seed) for seed in range(4)]
    alone = [features.descriptor for features in model.extract(photos)]
    batched = NetworkDescriber(model.describer.net, max_side=96, batch_size=3)
    together = [features.descriptor for features in batched.extract(photos)]
    np.testing.assert_allclose(np.stack(together), np.stack(alone), atol=1e-5)


def test_input_is_normalised_with_the_trunks_mean_and_std():
    model = make_model(scales=(1.0,))
    photo = make_photo(40, 50, 1)
    values = (photo.pixels / 255.0 - 0.5) / 0.5
    with torch.inference_mode():
        images = torch.tensor(values, dtype=torch.float32).permute(2, 0, 1)[None]
        expected = model.describer.net(images).descriptor[0].numpy()
    np.testing.assert_allclose(model.extract([photo])[0].descriptor, expected, atol=1e-5)
    assert model.describer.preprocessing == Preprocessing(96, (0.5,) * 3, (0.5,) * 3)


def test_a_photo_without_response_gets_a_unit_descriptor():
    net = make_net(choose(MAC))
    for parameter in net.trunk.parameters():
        nn.init.zeros_(parameter)
    model = Model(NetworkDescriber(net), name="made")
    descriptor = model.extract([make_photo(32, 32, 1)])[0].descriptor
    np.testing.assert_allclose(descriptor, 96**-0.5)


def test_photos_smaller_than_a_cell_of_a_trunk_without_padding():
    model = Model(NetworkDescriber(GeMNet(Backbone("vgg11", out_indices=(-1,)), GeMNetConfig())), name="made")
    descriptor = model.extract([make_photo(5, 3, 1)])[0].descriptor
    assert np.linalg.norm(descriptor) == pytest.approx(1, abs=1e-6)


def test_describe_reads_files_and_boxes(tmp_path):
    model = make_model()
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    described = model.describe([tmp_path / "a.png"] * 2, boxes=[None, Box(10, 0, 70, 60)])
    whole = Photo(pixels, 90, 60, Box(0, 0, 90, 60))
    part = Photo(pixels[:, 10:70].copy(), 90, 60, Box(10, 0, 70, 60))
    expected = np.stack([features.descriptor for features in model.extract([whole, part])])
    np.testing.assert_allclose(described, expected, atol=1e-5)


def test_threads_get_what_one_gets():
    model = make_model()
    photos = [make_photo(40, 56, seed) for seed in range(6)]
    expected = np.stack([features.descriptor for features in model.extract(photos)])
    found = np.zeros_like(expected)

    def work(number: int) -> None:
        found[number] = model.extract([photos[number]])[0].descriptor

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "pooling",
    [
        choose(SPoC),
        choose(MAC),
        choose(GeM, p=2.5),
        choose(GeM, p=2.5, per_channel=True, learnable=False),
        choose(RMAC, levels=2),
    ],
    ids=str,
)
def test_bundle_round_trip_is_bit_equal(pooling, tmp_path):
    net = make_net(pooling, 10, output_stride=16)
    net.trunk.mean = (0.1, 0.2, 0.3)
    model = Model(
        NetworkDescriber(net, max_side=80, scales=(1.0, 0.7)),
        name="made",
        licence="cc0-1.0",
        provenance="here",
    )
    bundles.write(model.to_bundle(), tmp_path / "made.safetensors")
    again = model_of(bundles.read(tmp_path / "made.safetensors"), name="again")
    photo = make_photo(60, 80, 1)
    assert np.array_equal(again.extract([photo])[0].descriptor, model.extract([photo])[0].descriptor)
    assert again.fingerprint == model.fingerprint
    assert again.to_bundle().licence == "cc0-1.0"
    assert (again.max_side, again.facts.scales, again.dim) == (80, (1.0, 0.7), 10)
    assert again.describer.net.trunk.strides == (16,)
    assert isinstance(again.describer.net.pooling, pooling.part)
    assert len(list(again.describer.net.pooling.parameters())) == len(list(net.pooling.parameters()))


def test_header_names_what_it_is():
    settings = make_model().to_bundle().settings
    assert settings["trunk"] == "test_resnet"
    assert settings["pooling"] == {"kind": "gem", "p": [3.0], "learnable": True}
    assert settings["scales"] == [1.0, 2**-0.5, 0.5]
    assert settings["whitening"] is None
    assert settings["dim"] == 96


def test_fingerprint_follows_weights_and_settings():
    plain = make_model().fingerprint
    assert make_model().fingerprint == plain
    assert make_model(scales=(1.0,)).fingerprint != plain
    net = make_net()
    with torch.no_grad():
        net.pooling.p += 0.01
    assert Model(NetworkDescriber(net, max_side=96), name="made").fingerprint != plain


def changed(settings: dict[str, object] | None = None, **changes) -> Bundle:
    made = make_model().to_bundle()
    values = {
        "architecture": made.architecture,
        "settings": {**made.settings, **(settings or {})},
        "preprocessing": made.preprocessing,
        "licence": "",
        "provenance": "",
        "tensors": made.tensors,
    }
    return Bundle(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"architecture": "netvlad"}, "its architecture is netvlad"),
        ({"preprocessing": Preprocessing(96, channel_order="BGR")}, "gem in BGR"),
        ({"settings": {"trunk": "no_such_trunk"}}, "no_such_trunk"),
        ({"settings": {"trunk": "resnet10t"}}, "state_dict"),
        ({"settings": {"pooling": {"kind": "median"}}}, "pooling: there is no kind 'median'"),
        ({"settings": {"scales": "all"}}, "expected a list of numbers, not 'all'"),
        ({"settings": {"scales": [0.0]}}, "its scales are"),
        ({"settings": {"whitening": 5}}, "expected an object, not 5"),
        ({"tensors": {}}, "Missing key"),
    ],
)
def test_bundles_that_make_no_network(changes, text):
    with pytest.raises(InvalidBundle, match=text):
        NetworkDescriber.from_bundle(changed(**changes), name=str(Path("made")))
