"""Bundles and names of models from elsewhere: nothing is opened, run or fetched, and memory stays small."""

from __future__ import annotations

import re
import socket
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from resight.errors import InvalidBundle, InvalidInput, ModelMismatch, UnknownModel, WeightsUnavailable
from resight.models import Model, NetworkDescriber, load_model, load_recorded
from resight.models import bundle as bundles
from resight.models.bundle import Bundle
from resight.networks import Backbone, GeMNet
from resight.networks.gem import GeMNetConfig


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def dial(*args, **kwargs):
        raise AssertionError(f"a request to the network: {args}")

    monkeypatch.setattr(socket, "socket", dial)
    monkeypatch.setattr(socket, "create_connection", dial)
    monkeypatch.setattr(socket, "getaddrinfo", dial)


@pytest.fixture
def small() -> Bundle:
    torch.manual_seed(3)
    net = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig())
    return Model(NetworkDescriber(net, max_side=64), name="small").to_bundle()


def write_changed(bundle: Bundle, path, **settings):
    bundles.write(replace(bundle, settings={**bundle.settings, **settings}), path)
    return path


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"trunk_options": {"checkpoint_path": "weights"}}, "set 'checkpoint_path', which is no part of"),
        ({"trunk_options": {"checkpoint_path": "/etc/passwd"}}, "set 'checkpoint_path' to '/etc/passwd'"),
        ({"trunk_options": {"pretrained_cfg": {"url": "http://a"}}}, "set 'pretrained_cfg' to {'url'"),
        ({"trunk_options": {"pretrained_cfg_overlay": {"file": "a"}}}, "set 'pretrained_cfg_overlay'"),
        ({"trunk_options": {"cache_dir": "here"}}, "set 'cache_dir'"),
        ({"trunk_options": {"features_only": False}}, "set 'features_only'"),
        ({"trunk_options": {"pretrained": True}}, "set 'pretrained'"),
        ({"trunk_options": {"device": "meta"}}, "set 'device'"),
        ({"trunk_options": {"kwargs": "a"}}, "set 'kwargs'"),
        ({"trunk_options": {"channels": [2**30] * 4}}, "accepted are truth values, numbers of at most"),
        ({"trunk_options": {"channels": [2**14] * 4}}, "describe a network of over"),
        ({"trunk_options": {"layers": [2**20] * 4}}, "describe a network of over"),
        ({"trunk": "hf-hub:somebody/model"}, "a bundle names no folder and no address"),
        ({"trunk": "hf_hub:somebody/model"}, "a bundle names no folder and no address"),
        ({"trunk": "local-dir:/tmp"}, "a bundle names no folder and no address"),
        ({"trunk": "https://example.org/a.safetensors"}, "a bundle names no folder and no address"),
        ({"trunk": "../weights"}, "a bundle names no folder and no address"),
        ({"trunk": "subprocess:Popen", "trunk_options": {"args": "id"}}, "no part of a network of your own"),
        ({"trunk": "torch.jit:RecursiveScriptModule"}, "no part of a network of your own"),
        ({"trunk": "resight.networks:Backbone"}, "no part of a network of your own"),
        ({"pooling": {"kind": "subprocess:Popen", "args": "id"}}, "no part of a network of your own"),
    ],
)
def test_settings_that_no_bundle_may_have(small, settings, sentence, tmp_path):
    path = write_changed(small, tmp_path / "foreign.safetensors", **settings)
    with pytest.raises(InvalidBundle, match=re.escape(sentence)):
        load_model(path)


def test_no_process_is_started_for_the_class_that_a_bundle_names(small, tmp_path):
    marker = tmp_path / "ran"
    bundle = replace(small, architecture="subprocess:Popen", settings={"args": ["touch", str(marker)]})
    bundles.write(bundle, tmp_path / "foreign.safetensors")
    with pytest.raises(InvalidBundle, match="no part of a network of your own"):
        load_model(tmp_path / "foreign.safetensors")
    assert not marker.exists()


def test_the_limit_on_a_network_ends_with_its_reading(small, tmp_path):
    path = write_changed(small, tmp_path / "foreign.safetensors", trunk_options={"layers": [2**20] * 4})
    with pytest.raises(InvalidBundle):
        load_model(path)
    torch.nn.Embedding(2**10, 2**19 + 1, device="meta")


def test_a_network_with_an_option_that_no_bundle_may_hold_makes_none(small):
    net = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig())
    net.trunk.options["checkpoint_path"] = "a"
    with pytest.raises(InvalidInput, match="checkpoint_path"):
        NetworkDescriber(net, max_side=64).to_bundle()


@pytest.mark.parametrize("name", ["test_vit", "swin_tiny_patch4_window7_224"])
def test_options_that_free_a_trunk_of_its_size_are_read_again(name):
    options = {"depths": [1, 1, 1, 1]} if name.startswith("swin") else {}
    net = GeMNet(Backbone(name, out_indices=(-1,), options=options), GeMNetConfig())
    assert {"dynamic_img_size", "strict_img_size"} & net.trunk.options.keys()
    bundle = Model(NetworkDescriber(net, max_side=64), name="a").to_bundle()
    read = NetworkDescriber.from_bundle(bundle, name="a")
    assert bundle.settings["trunk_options"] == read.to_bundle().settings["trunk_options"] != options


def test_a_recorded_bundle_is_read_where_its_fingerprint_is_the_recorded_one(small, tmp_path):
    bundles.write(small, tmp_path / "mine.safetensors")
    name = str(tmp_path / "mine.safetensors")
    assert load_recorded(name, small.fingerprint).fingerprint == small.fingerprint
    with pytest.raises(ModelMismatch, match="not the recorded 000000000000: name the model"):
        load_recorded(name, "0" * 64)


@pytest.mark.parametrize(
    "name",
    [
        "timm:hf-hub:somebody/model",
        "timm:local-dir:/tmp",
        "//host/share/model",
        "\\\\host\\share",
        "http://a/b",
        "sift+//host/share/model",
        "//host/share/model+sift",
    ],
)
def test_a_recorded_name_that_leads_elsewhere_is_not_followed(name):
    with pytest.raises(UnknownModel, match="lies elsewhere, and is loaded only where that is allowed"):
        load_recorded(name, "0" * 64)


@pytest.mark.parametrize("name", ["gem-resnet18", "timm:resnet10t.c3_in1k"])
def test_recorded_weights_that_are_not_cached_are_not_fetched(name, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsUnavailable, match="not in the local cache, and downloads were not allowed"):
        load_recorded(name, "0" * 64)


def test_recorded_weights_in_the_cache_are_loaded_without_a_request(monkeypatch, tmp_path):
    from safetensors.torch import save_file

    from resight.networks.trunks import timm_trunk
    from resight.networks.trunks._timm import import_timm

    model = import_timm("this test").create_model("test_resnet")
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(timm_trunk, "cached_file", lambda repository, names: tmp_path / "model.safetensors")
    loaded = load_recorded("timm:test_resnet.r160_in1k", "0" * 64)
    stem = loaded.to_bundle().tensors["trunk.net.conv1.0.weight"]
    assert np.array_equal(stem, model.state_dict()["conv1.0.weight"].numpy())


def test_reading_foreign_bundles_imports_nothing(small, tmp_path):
    path = write_changed(small, tmp_path / "foreign.safetensors", trunk="antigravity:Trunk")
    with pytest.raises(InvalidBundle, match="never imports"):
        load_model(path)
    assert "antigravity" not in sys.modules
