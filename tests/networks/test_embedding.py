"""Embedding: trunk, pooling, linear layer, unit norm, and the same model after a round trip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from resight.errors import InvalidInput
from resight.features import Box
from resight.images import Photo
from resight.models import Model, NetworkDescriber, load_model
from resight.models import bundle as bundles
from resight.networks import (
    MAC,
    RMAC,
    AverageMax,
    Backbone,
    Embedding,
    GeM,
    GeMNet,
    SPoC,
)
from resight.networks.embedding import EmbeddingConfig
from resight.networks.gem import GeMNetConfig
from resight.networks.pooling import POOLINGS
from resight.networks.trunks.named import TrunkConfig

choose = POOLINGS.choose
CHOICES = [
    *(choose(each) for each in (SPoC, MAC, AverageMax, GeM)),
    choose(GeM, p=2.5, per_channel=True, learnable=False),
    choose(RMAC, levels=2),
]


def make_net(pooling=None, dim=10, *, trunk="test_resnet", generator=None, **options) -> Embedding:
    torch.manual_seed(11)
    config = EmbeddingConfig(dim, pooling or choose(SPoC), **options)
    return Embedding(Backbone(trunk, out_indices=(-1,)), config, generator=generator).eval()


def make_photo(rows: int, columns: int, seed: int) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    return Photo(pixels, columns, rows, Box(0, 0, columns, rows))


def images_of(*shape) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("pooling", CHOICES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_forward_is_trunk_pooling_linear_unit_norm(pooling, bias):
    net = make_net(pooling, bias=bias)
    assert (net.linear.bias is not None) == bias
    with torch.inference_mode():
        images = images_of(2, 3, 65, 97)
        projected = net.pooling(net.trunk(images)[-1]) @ net.linear.weight.T + (
            net.linear.bias if bias else 0
        )
        descriptor = net(images).descriptor
    torch.testing.assert_close(descriptor, projected / projected.norm(dim=1, keepdim=True))
    assert descriptor.shape == (2, net.dim) == (2, 10)
    torch.testing.assert_close(descriptor.norm(dim=1), torch.ones(2))


def test_several_scales_are_averaged():
    net = make_net()
    images = images_of(1, 3, 96, 128)
    with torch.inference_mode():
        half = nn.functional.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False)
        mean = (net(images).descriptor + net(half).descriptor) / 2
        found = net.describe_at(images, (1.0, 0.5)).descriptor
        torch.testing.assert_close(found, mean / mean.norm())
        torch.testing.assert_close(net.describe_at(images, (1.0,)).descriptor, net(images).descriptor)
        with pytest.raises(InvalidInput, match="scales must be positive"):
            net.describe_at(images, ())


def test_learning_reaches_every_parameter_with_frozen_batch_normalisation():
    net = make_net(choose(GeM)).train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    statistics = net.trunk.net.bn1.running_mean.clone()
    net(images_of(1, 3, 64, 64)).descriptor[:, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert float(net.pooling.p.grad.abs()) > 0
    assert torch.equal(net.trunk.net.bn1.running_mean, statistics)


def test_float32_under_autocast():
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        descriptor = make_net()(images_of(1, 3, 64, 64)).descriptor
    assert descriptor.dtype == torch.float32
    assert float(descriptor.norm()) == pytest.approx(1, abs=1e-5)


def test_a_generator_decides_the_layer():
    first, same, other = (
        make_net(generator=torch.Generator().manual_seed(seed)).linear.weight for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_parts_must_fit():
    with pytest.raises(InvalidInput, match="Embedding: dim must be positive, not 0"):
        make_net(dim=0)


def test_model_contract():
    model: Model = Model(NetworkDescriber(make_net(), max_side=96), name="made")
    assert (model.dim, model.facts.scales) == (10, (1.0,))
    photos = [make_photo(60, 80, 1), make_photo(81, 57, 2), make_photo(5, 3, 4)]
    together = np.stack([features.descriptor for features in model.extract(photos)])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for photo, descriptor in zip(photos, together, strict=True):
        np.testing.assert_allclose(model.extract([photo])[0].descriptor, descriptor, atol=1e-5)


@pytest.mark.parametrize("pooling", CHOICES, ids=str)
def test_bundle_round_trip_is_bit_equal(pooling, tmp_path):
    model = Model(
        NetworkDescriber(make_net(pooling, bias=False), max_side=80, scales=(1.0, 0.7)), name="made"
    )
    path = tmp_path / "made.safetensors"
    bundles.write(model.to_bundle(), path)
    again = load_model(path)
    photo = make_photo(60, 80, 1)
    assert np.array_equal(again.extract([photo])[0].descriptor, model.extract([photo])[0].descriptor)
    assert again.fingerprint == model.fingerprint
    assert isinstance(again.describer.net.pooling, pooling.part)
    assert again.describer.net.linear.bias is None
    assert again.facts.scales == (1.0, 0.7)


def test_softtriples_network_on_photos(tmp_path):
    """BN-Inception: the photo reaches it as B, G, R of 0..255 less the mean, also from a bundle."""
    torch.manual_seed(1)
    model = Model(
        NetworkDescriber(
            Embedding(TrunkConfig("bn_inception", pretrained=False).build(), EmbeddingConfig(64)), max_side=64
        ),
        name="made",
    )
    bundles.write(model.to_bundle(), tmp_path / "made.safetensors")
    again = load_model(tmp_path / "made.safetensors")
    photo = make_photo(48, 64, 1)
    values = photo.pixels[..., ::-1].astype(np.float32) - np.float32([104, 117, 128])
    with torch.inference_mode():
        expected = model.describer.net(torch.tensor(values).permute(2, 0, 1)[None]).descriptor[0].numpy()
    np.testing.assert_allclose(model.extract([photo])[0].descriptor, expected, atol=1e-5)
    assert np.array_equal(again.extract([photo])[0].descriptor, model.extract([photo])[0].descriptor)
    assert again.describer.preprocessing.channel_order == "BGR"


@pytest.mark.parametrize("name", ["alexnet", "shufflenet_v2"])
def test_gem_on_trunks_of_torchvision_and_on_a_shallower_map(name, tmp_path):
    """What is not timm's, and what is not the last map, comes back from a bundle of GeM as well."""
    torch.manual_seed(1)
    trunk = (
        TrunkConfig(name, pretrained=False).build()
        if name == "alexnet"
        else Backbone("torchvision:shufflenet_v2_x0_5", out_indices=(-2,))
    )
    model = Model(NetworkDescriber(GeMNet(trunk, GeMNetConfig()), max_side=64), name="made")
    bundles.write(model.to_bundle(), tmp_path / "made.safetensors")
    again = load_model(tmp_path / "made.safetensors")
    photo = make_photo(48, 64, 1)
    assert np.array_equal(again.extract([photo])[0].descriptor, model.extract([photo])[0].descriptor)
    assert again.describer.net.trunk.deepest == trunk.deepest
