"""The zoo: names, paths, and sentences for what is not there."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from resight import Collection
from resight.errors import InvalidBundle, MissingExtra, UnknownModel, WeightsUnavailable
from resight.models import Model, NetworkDescriber, available, load_model, load_recorded, model_of, to_input
from resight.models import bundle as bundles
from resight.models.bundle import Bundle, Preprocessing
from resight.models.catalogue import SUFFIXES, find_trunk, trunks
from resight.models.checkpoints import checkpoints
from resight.networks import Backbone, GeMNet
from resight.networks.gem import GeMNetConfig
from resight.networks.trunks import _timm
from resight.scenes.render import render_view


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


@pytest.mark.parametrize("name", trunks())
def test_figures_are_timms_and_odd_sizes_are_taken(name):
    """Without weights: on torch's meta device, where sizes are all there is."""
    timm = _timm.import_timm("this test")
    trunk = trunks()[name]
    configuration = timm.get_pretrained_cfg(trunk.timm)
    assert trunk.licence == configuration.license
    assert configuration.hf_hub_id == f"timm/{trunk.timm}"
    assert configuration.hf_hub_filename is None
    with torch.device("meta"):
        whole = timm.create_model(trunk.timm)
        # Large transformers are the small ones again, and take a second each.
        if trunk.pooling == "gem" or trunk.megabytes < 400:
            backbone = Backbone(
                trunk.timm, out_indices=(-1,), options=trunk.options, whole=trunk.pooling == "trunk"
            )
            assert (backbone.channels, backbone.image_size) == ((trunk.dim,), None)
            photo = torch.zeros(1, 3, 75, 101)
            if not backbone.whole:
                assert backbone.eval()(photo)[-1].shape[:2] == (1, trunk.dim)
            # NaFlex asks which device it is on.
            elif "naflex" not in name:
                assert backbone.eval().read_whole(photo).pooled.shape == (1, trunk.dim)
    weights = [*whole.parameters(), *whole.buffers()]
    assert trunk.megabytes == round(sum(each.numel() * 4 for each in weights) / 1e6, 1)
    assert trunk.pooling == "gem" or whole.num_features == trunk.dim


def test_available_lists_every_name_once():
    entries = available()
    assert entries[0].name == "sift"
    assert entries[0].needs is None
    assert entries[0].megabytes < 10
    assert (entries[1].name, entries[1].needs, entries[1].dim) == ("sift-fast", None, entries[0].dim)
    assert (entries[2].name, entries[2].needs) == ("efficientnet-lite0", "lite0")
    assert [entry.name for entry in entries[3:]] == [*trunks(), *checkpoints()]
    assert all(entry.needs == "torch" for entry in entries[3:])
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
        match="'strange' and this Resight knows cgd, composite, delg, dolg, embedding, gem, sift, "
        "whitened, xfeat: upgrade",
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
        ("shift", r"did you mean sift or sift-fast\?"),
        (
            "???",
            r"known are sift, sift-fast, efficientnet-lite0, gem-resnet18, .*timm:NAME .* path of a bundle",
        ),
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
    entry = available()[2]
    assert (model.dim, model.licence, model.local) == (entry.dim, entry.licence, None)
    photo = np.random.default_rng(1).integers(0, 256, (97, 131, 3), dtype=np.uint8)
    vector = model.describe(photo)
    bundles.write(model.to_bundle(), tmp_path / "lite0.safetensors")
    assert np.array_equal(load_model(tmp_path / "lite0.safetensors").describe(photo), vector)
    assert load_recorded("efficientnet-lite0", model.fingerprint).fingerprint == model.fingerprint


def test_lite0_is_whitened_where_it_is_joined_to_sift_and_nowhere_else(tmp_path):
    alone, pair = load_model("efficientnet-lite0"), load_model("efficientnet-lite0+sift")
    photos = [render_view(place, 0, side=320) for place in (1, 2)]
    plain = alone.describe(photos)
    joined = pair.describe(photos)
    whitened = pair.describer.whole.whitening.apply(plain)
    np.testing.assert_allclose(joined[:, :320], whitened * 0.5**0.5, atol=1e-5)
    # What all photos have in common is gone: two places are less like each other.
    assert plain[0] @ plain[1] > 0.7 > 0.5 > whitened[0] @ whitened[1]
    for name in ("efficientnet-lite0+sift:local", "efficientnet-lite0+xfeat"):
        assert np.array_equal(load_model(name).describe(photos), plain)
    bundles.write(pair.to_bundle(), tmp_path / "pair.safetensors")
    assert load_model(tmp_path / "pair.safetensors").fingerprint == pair.fingerprint
    assert load_recorded(pair.name, pair.fingerprint).fingerprint == pair.fingerprint


