"""SuperGlobal's description, against a literal transcription of the formulas and the code's places."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from resight.errors import InvalidInput
from resight.models import Model, NetworkDescriber, model_of
from resight.models.explain.explanation import explain
from resight.models.super_global import PAPER_SCALES, with_super_global
from resight.networks import Backbone, Embedding, GeMNet
from resight.networks.embedding import EmbeddingConfig
from resight.networks.gem import GeMNetConfig
from resight.networks.pooling import POOLINGS, GeM
from resight.networks.super_global import SuperGlobalConfig, regional_gem

SCALES = (0.7071, 1.0, 1.4142)


def randomised(net):
    """Batch normalisation that is none of the identity, so that a wrong place of ReLUP shows."""
    generator = torch.Generator().manual_seed(8)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias.data = torch.randn(module.bias.shape, generator=generator) * 0.1
            module.running_mean.data = torch.randn(module.bias.shape, generator=generator) * 0.1
    return net


@pytest.fixture(scope="module")
def resnet():
    """Bottlenecks, two in each stage."""
    torch.manual_seed(2)
    return randomised(Backbone("resnet26", out_indices=(-1,))).eval()


def transcribed(state, images, layer, *, scales, relup):
    """Every step as the authors' code does it, for a ResNet of bottlenecks, with torch's functions alone."""

    def normed(x, name):
        names = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(state[f"{name}.{each}"] for each in names), eps=1e-5)

    def convolved(x, name, **how):
        return functional.conv2d(x, state[f"{name}.weight"], **how)

    descriptors = []
    for scale in scales:
        size = [int(images.shape[2] * scale), int(images.shape[3] * scale)]
        x = functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
        # The stem of resnet26 is that of ResNet-50.
        x = normed(convolved(x, "conv1", stride=2, padding=3), "bn1").relu()
        x = functional.max_pool2d(x, 3, 2, 1)
        for stage in (1, 2, 3, 4):
            inside = relup if stage == 1 else 0.0
            after = relup if stage < 4 else 0.0
            for block in (0, 1):
                name = f"layer{stage}.{block}"
                stride = 2 if stage > 1 and block == 0 else 1
                y = normed(convolved(x, f"{name}.conv1"), f"{name}.bn1").clamp(inside)
                y = normed(convolved(y, f"{name}.conv2", stride=stride, padding=1), f"{name}.bn2")
                y = normed(convolved(y.clamp(inside), f"{name}.conv3"), f"{name}.bn3")
                if block == 0:
                    x = normed(convolved(x, f"{name}.downsample.0", stride=stride), f"{name}.downsample.1")
                x = (x + y).clamp(after)
        padded = functional.pad(x / 25 ** (1 / 2.5), (2, 2, 2, 2), mode="reflect")
        x = 0.5 * functional.lp_pool2d(padded, 2.5, 5, stride=1) + 0.5 * x
        pooled = x.flatten(2).clamp(1e-8).pow(4.6).mean(dim=2).pow(1 / 4.6)
        vector = pooled / pooled.norm(dim=1, keepdim=True)
        vector = functional.linear(vector, *layer) if layer else vector
        descriptors.append(vector / vector.norm(dim=1, keepdim=True))
    joined = torch.stack(descriptors).max(dim=0).values
    return joined / joined.norm(dim=1, keepdim=True)


def describe(describer, images):
    from resight.networks.super_global import describe_super_global

    with torch.inference_mode():
        return describe_super_global(describer.net, images, SCALES, describer.super_global).descriptor


@pytest.mark.parametrize("kind", ["embedding", "gem"])
def test_the_descriptor_is_that_of_the_authors_code(kind, resnet):
    state = {name: tensor.clone() for name, tensor in resnet.net.state_dict().items()}
    torch.manual_seed(4)
    net = Embedding(resnet, EmbeddingConfig(16, POOLINGS.choose(GeM))) if kind == "embedding" else None
    net = GeMNet(resnet, GeMNetConfig()) if net is None else net
    describer = with_super_global(Model(NetworkDescriber(net, device="cpu"), name="net")).describer
    images = torch.randn(2, 3, 160, 137)
    layer = (net.linear.weight, net.linear.bias) if kind == "embedding" else None
    with torch.inference_mode():
        expected = transcribed(state, images, layer, scales=SCALES, relup=0.014)
        without = transcribed(state, images, layer, scales=SCALES, relup=0.0)
    found = describe(describer, images)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    # The test can fail: ReLUP alone changes the descriptor, and the model it was made from has none.
    assert (without - expected).abs().max() > 1e-4
    assert not any(type(module).__name__ == "ReLUP" for module in net.modules())


@pytest.mark.parametrize("shape", [(7, 5), (3, 3), (2, 6), (1, 1)])
def test_regional_gem_is_a_mean_over_mirrored_regions(shape):
    rows, columns = shape
    x = torch.rand(1, 2, rows, columns)
    mirrored = min(shape) > 2

    def at(values, place, size):
        if mirrored:
            place = -place if place < 0 else place
            place = 2 * (size - 1) - place if place >= size else place
        return min(max(place, 0), size - 1)

    expected = torch.zeros_like(x)
    for channel in range(2):
        for row in range(rows):
            for column in range(columns):
                around = [
                    float(x[0, channel, at(x, row + down, rows), at(x, column + right, columns)]) ** 2.5
                    for down in range(-2, 3)
                    for right in range(-2, 3)
                ]
                expected[0, channel, row, column] = (
                    0.5 * (sum(around) / 25) ** (1 / 2.5) + 0.5 * x[0, channel, row, column]
                )
    torch.testing.assert_close(regional_gem(x, 2.5, 5), expected)


def test_a_bundle_keeps_the_way(resnet):
    config = SuperGlobalConfig(regional=False, scale_max=False, relup=0.02)
    net = Embedding(resnet, EmbeddingConfig(8, POOLINGS.choose(GeM)))
    plain = Model(NetworkDescriber(net, max_side=96, device="cpu"), name="net")
    model = with_super_global(plain, config)
    again = model_of(model.to_bundle(), name="again")
    photo = np.random.default_rng(3).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    assert again.describer.super_global == config
    assert again.facts.scales == PAPER_SCALES
    np.testing.assert_array_equal(again.describe([photo]), model.describe([photo]))
    assert model.fingerprint != plain.fingerprint
    assert "super_global" not in plain.to_bundle().settings
    with pytest.raises(InvalidInput, match="a descriptor of SuperGlobal is a maximum over scales"):
        explain(model, photo, photo)


@pytest.mark.parametrize("size", [(1, 1), (33, 500)])
def test_photos_of_any_size_have_a_descriptor(size, resnet):
    net = GeMNet(resnet, GeMNetConfig())
    model = with_super_global(Model(NetworkDescriber(net, device="cpu"), name="net"))
    (found,) = model.describe([np.full((*size, 3), 90, dtype=np.uint8)])
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_networks_it_is_not_for():
    vit = NetworkDescriber(
        GeMNet(Backbone("test_vit", out_indices=(-1,)), GeMNetConfig(POOLINGS.read({"kind": "spoc"})))
    )
    with pytest.raises(InvalidInput, match="convolutional networks of the kinds gem and embedding"):
        with_super_global(Model(vit, name="vit"))
    mobile = NetworkDescriber(GeMNet(Backbone("mobilenetv3_small_050", out_indices=(-1,)), GeMNetConfig()))
    model = Model(mobile, name="mobile")
    with pytest.raises(InvalidInput, match="ReLUP is defined for ResNets, and the trunk is mobilenet"):
        with_super_global(model)
    assert with_super_global(model, SuperGlobalConfig(relup=0.0)).dim == model.dim
    with pytest.raises(InvalidInput, match="regional_size must be an odd number, not 4"):
        SuperGlobalConfig(regional_size=4)
