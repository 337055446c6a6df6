"""DELG: what the paper writes, which gradients reach the trunk, and that a photo is the same in any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from resight.errors import InvalidInput
from resight.models.architectures import architecture_of, build, settings_of, tensors_of
from resight.networks import CGD, DELG, Backbone, GeM, SPoC
from resight.networks.attention import Attention
from resight.networks.cgd import CGDConfig
from resight.networks.convolution import make_convolution, unit_channels
from resight.networks.delg import DELGConfig, attention_pooling
from resight.networks.pooling import POOLINGS
from resight.networks.trunks.named import TrunkConfig


def make_net(*, seed=5, **options) -> DELG:
    torch.manual_seed(seed)
    trunk = options.pop("trunk", None) or Backbone("test_resnet", out_indices=(-2, -1))
    classes, generator = options.pop("classes", 5), options.pop("generator", None)
    config = DELGConfig(**{"dim": 12, "local_dim": 6, "attention_dim": 8, **options})
    return DELG(trunk, config, classes=classes, generator=generator).eval()


def images_of(*shape) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def trunk_gradient(net: DELG, loss) -> float:
    net.train().zero_grad()
    loss(net(images_of(3, 3, 64, 64))).backward()
    return sum(float(each.grad.abs().sum()) for each in net.trunk.parameters() if each.grad is not None)


def attention_loss(said):
    return nn.functional.cross_entropy(said.logits, torch.tensor([0, 1, 2]))


def reconstruction_loss(said):
    return said.reconstruction_error.mean()


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (65, 47), (33, 97), (5, 3)])
def test_shapes_and_units_at_odd_sizes(rows, columns):
    net = make_net()
    with torch.inference_mode():
        said = net(images_of(2, 3, rows, columns))
        maps = net.trunk(nn.functional.pad(images_of(2, 3, rows, columns), (0, 32, 0, 32)))
    cells = said.attention.shape[2:]
    assert said.attention.shape == (2, 1, *cells)
    assert all(0 < cell <= whole for cell, whole in zip(cells, maps[0].shape[2:], strict=True))
    assert said.local.shape == (2, 6, *cells)
    assert said.descriptor.shape == (2, 12)
    assert said.logits.shape == (2, 5)
    assert said.reconstruction_error.shape == (2,)
    torch.testing.assert_close(said.descriptor.norm(dim=1), torch.ones(2))
    norms = said.local.norm(dim=1)
    # Beyond a photo smaller than a cell there is nothing, and nothing has no direction.
    torch.testing.assert_close(norms, norms.round() if rows < 32 else torch.ones_like(norms))
    assert norms[:, 0, 0].min() > 0.9
    assert said.attention.min() >= 0
    assert (net.local_stride, net.local_dim) == (16, 6)


def test_without_an_autoencoder_local_features_are_the_shallow_maps():
    net = make_net(autoencoder=False)
    with torch.inference_mode():
        said = net(images_of(1, 3, 64, 48))
        shallow = net.trunk(images_of(1, 3, 64, 48))[0]
    torch.testing.assert_close(said.local, nn.functional.normalize(shallow, dim=1))
    assert said.reconstruction_error is None
    assert (net.config.attention_input, net.config.attention_target, net.local_dim) == (
        "input",
        "input",
        shallow.shape[1],
    )


@pytest.mark.parametrize("attention_input", ["reconstruction", "input"])
@pytest.mark.parametrize("attention_target", ["reconstruction", "input"])
@pytest.mark.parametrize("how", ["sum", "mean"])
@pytest.mark.parametrize("normalise", [True, False])
def test_equals_the_paper_written_out(attention_input, attention_target, how, normalise):
    net = make_net(
        attention_input=attention_input,
        attention_target=attention_target,
        attention_pooling=how,
        normalise_target=normalise,
    )
    images = images_of(2, 3, 65, 47)
    # Numbers that differ from a first initialisation, so that no part can be left out unseen.
    net.attention.norm.running_mean.uniform_(-0.1, 0.1)
    net.attention.norm.running_var.uniform_(0.5, 2)
    with torch.inference_mode():
        said = net(images)
        shallow, deep = net.trunk(images)
        for number in range(2):
            cells = shallow[number].flatten(1).T
            down, up = net.autoencoder.encoder, net.autoencoder.decoder
            codes = [down.weight[:, :, 0, 0] @ s + down.bias for s in cells]
            rebuilt = [(up.weight[:, :, 0, 0] @ c + up.bias).clamp(min=0) for c in codes]
            error = sum(((s - r) ** 2).mean() for s, r in zip(cells, rebuilt, strict=True)) / len(cells)
            pooled, scores = torch.zeros(shallow.shape[1]), []
            for s, r in zip(cells, rebuilt, strict=True):
                seen = r if attention_input == "reconstruction" else s
                target = r if attention_target == "reconstruction" else s
                a = net.attention
                hidden = a.hidden.weight[:, :, 0, 0] @ seen + a.hidden.bias
                hidden = (hidden - a.norm.running_mean) / (a.norm.running_var + a.norm.eps).sqrt()
                score = a.score.weight[0, :, 0, 0] @ (hidden * a.norm.weight + a.norm.bias).clamp(min=0)
                scores.append(torch.log1p(torch.exp(score + a.score.bias[0])))
                pooled += scores[-1] * (target / target.norm().clamp(min=1e-6) if normalise else target)
            pooled = pooled / len(cells) if how == "mean" else pooled
            whitened = net.whitening(((deep[number].clamp(min=1e-6) ** 3).mean(dim=(1, 2))) ** (1 / 3))
            for found, expected in (
                (said.descriptor[number], whitened / whitened.norm()),
                (said.attention[number].flatten(), torch.stack(scores)),
                (said.reconstruction_error[number], error),
                (said.logits[number], net.classifier(pooled)),
                (said.local[number].flatten(1), torch.stack([c / c.norm() for c in codes], dim=1)),
            ):
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_losses_on_the_shallow_map_do_not_reach_the_trunk():
    net = make_net()
    for loss in (attention_loss, reconstruction_loss):
        assert trunk_gradient(net, loss) == 0
    assert trunk_gradient(net, lambda said: said.descriptor[:, 0].sum()) > 0


@pytest.mark.parametrize("options", [{}, {"autoencoder": False}, {"attention_input": "input"}])
def test_without_the_stop_they_do(options):
    net = make_net(stop_gradient=False, **options)
    assert trunk_gradient(net, attention_loss) > 0
    if net.autoencoder is not None:
        assert trunk_gradient(net, reconstruction_loss) > 0


def test_attention_trains_the_autoencoder_and_reconstruction_not_the_attention():
    net = make_net().train()
    attention_loss(net(images_of(3, 3, 64, 64))).backward()
    assert net.autoencoder.encoder.weight.grad.abs().sum() > 0
    net.zero_grad()
    reconstruction_loss(net(images_of(3, 3, 64, 64))).backward()
    assert all(each.grad is None for each in net.attention.parameters())


def test_the_bottleneck_is_signed_and_the_reconstruction_is_not():
    net = make_net()
    with torch.inference_mode():
        code, rebuilt = net.autoencoder(net.trunk(images_of(4, 3, 64, 64))[0])
    assert code.min() < 0 < code.max()
    assert rebuilt.min() == 0 < rebuilt.max()


def test_every_second_cell_only():
    whole, half = make_net(), make_net(subsample=True)
    with torch.inference_mode():
        every, some = (net(images_of(1, 3, 80, 64)) for net in (whole, half))
    assert half.local_stride == 32
    torch.testing.assert_close(some.local, every.local[..., ::2, ::2])
    torch.testing.assert_close(some.attention, every.attention[..., ::2, ::2])
    assert torch.equal(some.descriptor, every.descriptor)


@pytest.mark.parametrize("normalise", [True, False])
def test_zero_maps_give_finite_numbers_and_gradients(normalise):
    net = make_net(normalise_target=normalise, stop_gradient=False).train()
    with torch.no_grad():
        for each in net.trunk.parameters():
            each.zero_()
        for layer in (net.autoencoder.encoder, net.autoencoder.decoder):
            layer.bias.zero_()
    said = net(images_of(3, 3, 64, 64))
    assert said.local.abs().max() == 0
    (attention_loss(said) + reconstruction_loss(said) + said.descriptor.sum() + said.local.sum()).backward()
    for each in (said.descriptor, said.attention, said.local, said.logits):
        assert torch.isfinite(each).all()
    for name, each in net.named_parameters():
        assert each.grad is None or torch.isfinite(each.grad).all(), name


def test_one_image_alone_and_in_a_batch():
    net, images = make_net(), images_of(4, 3, 65, 83)
    with torch.inference_mode():
        together = net(images)
        for number in range(4):
            alone = net(images[number : number + 1])
            for name in ("descriptor", "attention", "local", "logits", "reconstruction_error"):
                torch.testing.assert_close(
                    getattr(alone, name)[0], getattr(together, name)[number], rtol=1e-5, atol=1e-5
                )


def test_maps_at_says_the_same_without_logits_and_describe_at_joins_scales():
    net, images = make_net(), images_of(2, 3, 64, 96)
    with torch.inference_mode():
        whole, maps = net(images), net.maps_at(images)
        assert maps.logits is None
        for name in ("descriptor", "attention", "local"):
            assert torch.equal(getattr(whole, name), getattr(maps, name))
        torch.testing.assert_close(net.describe_at(images, (1.0,)).descriptor, whole.descriptor)
        smaller = nn.functional.interpolate(images, scale_factor=0.5, mode="bilinear")
        joined = whole.descriptor + net(smaller).descriptor
        expected = joined / joined.norm(dim=1, keepdim=True)
        torch.testing.assert_close(net.describe_at(images, (1.0, 0.5)).descriptor, expected)


def test_autocast_does_not_change_a_ranking():
    net, images = make_net(dim=32), images_of(12, 3, 64, 64)
    # Pictures as different as photos are: noise alone would differ by less than half precision resolves.
    contrast, brightness = (torch.linspace(*ends, 12).view(-1, 1, 1, 1) for ends in ((0.2, 3), (-2, 2)))
    images = images * contrast + brightness
    with torch.inference_mode():
        exact = net(images)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(images)
    for said in (exact, half):
        for each in (said.descriptor, said.attention, said.local, said.logits, said.reconstruction_error):
            assert each.dtype == torch.float32
    first = (exact.descriptor @ exact.descriptor.T).argsort(dim=1, descending=True)
    second = (half.descriptor @ half.descriptor.T).argsort(dim=1, descending=True)
    assert (first[:, :2] == second[:, :2]).all()
    assert (half.attention - exact.attention).abs().max() < 0.05 * exact.attention.max()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"autoencoder": False, "pooling": POOLINGS.choose(SPoC)},
        {
            "attention_input": "input",
            "attention_target": "input",
            "attention_pooling": "mean",
            "normalise_target": True,
            "stop_gradient": False,
            "subsample": True,
            "pooling": POOLINGS.choose(GeM, p=2.5),
        },
    ],
)
def test_settings_and_tensors_make_the_same_network_again(options):
    net = make_net(**options)
    settings = settings_of(net)
    assert architecture_of(net) == "delg"
    assert list(settings["trunk_maps"]) == [-2, -1]
    again = build("delg", settings).eval()
    tensors = tensors_of(net)
    assert not any("classifier" in name for name in tensors)
    again.load_state_dict({name: torch.tensor(each) for name, each in tensors.items()}, strict=True)
    assert settings_of(again) == settings
    with torch.inference_mode():
        first, second = net.maps_at(images_of(1, 3, 64, 48)), again.maps_at(images_of(1, 3, 64, 48))
    for name in ("descriptor", "attention", "local"):
        assert np.array_equal(getattr(first, name).numpy(), getattr(second, name).numpy())


def test_settings_of_trunks_with_one_map_are_as_they_were():
    with torch.device("meta"):
        settings = settings_of(
            CGD(Backbone("test_resnet", out_indices=(-1,)), CGDConfig("S", 4, without_stride=None))
        )
    assert "trunk_maps" not in settings


def test_a_trunk_says_which_maps_it_gives():
    with torch.device("meta"):
        assert Backbone("test_resnet", out_indices=(1, -1)).maps == (-4, -1)
        vgg = TrunkConfig("vgg16", pretrained=False).build(maps=2)
        assert (vgg.maps, vgg.deepest, TrunkConfig("vgg16", pretrained=False).build().maps) == (
            (-3, -2),
            -2,
            (-2,),
        )
        assert vgg.strides == (8, 16)


def test_the_sizes_of_the_paper():
    with torch.device("meta"):
        net = DELG(Backbone("resnet50", out_indices=(-2, -1)), DELGConfig(), classes=81313)
    assert net.trunk.channels == (1024, 2048)
    assert net.trunk.strides == (16, 32)
    assert net.autoencoder.encoder.weight.shape == (128, 1024, 1, 1)
    assert net.attention.hidden.weight.shape == (512, 1024, 1, 1)
    assert net.whitening.weight.shape == (2048, 2048)
    assert net.classifier.weight.shape == (81313, 1024)


def test_a_generator_decides_the_new_layers():
    def weights(seed):
        torch.manual_seed(0)
        net = make_net(generator=torch.Generator().manual_seed(seed))
        return torch.cat([each.flatten() for name, each in net.named_parameters() if "trunk" not in name])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_parts_alone():
    with pytest.raises(InvalidInput, match="must be positive"):
        Attention(0, 8)
    with pytest.raises(InvalidInput, match="must be positive"):
        make_convolution(3, 4, scheme="he", dilation=0)
    glorot = make_convolution(300, 200, scheme="glorot", generator=torch.Generator().manual_seed(0)).weight
    assert glorot.abs().max() <= (6 / 500) ** 0.5
    assert glorot.std().item() == pytest.approx((2 / 500) ** 0.5, rel=0.02)
    he = make_convolution(30, 200, scheme="he", dilation=2, generator=torch.Generator().manual_seed(0))
    assert he.weight.std().item() == pytest.approx((2 / (200 * 9)) ** 0.5, rel=0.02)
    assert he(torch.zeros(1, 30, 7, 5)).shape == (1, 200, 7, 5)
    features = torch.tensor([3.0, 4.0])[None, :, None, None]
    attention = torch.full((1, 1, 1, 1), 2.0)
    pooled = attention_pooling(features, attention, how="sum", normalise=False)
    assert pooled.tolist() == [[6, 8]]
    assert unit_channels(features).flatten().tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"trunk": Backbone("test_resnet", out_indices=(-1,))},
            r"gives 1: build it with out_indices=\(-2, -1\)",
        ),
        ({"attention_input": "deep"}, "attention_input must be reconstruction or input, not 'deep'"),
        ({"attention_target": "deep"}, "attention_target must be"),
        ({"attention_pooling": "max"}, "attention_pooling must be sum or mean, not 'max'"),
        ({"dim": 0}, "not 0"),
        ({"classes": 0}, "at least one class, not 0"),
    ],
)
def test_settings_that_cannot_be_right(options, text):
    with pytest.raises(InvalidInput, match=text):
        make_net(**options)