@pytest.fixture
def made_hub(monkeypatch, tmp_path):
    """Puts random weights of a trunk into a cache of their own, as the hub's library keeps them."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")

    def fill(name, state):
        folder = tmp_path / "hub" / f"models--timm--{name}"
        revision = "0" * 40
        for each in (folder / "refs", folder / "snapshots" / revision):
            each.mkdir(parents=True)
        (folder / "refs" / "main").write_text(revision)
        save_file(state, folder / "snapshots" / revision / "model.safetensors")

    return fill


@pytest.mark.parametrize("name", ["dinov2-reg-small", "dinov3-small", "pe-core-tiny"])
def test_frozen_trunks_describe_as_timm_does(name, made_hub):
    timm = _timm.import_timm("this test")
    trunk = find_trunk(name)
    torch.manual_seed(3)
    options = {"dynamic_img_size": True, "dynamic_img_pad": True, **trunk.options}
    reference = timm.create_model(trunk.timm, num_classes=0, **options).eval()
    made_hub(trunk.timm, reference.state_dict())
    assert next(entry for entry in available(look=True) if entry.name == name).local
    photo = np.random.default_rng(5).integers(0, 256, (75, 101, 3), dtype=np.uint8)
    model = load_model(name)
    assert (model.name, model.dim, model.licence) == (name, trunk.dim, trunk.licence)
    (found,) = model.describe([photo])
    with torch.inference_mode():
        preprocessing = model.describer.preprocessing
        values = to_input(torch.from_numpy(photo[None]), preprocessing)
        expected = torch.nn.functional.normalize(reference(values))[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # A bundle of it needs the hub no more, and a file that names the model may load it.
    again = model_of(model.to_bundle(), name="again")
    np.testing.assert_array_equal(again.describe([photo])[0], found)
    assert load_recorded(name, "").fingerprint == model.fingerprint


@pytest.mark.parametrize(("suffix", "pooling"), SUFFIXES.items())
def test_other_poolings_of_a_frozen_trunk(suffix, pooling, made_hub):
    timm = _timm.import_timm("this test")
    trunk = find_trunk("pe-core-tiny")
    torch.manual_seed(4)
    reference = timm.create_model(trunk.timm, num_classes=0, dynamic_img_size=True, dynamic_img_pad=True)
    made_hub(trunk.timm, reference.eval().state_dict())
    model = load_model(f"pe-core-tiny{suffix}")
    photo = np.random.default_rng(6).integers(0, 256, (50, 64, 3), dtype=np.uint8)
    with torch.inference_mode():
        values = to_input(torch.from_numpy(photo[None]), model.describer.preprocessing)
        tokens = reference.forward_features(values)
        own = reference.forward_head(tokens, pre_logits=True)[0]
        patches = tokens[0, 1:]
        both = [(part.clamp(min=1e-6) ** 3).mean(dim=0) ** (1 / 3) for part in (patches, -patches)]
        gem = both[0] - both[1]
    unit = [each / each.norm() for each in (own, gem)]
    expected = unit[1] if pooling == "patches" else torch.cat(unit) / 2**0.5
    (found,) = model.describe([photo])
    assert model.dim == len(expected) == find_trunk(model.name).dim
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_a_suffix_belongs_to_transformers():
    assert find_trunk("gem-resnet50-both") is None
    assert find_trunk("-gem") is None
    with pytest.raises(UnknownModel, match="there is no model 'gem-resnet50-both'"):
        load_model("gem-resnet50-both")


def test_sift_fast_is_sift_at_a_smaller_size():
    fast, sift = load_model("sift-fast"), load_model("sift")
    assert (fast.max_side, sift.max_side, fast.dim) == (460, 640, sift.dim)
    assert fast.fingerprint != sift.fingerprint
    small = np.random.default_rng(2).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    assert np.array_equal(fast.describe(small), sift.describe(small))
    assert load_recorded("sift-fast", fast.fingerprint).fingerprint == fast.fingerprint
    assert load_model("efficientnet-lite0+sift-fast").dim == 320 + fast.dim


@pytest.mark.parametrize("name", [None, 3, b"sift", ["sift"]])
def test_what_is_no_name_is_told_by_its_kind(tmp_path, name):
    kind = type(name).__name__
    for load in (
        lambda: load_model(name),
        lambda: Collection.create(tmp_path / "c", model=name),
        lambda: Collection.open_or_create(tmp_path / "c", model=name),
    ):
        with pytest.raises(UnknownModel, match=f"by the path of a bundle, not by {kind}: try"):
            load()
