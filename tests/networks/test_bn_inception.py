"""BN-Inception: the literature's count, the public names, and the arithmetic written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from resight.errors import WeightsUnavailable
from resight.models import Preprocessing, to_input
from resight.networks import Backbone
from resight.networks.trunks.bn_inception import MEAN, STD, BNInception


@pytest.fixture(scope="module")
def net() -> BNInception:
    torch.manual_seed(4)
    net = BNInception().eval()
    generator = torch.Generator().manual_seed(4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator).mul_(0.1)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return net


def layer(net: BNInception, name: str, x: torch.Tensor) -> torch.Tensor:
    """Convolution, batch normalisation and rectifier from the tensors of these names."""
    state = net.state_dict()
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    stride = 2 if name.endswith("_s2") or name[10:] in ("3c_3x3", "3c_double_3x3_2") else 1
    stride = 2 if name[10:] in ("4e_3x3", "4e_double_3x3_2") else stride
    x = nn.functional.conv2d(x, weight, bias, stride=stride, padding=weight.shape[-1] // 2)
    parts = ("running_mean", "running_var", "weight", "bias")
    mean, variance, scale, shift = (state[f"{name}_bn.{part}"][:, None, None] for part in parts)
    return ((x - mean) / (variance + 1e-5).sqrt() * scale + shift).clamp(min=0)


def test_equals_the_formula_layer_by_layer(net):
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 50
    with torch.inference_mode():
        maps = net(images)
        x = layer(net, "conv1_7x7_s2", images)
        torch.testing.assert_close(maps[0], x, rtol=1e-4, atol=1e-4)
        x = nn.functional.max_pool2d(x, 3, 2, ceil_mode=True)
        x = layer(net, "conv2_3x3", layer(net, "conv2_3x3_reduce", x))
        torch.testing.assert_close(maps[1], x, rtol=1e-4, atol=1e-4)
        x = nn.functional.max_pool2d(x, 3, 2, ceil_mode=True)
        for block in ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
            name = f"inception_{block}"
            three = layer(net, f"{name}_3x3", layer(net, f"{name}_3x3_reduce", x))
            double = layer(net, f"{name}_double_3x3_1", layer(net, f"{name}_double_3x3_reduce", x))
            double = layer(net, f"{name}_double_3x3_2", double)
            if block in ("3c", "4e"):
                x = torch.cat([three, double, nn.functional.max_pool2d(x, 3, 2, ceil_mode=True)], 1)
                continue
            if block == "5b":
                pooled = nn.functional.max_pool2d(x, 3, 1, 1)
            else:
                pooled = nn.functional.avg_pool2d(x, 3, 1, 1)
            branches = [layer(net, f"{name}_1x1", x), three, double, layer(net, f"{name}_pool_proj", pooled)]
            x = torch.cat(branches, 1)
            if block in ("3b", "4d", "5b"):
                torch.testing.assert_close(maps[("3b", "4d", "5b").index(block) + 2], x, rtol=1e-3, atol=1e-3)
    assert float(maps[-1].std()) > 1e-3


def test_parameters_of_the_literature(net):
    count = sum(parameter.numel() for parameter in net.parameters())
    # The published table of osmr/imgclsmob counts 11,295,240 with its classifier of 1000 classes.
    assert count + 1024 * 1000 + 1000 == 11_295_240
    assert count == 10_270_240


def test_names_of_the_public_weights(net):
    names = net.state_dict().keys()
    for name in (
        "conv1_7x7_s2.weight",
        "conv1_7x7_s2_bn.running_var",
        "conv2_3x3_reduce.bias",
        "inception_3a_1x1.weight",
        "inception_3c_double_3x3_2_bn.weight",
        "inception_4e_3x3_reduce.bias",
        "inception_5b_pool_proj_bn.bias",
    ):
        assert name in names
    assert "inception_3c_1x1.weight" not in names
    assert "inception_4e_pool_proj.weight" not in names
    assert len(names) == 69 * 7  # 69 convolutions: weight, bias, and five tensors of their normalisation


@pytest.mark.parametrize("old", [False, True], ids=["new", "torch 0.3"])
def test_public_weights_load(net, old, tmp_path):
    """A file as it is published: with a classifier, the oldest without counters and with rows for vectors."""
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    if old:
        state = {name: each for name, each in state.items() if not name.endswith("num_batches_tracked")}
        state = {name: each[None] if "_bn." in name else each for name, each in state.items()}
    state["last_linear.weight"], state["last_linear.bias"] = torch.zeros(1000, 1024), torch.zeros(1000)
    path = tmp_path / "bn_inception-52deb4733.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    loaded = Backbone("bn_inception", weights=path, out_indices=(-1,)).eval()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(loaded(images)[0], net(images)[-1])


def test_a_missing_and_a_misshapen_tensor_are_named(net, tmp_path):
    state = dict(net.state_dict())
    state["inception_4a_1x1.weight"] = state["inception_4a_1x1.weight"][:, :5]
    del state["inception_5b_3x3.bias"]
    torch.save(state, tmp_path / "changed.pth")
    with pytest.raises(WeightsUnavailable) as caught:
        Backbone("bn_inception", weights=tmp_path / "changed.pth")
    wrong = "inception_4a_1x1.weight has the shape (224, 5, 1, 1) instead of (224, 576, 1, 1)"
    assert wrong in str(caught.value)
    assert "inception_5b_3x3.bias is missing" in str(caught.value)


def test_input_is_bgr_of_0_to_255_less_the_mean():
    trunk = Backbone("bn_inception")
    assert (trunk.mean, trunk.std, trunk.channel_order) == (MEAN, STD, "BGR")
    pixels = torch.tensor([[[[255, 117, 4]]]], dtype=torch.uint8)
    found = to_input(pixels, Preprocessing(224, trunk.mean, trunk.std, trunk.channel_order))
    torch.testing.assert_close(found.flatten(), torch.tensor([4.0 - 104, 0.0, 255 - 128]), atol=1e-4, rtol=0)


def test_odd_maps_pass_and_even_ones_are_the_public_ones(net):
    with torch.inference_mode():
        for size in ((7, 7), (97, 33), (131, 224)):
            deepest = net(torch.zeros(1, 3, *size))[-1]
            assert min(deepest.shape[2:]) >= 1
    pool = net.inception_3c_pool
    even, odd = (torch.rand(1, 2, side, side, generator=torch.Generator().manual_seed(1)) for side in (8, 9))
    assert torch.equal(pool(even), nn.functional.max_pool2d(even, 3, 2, ceil_mode=True))
    found = pool(odd)
    assert found.shape[2:] == (5, 5)
    for row in range(5):
        for column in range(5):
            window = odd[0, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            assert torch.equal(found[0, :, row, column], window.amax(dim=(1, 2)))
