"""The zoo: names, paths, and sentences for what is not there."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from resight.errors import InvalidBundle, MissingExtra, UnknownModel, WeightsUnavailable
from resight.models import Model, NetworkDescriber, available, load_model
from resight.models import bundle as bundles
from resight.models.bundle import Bundle, Preprocessing
from resight.models.zoo import _TRUNKS, load_recorded
from resight.networks import Backbone, GeMNet
from resight.networks.gem import GeMNetConfig
from resight.networks.trunks import _timm


@pytest.fixture
def bundle_path(tmp_path):
    torch.manual_seed(3)
    net = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig())
    path = tmp_path / "mine.safetensors"
    bundles.write(Model(NetworkDescriber(net, max_side=64), name="mine").to_bundle(), path)
    return path


@pytest.fixture
def unreachable_hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize("name", _TRUNKS)
def test_figures_are_timms(name):
    timm = _timm.import_timm("this test")
    trunk = _TRUNKS[name]
    configuration = timm.get_pretrained_cfg(trunk.timm)
    assert trunk.licence == configuration.license
    assert configuration.hf_hub_id
    with torch.device("meta"):
        whole = timm.create_model(trunk.timm)
        maps = timm.create_model(trunk.timm, features_only=True, out_indices=(-1,))
    weights = [*whole.parameters(), *whole.buffers()]
    assert trunk.megabytes == round(sum(each.numel() * 4 for each in weights) / 1e6, 1)
    assert [trunk.dim] == maps.feature_info.channels()


def test_available_lists_every_name_once():
    entries = available()
    assert entries[0].name == "sift"
    assert entries[0].needs is None
    assert entries[0].megabytes < 10
    assert (entries[1].name, entries[1].needs) == ("efficientnet-lite0", "lite0")
    assert [entry.name for entry in entries[2:]] == list(_TRUNKS)
    assert all(entry.needs == "torch" for entry in entries[2:])
    assert all(entry.licence and entry.summary and entry.dim > 0 for entry in entries)


def test_sift_loads_without_torch():
    code = (
        "import sys; from resight.models import available, load_model; model = load_model('sift');"
        "assert model.name == 'sift' and model.dim == available()[0].dim;"
        "print(sorted({'torch', 'timm', 'torchvision', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_bundle_by_path(bundle_path, monkeypatch):
    monkeypatch.chdir(bundle_path.parent)
    model = load_model("mine.safetensors")
    assert model.name == str(bundle_path.resolve())
    assert model.max_side == 64
    assert load_model(bundle_path).fingerprint == model.fingerprint == bundles.read(bundle_path).fingerprint


def test_bundle_of_an_unknown_kind(tmp_path):
    path = tmp_path / "strange.safetensors"
    bundles.write(Bundle("strange", {}, Preprocessing(8), "", "", {"x": np.zeros(1)}), path)
    with pytest.raises(
        InvalidBundle,
        match="'strange' and this Resight knows cgd, delg, dolg, embedding, gem, sift, whitened: upgrade",
    ):
        load_model(path)


def test_file_that_is_no_bundle(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InvalidBundle, match=r"photo\.jpg is no model bundle"):
        load_model(path)


def test_timm_folder_by_name(tmp_path):
    timm = _timm.import_timm("this test")
    torch.manual_seed(3)
    model = timm.create_model("test_resnet", num_classes=4)
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_resnet", "num_classes": 4}))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    name = f"timm:local-dir:{tmp_path}"
    loaded = load_model(name)
    assert (loaded.name, loaded.dim, loaded.max_side) == (name, 96, 1024)
    assert torch.equal(
        loaded.describer.net.trunk.net.state_dict()["layer4.0.conv1.weight"], model.layer4[0].conv1.weight
    )
    assert loaded.describer.net.pooling.p.item() == 3
    # A bundle made from it needs the folder no more.
    bundles.write(loaded.to_bundle(), tmp_path / "mine.safetensors")
    (tmp_path / "config.json").unlink()
    assert load_model(tmp_path / "mine.safetensors").fingerprint == loaded.fingerprint


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "gem-resnet5",
            r"there is no model 'gem-resnet5' and no bundle at that path: did you mean .*gem-resnet50",
        ),
        ("shift", r"did you mean sift\?"),
        ("???", r"known are sift, efficientnet-lite0, gem-resnet18, .*timm:NAME .* path of a bundle"),
        ("absent/mine.safetensors", "there is no model 'absent/mine.safetensors' and no bundle at that path"),
        ("timm:resnet1xt", "timm has no trunk 'resnet1xt': did you mean"),
    ],
)
def test_unknown_names(name, text):
    with pytest.raises(UnknownModel, match=text):
        load_model(name)


def test_offline_names_are_a_sentence(unreachable_hub):
    with pytest.raises(
        WeightsUnavailable, match=r"weights of resnet18\.tv_in1k: timm/resnet18\.tv_in1k is not in"
    ):
        load_model("gem-resnet18")


def test_missing_torch_is_a_sentence(monkeypatch, bundle_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("gem-resnet50", "timm:resnet50", str(bundle_path)):
        with pytest.raises(
            MissingExtra, match=r"the model .* needs an optional part: pip install 'resight\[torch\]'"
        ):
            load_model(name)


def test_face_without_torch(monkeypatch):
    import resight.networks as face

    assert face.__all__ == sorted(face.__all__, key=lambda name: (not name.isupper(), name))
    assert set(face.__all__) == set(face._HOMES)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"resight\.networks\.GeMNet needs"):
        face.__getattr__("GeMNet")
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        face.__getattr__("Nothing")


def test_lite0_is_known_offline(unreachable_hub, tmp_path):
    model = load_model("efficientnet-lite0")
    entry = available()[1]
    assert (model.dim, model.licence, model.local) == (entry.dim, entry.licence, None)
    photo = np.random.default_rng(1).integers(0, 256, (97, 131, 3), dtype=np.uint8)
    vector = model.describe(photo)
    bundles.write(model.to_bundle(), tmp_path / "lite0.safetensors")
    assert np.array_equal(load_model(tmp_path / "lite0.safetensors").describe(photo), vector)
    assert load_recorded("efficientnet-lite0", model.fingerprint).fingerprint == model.fingerprint
