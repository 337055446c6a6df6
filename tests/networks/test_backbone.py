"""Backbones: what is declared holds, weights come through timm's own code, and failures are sentences."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from resight.errors import InvalidInput, MissingExtra, UnknownModel, WeightsUnavailable
from resight.networks.trunks import _timm
from resight.networks.trunks.backbone import Backbone

timm = _timm.import_timm("these tests")


@pytest.fixture
def unreachable_hub(monkeypatch, tmp_path):
    """An empty cache, and a hub at a port where nobody listens."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def make_folder(folder: Path, name: str = "resnet10t") -> torch.nn.Module:
    """Writes a folder as timm's local-dir source reads it, with random weights; returns the model in it."""
    torch.manual_seed(7)
    model = timm.create_model(name, pretrained=False, num_classes=5)
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "architecture": name,
        "num_classes": 5,
        "pretrained_cfg": {
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
            "license": "cc0-1.0",
            "num_classes": 5,
        },
    }
    (folder / "config.json").write_text(json.dumps(configuration))
    save_file(model.state_dict(), folder / "model.safetensors")
    return model


@pytest.mark.parametrize("name", ["resnet10t", "test_resnet", "mobilenetv3_small_050", "test_vit"])
@pytest.mark.parametrize("size", [(64, 64), (97, 131), (33, 64)])
def test_contract_declared_shapes_hold_at_odd_sizes(name, size):
    backbone = Backbone(name).eval()
    with torch.inference_mode():
        maps = backbone(torch.zeros(2, 3, *size))
    assert len(maps) == len(backbone.channels) == len(backbone.strides)
    assert list(backbone.strides) == sorted(backbone.strides)
    for each, channels, stride in zip(maps, backbone.channels, backbone.strides, strict=True):
        assert each.shape[:2] == (2, channels)
        for cells, side in zip(each.shape[2:], size, strict=True):
            assert side / stride - 1 < cells < side / stride + 1


