"""The papers' trunks: what they declare holds, the down-sampling goes where it is told, weights load."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resight.errors import InvalidInput, UnknownModel, WeightsUnavailable
from resight.networks import Backbone
from resight.networks.trunks._timm import import_timm
from resight.networks.trunks.named import NAMES, TrunkConfig

SMALL = ("alexnet", "bn_inception", "shufflenet_v2")


def images_of(*shape, seed=1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def billions_of_products(net: nn.Module, pixels: int = 224) -> float:
    with FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, 3, pixels, pixels, device="meta"))
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize(
    ("name", "channels", "stride", "millions"),
    [
        ("alexnet", 256, 16, 2.47),
        ("bn_inception", 1024, 32, 10.27),
        ("resnet50", 2048, 32, 23.51),
        ("resnet101", 2048, 32, 42.50),
        ("seresnet50", 2048, 32, 26.04),
        ("shufflenet_v2", 1024, 32, 1.25),
        ("vgg16", 512, 16, 14.71),
    ],
)
def test_names_of_the_papers(name, channels, stride, millions):
    assert name in NAMES
    with torch.device("meta"):
        trunk = TrunkConfig(name, pretrained=False).build()
        assert (trunk.channels, trunk.strides) == ((channels,), (stride,))
        maps = trunk.eval()(torch.zeros(2, 3, 224, 224))
    cells = 13 if name == "alexnet" else 224 // stride
    assert [each.shape for each in maps] == [(2, channels, cells, cells)]
    count = sum(parameter.numel() for parameter in trunk.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.006)
    assert trunk.channel_order == ("BGR" if name == "bn_inception" else "RGB")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(64, 64), (97, 131), (33, 70)])
def test_contract_declared_shapes_hold_at_odd_sizes(name, size):
    trunk = TrunkConfig(name, pretrained=False).build()
    everything = Backbone(trunk.trunk).eval()
    with torch.inference_mode():
        maps = everything(torch.zeros(2, 3, *size))
    assert len(maps) == len(everything.channels) == len(everything.strides)
    assert list(everything.strides) == sorted(everything.strides)
    lost = 2 if name == "alexnet" else 1  # its poolings have no padding
    for each, channels, stride in zip(maps, everything.channels, everything.strides, strict=True):
        assert each.shape[:2] == (2, channels)
        for cells, side in zip(each.shape[2:], size, strict=True):
            assert side / stride - lost < cells < side / stride + 1


@pytest.mark.parametrize("name", SMALL)
def test_contract_eval_is_deterministic_and_batches_do_not_matter(name):
    trunk = TrunkConfig(name, pretrained=False).build().eval()
    images = images_of(2, 3, 65, 47)
    with torch.inference_mode():
        (found,) = trunk(images)
        assert torch.equal(trunk(images)[0], found)
        torch.testing.assert_close(trunk(images[1:])[0], found[1:], rtol=1e-4, atol=1e-5)


def test_torchvisions_maps_are_torchvisions():
    import_timm("this test")
    from torchvision import models

    torch.manual_seed(3)
    for name, layers in (("alexnet", 12), ("shufflenet_v2_x0_5", None)):
        model = models.get_model(name, weights=None, num_classes=2).eval()
        trunk = Backbone(f"torchvision:{name}").eval()
        trunk.net.load_state_dict(
            {key: value for key, value in model.state_dict().items() if key in trunk.net.state_dict()}
        )
        images = images_of(2, 3, 96, 96)
        with torch.inference_mode():
            if layers:
                expected = model.features[:layers](images)
            else:
                expected = model.maxpool(model.conv1(images))
                expected = model.conv5(model.stage4(model.stage3(model.stage2(expected))))
            torch.testing.assert_close(trunk(images)[-1], expected)


def test_maps_are_chosen_and_the_deepest_is_remembered():
    trunk = Backbone("torchvision:shufflenet_v2_x0_5", out_indices=(1, -2))
    assert (trunk.strides, trunk.deepest) == ((4, 16), -2)
    assert [each.shape[1] for each in trunk(torch.zeros(2, 3, 64, 64))] == list(trunk.channels)
    assert Backbone("resnet10t", out_indices=(3,)).deepest == -2
    assert Backbone("resnet10t").deepest == -1
    with torch.device("meta"):
        assert TrunkConfig("vgg16", pretrained=False).build().deepest == -2


@pytest.mark.parametrize("name", ["resnet10t", "test_resnet", "efficientnet_b0", *SMALL])
@pytest.mark.parametrize("stage", ["conv4", "conv5"])
def test_a_stage_keeps_its_resolution_and_its_weights(name, stage):
    trunk = TrunkConfig(name, pretrained=False).build().eval()
    before = {key: tensor.clone() for key, tensor in trunk.state_dict().items()}
    changed = trunk.keeping_resolution(stage)
    assert trunk.without_stride is None
    with torch.inference_mode():
        shallow, deep = (each(torch.zeros(1, 3, 128, 128))[-1].shape[2:] for each in (trunk, changed))
    ended_before = name == "alexnet" and stage == "conv5"  # its last pooling is left out already
    factor = 1 if ended_before else 2
    lost = 1 if name == "alexnet" and not ended_before else 0
    assert [cells * factor + lost for cells in shallow] == list(deep)
    assert changed.strides[-1] * factor == trunk.strides[-1]
    assert changed.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[key]) for key, tensor in changed.state_dict().items())
    dilations = [module.dilation for module in changed.modules() if isinstance(module, nn.Conv2d)]
    assert set(dilations) == {(1, 1)}
    built = TrunkConfig(name, pretrained=False).build(without_stride=stage)
    assert (built.strides, built.without_stride) == (changed.strides, stage)


def test_resnet_of_cgd_has_14_cells_and_the_operations_of_the_literature():
    with torch.device("meta"):
        found = {}
        for stage in (None, "conv5", "conv4"):
            trunk = TrunkConfig("resnet50", pretrained=False).build(without_stride=stage)
            found[stage] = billions_of_products(trunk)
            cells = 7 if stage is None else 14
            assert trunk(torch.zeros(1, 3, 224, 224))[0].shape[2:] == (cells, cells)
    # He et al. 2016 with the stride in the 3x3; our arithmetic of conv5; a public implementation of conv4.
    assert found[None] == pytest.approx(4.09, abs=0.01)
    assert found["conv5"] == pytest.approx(6.3, abs=0.3)
    assert found["conv4"] == pytest.approx(10.64, abs=0.15)


def test_output_equals_a_dense_one_where_no_stride_follows():
    """Without its stride a layer gives what the strided one gives at every second cell."""
    trunk = Backbone("resnet10t", out_indices=(-1,)).eval()
    changed = trunk.keeping_resolution("conv5")
    entered = images_of(1, 256, 8, 8)
    with torch.inference_mode():
        strided = trunk.net.layer4[0].conv1(entered)
        dense = changed.net.layer4[0].conv1(entered)
    torch.testing.assert_close(dense[..., ::2, ::2], strided)


def test_training_state_survives_the_change():
    trunk = TrunkConfig("test_resnet", pretrained=False).build().train()
    statistics = trunk.net.bn1.running_mean.clone()
    changed = trunk.keeping_resolution("conv5")
    assert all(module.training for module in changed.modules())
    assert torch.equal(changed.net.bn1.running_mean, statistics)
    assert not any(module._forward_hooks for module in changed.modules())


@pytest.mark.parametrize(
    ("name", "stage", "text"),
    [
        ("convnext_atto", "conv5", "its map does not get the size of the stage before"),
        ("test_vit", "conv4", "its maps have the strides [16, 16"),
        ("resnet10t", "conv6", "must be one of conv4, conv5 or None, not 'conv6'"),
        ("resnetblur18", "conv5", "it is made by a BlurPool2d"),
    ],
)
def test_stages_that_cannot_keep_their_resolution(name, stage, text):
    with pytest.raises(InvalidInput, match=re.escape(text)):
        Backbone(name, out_indices=(-1,), without_stride=stage)


def test_one_stage_alone_keeps_its_resolution():
    trunk = TrunkConfig("test_resnet", pretrained=False).build(without_stride="conv5")
    assert trunk.keeping_resolution("conv5") is trunk
    with pytest.raises(InvalidInput, match="already without the stride of conv5: build it anew for conv4"):
        trunk.keeping_resolution("conv4")


def test_unknown_names():
    with pytest.raises(UnknownModel, match=r"of torchvision there are alexnet, shufflenet_v2_x0_5"):
        TrunkConfig("torchvision:resnet50", pretrained=False).build()
    with pytest.raises(UnknownModel, match="timm has no trunk 'resnet51'"):
        TrunkConfig("resnet51", pretrained=False).build()


@pytest.mark.parametrize("name", ["bn_inception", "torchvision:alexnet"])
def test_options_are_timms(name):
    with pytest.raises(InvalidInput, match=r"with output_stride=16 .* only timm's trunks have these"):
        Backbone(name, output_stride=16)
    with pytest.raises(InvalidInput, match="only timm's trunks have these"):
        Backbone(name, options={"depth": 3})
    with pytest.raises(InvalidInput, match=r"out_indices=\(7,\): it has"):
        Backbone(name, out_indices=(7,))
    with pytest.raises(InvalidInput, match=r"takes its weights from timm: put here\.pth into a folder"):
        Backbone("resnet10t", weights="here.pth")


def test_weights_from_a_file(tmp_path):
    import_timm("this test")
    from torchvision import models

    torch.manual_seed(5)
    state = models.get_model("shufflenet_v2_x0_5", weights=None).state_dict()
    torch.save(state, tmp_path / "whole.pth")
    save_file(state, tmp_path / "whole.safetensors")
    for file_name in ("whole.pth", "whole.safetensors"):
        trunk = Backbone("torchvision:shufflenet_v2_x0_5", weights=tmp_path / file_name)
        assert torch.equal(trunk.net.state_dict()["conv5.0.weight"], state["conv5.0.weight"])


def test_weights_that_do_not_fit_are_named(tmp_path):
    state = dict(Backbone("torchvision:shufflenet_v2_x0_5").net.state_dict())
    del state["conv1.0.weight"]
    state["conv5.0.weight"] = torch.zeros(3, 2)
    state["head.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(WeightsUnavailable) as caught:
        Backbone("torchvision:shufflenet_v2_x0_5", weights=tmp_path / "other.pth")
    message = str(caught.value)
    assert "conv1.0.weight is missing" in message
    assert "conv5.0.weight has the shape (3, 2) instead of (1024, 192, 1, 1)" in message
    assert "head.weight is unknown" in message
    assert message.startswith("cannot load the pretrained weights of torchvision:shufflenet_v2_x0_5: ")


class Foreign:
    """What a pickle of a stranger may bring along."""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (Foreign(), "cannot be read"),
        ([1, 2], "holds something else than tensors"),
        (None, "cannot be read"),
    ],
)
def test_files_that_are_no_weights(content, text, tmp_path):
    path = tmp_path / "weights.pth"
    if content is None:
        path.write_bytes(b"PK\x03\x04 truncated")
    else:
        torch.save(content, path)
    with pytest.raises(WeightsUnavailable, match=text):
        Backbone("torchvision:alexnet", weights=path)
    with pytest.raises(WeightsUnavailable, match="cannot be read"):
        Backbone("torchvision:alexnet", weights=tmp_path / "absent.pth")


@pytest.mark.parametrize("name", ["alexnet", "bn_inception"])
def test_weights_in_the_cache_or_a_sentence(name, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(WeightsUnavailable, match=r"\.pth is not in the local cache and cannot be reached"):
        TrunkConfig(name).build()
    cached = {"alexnet": "alexnet-owt-7be5be79.pth", "bn_inception": "bn_inception-52deb4733.pth"}[name]
    (tmp_path / "checkpoints").mkdir()
    state = TrunkConfig(name, pretrained=False).build().net.state_dict()
    torch.save(state, tmp_path / "checkpoints" / cached)
    first = next(iter(state))
    assert torch.equal(TrunkConfig(name).build().net.state_dict()[first], state[first])