def test_contract_eval_is_deterministic():
    backbone = Backbone("resnet10t").eval()
    images = torch.randn(2, 3, 65, 47, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert all(torch.equal(a, b) for a, b in zip(backbone(images), backbone(images), strict=True))


def test_maps_are_chosen():
    everything = Backbone("resnet10t")
    chosen = Backbone("resnet10t", out_indices=(2, -1))
    assert chosen.channels == (everything.channels[2], everything.channels[-1])
    assert chosen.strides == (8, 32)
    assert [each.shape[1] for each in chosen(torch.zeros(1, 3, 64, 64))] == [128, 512]


def test_output_stride_reaches_the_trunk():
    backbone = Backbone("resnet10t", out_indices=(-1,), output_stride=16)
    assert backbone.strides == (16,)
    assert backbone(torch.zeros(1, 3, 64, 64))[0].shape[2:] == (4, 4)


def test_channels_last_trunk_gives_channels_first():
    backbone = Backbone(
        "swin_tiny_patch4_window7_224", out_indices=(0,), options={"depths": [1, 1, 1, 1]}
    ).eval()
    with torch.inference_mode():
        assert backbone(torch.zeros(1, 3, 97, 65))[0].shape[1] == backbone.channels[0] == 96


def test_trunk_of_one_size_says_so():
    backbone = Backbone("levit_128s", out_indices=(-1,))
    with pytest.raises(
        InvalidInput, match=r"takes images of \(224, 224\) rows and columns only, got \(64, 96\)"
    ):
        backbone(torch.zeros(1, 3, 64, 96))


def test_local_folder_gives_its_weights(tmp_path):
    model = make_folder(tmp_path / "trunk")
    backbone = Backbone(f"local-dir:{tmp_path / 'trunk'}", pretrained=True, out_indices=(-1,)).eval()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images)[0], model.eval().forward_features(images))
    assert backbone.trunk == "resnet10t"
    assert (backbone.mean, backbone.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert backbone.licence == "cc0-1.0"


def test_hub_cache_is_used_without_a_network(unreachable_hub, monkeypatch):
    from huggingface_hub import constants

    repository = unreachable_hub / "models--timm--resnet10t.c3_in1k"
    model = make_folder(repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    # timm keeps the weights of 1000 classes at that name; the classifier is dropped on loading.
    for offline in (True, False):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        backbone = Backbone("resnet10t", pretrained=True, out_indices=(-1,))
        loaded = backbone.net.state_dict()["conv1.0.weight"]
        assert torch.equal(loaded, model.state_dict()["conv1.0.weight"])


@pytest.mark.parametrize("name", ["resnet10t", "resnet10t.c3_in1k", "hf-hub:timm/resnet10t.c3_in1k"])
def test_without_a_network_a_sentence_within_seconds(unreachable_hub, name):
    start = time.perf_counter()
    with pytest.raises(WeightsUnavailable) as caught:
        Backbone(name, pretrained=True)
    assert time.perf_counter() - start < 10
    message = str(caught.value)
    assert message.startswith(
        f"cannot load the pretrained weights of {name}: timm/resnet10t.c3_in1k is not in"
    )
    assert "http://127.0.0.1:9 cannot be reached" in message
    assert "timm:local-dir:PATH" in message
    assert "\n" not in message


def test_forbidden_network_is_not_asked(unreachable_hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailable, match="HF_HUB_OFFLINE forbids"):
        Backbone("resnet10t", pretrained=True)


def test_weights_at_a_plain_address(monkeypatch, tmp_path):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        WeightsUnavailable, match=r"se_resnet50-\w+\.pth is not in the local cache and cannot"
    ):
        Backbone("legacy_seresnet50.in1k", pretrained=True)


def test_trunk_without_any_weights():
    with pytest.raises(WeightsUnavailable, match="timm has none for this name"):
        Backbone("efficientnet_b0_gn", pretrained=True)


def test_broken_local_folders(tmp_path):
    folder = tmp_path / "trunk"
    name = f"local-dir:{folder}"
    with pytest.raises(WeightsUnavailable, match=r"config\.json cannot be used"):
        Backbone(name, pretrained=True)
    make_folder(folder)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsUnavailable, match="cannot load the pretrained weights of local-dir:"):
        Backbone(name, pretrained=True)
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsUnavailable, match="No suitable checkpoints found"):
        Backbone(name, pretrained=True)
    save_file({"conv1.0.weight": torch.zeros(1, 2, 3)}, folder / "model.safetensors")
    with pytest.raises(WeightsUnavailable, match="cannot load the pretrained weights of local-dir:"):
        Backbone(name, pretrained=True)
    (folder / "config.json").write_text("{}")
    with pytest.raises(WeightsUnavailable, match=r"config\.json cannot be used"):
        Backbone(name, pretrained=True)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"model_args": {"checkpoint_path": "/a.pth"}},
            "set 'checkpoint_path' to '/a.pth'; accepted",
        ),
        (
            {"model_args": {"checkpoint_path": "weights.pth"}},
            "set 'checkpoint_path', which is no part of the",
        ),
        ({"model_args": {"cache_dir": "x"}}, "set 'cache_dir', which is no part of the architecture"),
        ({"model_args": {"layers": [10**9]}}, "set 'layers' to"),
        ({"model_args": [1]}, "arguments without names"),
        ({"architecture": "../other"}, "timm has no architecture '../other'"),
    ],
)
def test_the_configuration_of_a_folder_sets_its_architecture_and_nothing_else(changed, words, tmp_path):
    folder = tmp_path / "trunk"
    make_folder(folder)
    values = json.loads((folder / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(WeightsUnavailable) as refused:
        Backbone(f"local-dir:{folder}", pretrained=False)
    assert words in str(refused.value)


def test_a_configuration_that_is_nested_deeply_is_one_sentence(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(WeightsUnavailable, match=r"config\.json cannot be used: it is nested too deeply"):
        Backbone(f"local-dir:{tmp_path}", pretrained=False)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownModel, match=r"timm has no trunk 'resnet1xt': did you mean .*resnet10t"):
        Backbone("resnet1xt")
    with pytest.raises(UnknownModel, match=r"'resnet10t.c9_in1k'.*resnet10t.c3_in1k"):
        Backbone("resnet10t.c9_in1k")


def test_what_a_trunk_cannot_do():
    with pytest.raises(InvalidInput, match=r"resnet10t gives no feature maps with out_indices=\(9,\)"):
        Backbone("resnet10t", out_indices=(9,))
    with pytest.raises(InvalidInput, match="vgg11 gives no feature maps with output_stride=8"):
        Backbone("vgg11", output_stride=8)


def test_missing_torch_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtra, match=r"the backbone resnet10t needs .* pip install 'resight\[torch\]'"):
        Backbone("resnet10t")


def test_torchvision_is_mended_only_where_it_must_be(monkeypatch):
    assert timm.__version__
    code = "import torchvision"
    works = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
    assert (_timm._declare_torchvision_operators() is None) == works


@pytest.mark.parametrize(
    "name",
    [
        "test_vit",
        "test_convnext",
        "test_resnet",
        pytest.param("naflexvit_base_patch16_siglip", marks=pytest.mark.slow),
    ],
)
def test_a_whole_trunk_gives_what_timm_gives(name):
    torch.manual_seed(3)
    backbone = Backbone(name, out_indices=(-1,), whole=True).eval()
    reference = timm.create_model(name, num_classes=0, **backbone.options).eval()
    reference.load_state_dict(backbone.net.model.state_dict())
    stride = backbone.strides[-1]
    images = torch.randn(1, 3, 3 * stride, 2 * stride)
    with torch.inference_mode():
        whole = backbone.read_whole(images)
        torch.testing.assert_close(whole.pooled, reference(images))
        torch.testing.assert_close(whole.maps, backbone(images)[-1])
        assert backbone.read_whole(torch.randn(1, 3, 75, 101)).pooled.shape == whole.pooled.shape


@pytest.mark.parametrize("name", ["bn_inception", "torchvision:alexnet"])
def test_only_trunks_of_timm_are_built_whole(name):
    with pytest.raises(InvalidInput, match=rf"the trunk {name} cannot be built whole: only timm's can"):
        Backbone(name, out_indices=(-1,), whole=True)


def test_two_maps_are_no_whole_trunk():
    with pytest.raises(InvalidInput, match="with their last map alone"):
        Backbone("test_resnet", out_indices=(-2, -1), whole=True)
    with pytest.raises(InvalidInput, match=r"was built without its own pooling: build it with whole=True"):
        Backbone("test_resnet", out_indices=(-1,)).read_whole(torch.zeros(1, 3, 64, 64))
