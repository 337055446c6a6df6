"""Weights to begin with: which files are taken, what of them fits, and what is said of the rest."""

import json
import logging
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch

import resight
from resight.errors import InvalidInput, ResightError
from resight.models import bundle as bundles
from resight.models.network_describer import NetworkDescriber
from resight.models.whitening_fit import fit_pca
from resight.networks import CGD, Backbone, CGDConfig, Embedding, EmbeddingConfig, GeMNet, GeMNetConfig
from resight.networks.trunks._timm import import_timm
from resight.training import Recipe, train
from resight.training.start import start_from


def network(trunk="test_resnet", dim=16, **options):
    return Embedding(Backbone(trunk, out_indices=(-1,), options=options), EmbeddingConfig(dim))


def classifier(name="test_resnet"):
    """Returns the tensors of timm's network with its classifier, as its published files have them."""
    return import_timm("a test").create_model(name, num_classes=7).state_dict()


def saved(tensors, folder, name="weights.pth"):
    path = folder / name
    if path.suffix == ".safetensors":
        safetensors.torch.save_file({key: each.contiguous() for key, each in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return path


def assert_trunk(net, tensors):
    own = net.trunk.net.state_dict()
    for name, tensor in own.items():
        given = {key.replace(".", "_"): each for key, each in tensors.items()}
        torch.testing.assert_close(tensor, given[name.removeprefix("model.").replace(".", "_")])


WRAPPED = {
    "alone": lambda state: state,
    "data parallel": lambda state: {f"module.{name}": each for name, each in state.items()},
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "model": lambda state: {"model": {f"module.{name}": each for name, each in state.items()}, "lr": 0.1},
    "self-supervised": lambda state: {
        "state_dict": {
            **{f"module.encoder_q.{name}": each for name, each in state.items()},
            "module.queue": torch.zeros(4, 4),
        }
    },
    "lightning": lambda state: {
        "callbacks": {},
        "optimizer_states": [{"state": {}}],
        "state_dict": {f"net.backbone.{name}": each for name, each in state.items()},
    },
    "trained with an average": lambda state: {
        "optimizer": {"exp_avg": torch.zeros(3, 3)},
        "state_dict_ema": state,
    },
}


@pytest.mark.parametrize("ending", [".pth", ".pt", ".bin"])
@pytest.mark.parametrize("how", WRAPPED)
def test_a_trunks_tensors_are_found_wherever_a_file_has_them(tmp_path, how, ending):
    state, net = classifier(), network()
    start = start_from(net, saved(WRAPPED[how](state), tmp_path, f"weights{ending}"))
    assert_trunk(net, state)
    assert start.missing == ("linear.weight", "linear.bias")
    left_over = {name.rpartition("fc.")[2] for name in start.left_over}
    assert left_over - {"module.queue"} == {"weight", "bias"}
    assert start.reshaped == ()


@pytest.mark.parametrize(
    "trunk",
    ["test_resnet", "test_efficientnet", "test_vit", "test_convnext", "torchvision:shufflenet_v2_x0_5"],
)
def test_trunks_of_every_form_are_filled(tmp_path, trunk):
    if trunk.startswith("torchvision:"):
        import_timm("a test")
        from torchvision import models

        state = models.get_model(trunk.partition(":")[2], weights=None).state_dict()
    else:
        state = classifier(trunk)
    half = {name: each.half() if each.is_floating_point() else each for name, each in state.items()}
    net = network(trunk)
    start = start_from(net, saved(half, tmp_path, "weights.safetensors"))
    assert_trunk(
        net, {name: each.float() if each.is_floating_point() else each for name, each in half.items()}
    )
    assert start.missing == ("linear.weight", "linear.bias")
    assert f"start from {tmp_path / 'weights.safetensors'}; 2 drawn anew, for the file lacks them" in str(
        start
    )


def bundle_of(net, folder, name="start.safetensors", scales=None):
    bundles.write(NetworkDescriber(net, scales=scales).to_bundle(), folder / name)
    return folder / name


def test_a_bundle_fills_a_network_of_its_kind_and_the_trunk_of_another(tmp_path):
    first, second = network(), network()
    path = bundle_of(first, tmp_path)
    start = start_from(second, path)
    assert (start.missing, start.left_over, start.reshaped) == ((), (), ())
    assert start.fingerprint == bundles.read_header(path).fingerprint
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    gem = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig())
    start = start_from(gem, path)
    assert (start.missing, start.left_over) == (("pooling.p",), ("linear.bias", "linear.weight"))
    assert torch.equal(gem.trunk.net.conv1[0].weight, first.trunk.net.conv1[0].weight)
    cgd = CGD(Backbone("test_resnet", out_indices=(-1,)), CGDConfig("SG", 32), classes=3)
    start = start_from(cgd, bundle_of(gem, tmp_path))
    assert start.left_over == ("pooling.p",)
    assert set(start.missing) == {
        name for name in cgd.state_dict() if not name.startswith("trunk.") and "counter" not in name
    }


def test_a_whitened_bundle_gives_its_network(tmp_path):
    net = network()
    path = bundle_of(net, tmp_path)
    model = resight.load_model(path)
    photos = torch.randint(0, 256, (12, 40, 40, 3), dtype=torch.uint8).numpy()
    whitened = model.whitened(fit_pca(model.describe(list(photos)), 8, provenance="made"), name="w")
    bundles.write(whitened.to_bundle(), tmp_path / "w.safetensors")
    other = network()
    start = start_from(other, tmp_path / "w.safetensors")
    assert (start.missing, start.left_over) == ((), ())
    assert start.fingerprint == whitened.fingerprint
    assert torch.equal(other.linear.weight, net.linear.weight)


def gem(dim=None):
    return GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig(dim=dim))


def test_a_whitening_layer_begins_as_the_whitening_of_the_bundle(tmp_path):
    model = resight.load_model(bundle_of(gem(), tmp_path, scales=[1.0]))
    photos = list(torch.randint(0, 256, (40, 48, 48, 3), dtype=torch.uint8).numpy())
    learned = fit_pca(model.describe(photos), 24, shrinkage=0.1, provenance="made")
    whitened = model.whitened(learned, name="w")
    bundles.write(whitened.to_bundle(), tmp_path / "w.safetensors")
    for dim in (24, 8):
        net = gem(dim)
        start = start_from(net, tmp_path / "w.safetensors")
        assert (start.missing, start.left_over, start.reshaped) == ((), (), ())
        expected = model.whitened(learned.reduced(dim), name="w").describe(photos)
        layered = resight.load_model(bundle_of(net, tmp_path, f"{dim}.safetensors", [1.0]))
        np.testing.assert_allclose(layered.describe(photos), expected, atol=1e-5)
    # It has fewer dimensions than the layer, goes to another place, or comes after another.
    wide = start_from(gem(32), tmp_path / "w.safetensors")
    assert wide.missing == ("whitening.weight", "whitening.bias")
    other = network()
    assert start_from(other, tmp_path / "w.safetensors").missing == ("linear.weight", "linear.bias")
    twice = whitened.whitened(fit_pca(whitened.describe(photos), 8, shrinkage=0.1), name="ww")
    bundles.write(twice.to_bundle(), tmp_path / "ww.safetensors")
    assert start_from(gem(8), tmp_path / "ww.safetensors").missing == ("whitening.weight", "whitening.bias")


def test_a_trained_whitening_layer_comes_before_a_whitening_behind_it(tmp_path):
    net = gem(24)
    model = resight.load_model(bundle_of(net, tmp_path))
    photos = list(torch.randint(0, 256, (40, 48, 48, 3), dtype=torch.uint8).numpy())
    after = fit_pca(model.describe(photos), 24, shrinkage=0.1)
    bundles.write(model.whitened(after, name="w").to_bundle(), tmp_path / "w.safetensors")
    other = gem(24)
    start_from(other, tmp_path / "w.safetensors")
    assert torch.equal(other.whitening.weight, net.whitening.weight)


def test_what_has_another_shape_is_drawn_anew_and_said(tmp_path):
    net, drawn = network(dim=8), network(dim=8)
    drawn.load_state_dict(net.state_dict())
    start = start_from(net, bundle_of(network(dim=16), tmp_path))
    assert start.reshaped == ("linear.weight (16, 96) for (8, 96)", "linear.bias (16,) for (8,)")
    assert torch.equal(net.linear.weight, drawn.linear.weight)
    assert "2 drawn anew, for the file has another shape (linear.weight (16, 96)" in str(start)


class Code:
    def __reduce__(self):
        return print, ("code of the file ran",)


def files(folder):
    state = classifier()
    (folder / "text.pth").write_text("no weights")
    (folder / "empty.pth").touch()
    (folder / "code.pth").write_bytes(pickle.dumps({"state_dict": Code()}))
    (folder / "cut.safetensors").write_bytes(saved(state, folder, "whole.safetensors").read_bytes()[:999])
    (folder / "cut.pth").write_bytes(saved(state, folder).read_bytes()[:9999])
    saved({"lr": 0.1, "steps": [1, 2]}, folder, "numbers.pth")
    saved({name: each for name, each in state.items() if "fc" in name}, folder, "classifier.pth")
    saved(classifier("test_vit"), folder, "other.pth")
    saved({"optimizer": {"state": {0: {"exp_avg": torch.zeros(8, 8)}}}}, folder, "optimiser.pth")
    saved([torch.zeros(3)], folder, "list.pth")
    saved({**state, "conv1.0.weight": state["conv1.0.weight"] * torch.inf}, folder, "infinite.pth")
    bundles.write(resight.load_model("sift").to_bundle(), folder / "sift.safetensors")
    return folder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none.pth", "model.start: there is no file"),
        ("", "model.start: there is no file"),
        ("text.pth", "cannot be read: it must be a whole file of torch.save with nothing but tensors"),
        ("empty.pth", "cannot be read"),
        ("code.pth", "cannot be read"),
        ("cut.pth", "cannot be read"),
        ("cut.safetensors", "is no whole safetensors file"),
        ("numbers.pth", "holds no tensors by name"),
        ("list.pth", "holds no tensors by name"),
        ("classifier.pth", "no weights of"),
        ("other.pth", "fit the network on test_resnet: its tensors are called cls_token, pos_embed"),
        ("optimiser.pth", "no weights of"),
        ("infinite.pth", "the tensor conv1.0.weight of"),
        ("sift.safetensors", "no weights of"),
    ],
)
def test_a_wrong_file_is_one_sentence_and_changes_nothing(tmp_path, capsys, name, text):
    net = network()
    before = {key: each.clone() for key, each in net.state_dict().items()}
    with pytest.raises(ResightError) as error:
        start_from(net, files(tmp_path) / name)
    assert text in str(error.value)
    assert "\n" not in str(error.value)
    assert "code of the file ran" not in capsys.readouterr().out
    for key, each in net.state_dict().items():
        assert torch.equal(each, before[key])


def test_a_run_starts_there_says_so_everywhere_and_is_resumed_from_nothing_else(
    recipe_file, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="resight")
    state = classifier()
    path = saved({"state_dict": state}, tmp_path)
    settings = [f"model.start={path}", "training.epochs=1", "selection.on=last"]
    still = "groups=[{pattern: 'model.trunk.*', frozen_epochs: 9}]"
    recipe = Recipe.from_yaml(recipe_file, [*settings, still, "training.batch_norm=frozen"])
    outcome = train(recipe, tmp_path / "run")
    model = resight.load_model(outcome.bundle)
    torch.testing.assert_close(
        model.describer.net.trunk.net.state_dict()["conv1.0.weight"], state["conv1.0.weight"]
    )
    assert f"tensors start from {path}; 2 drawn anew" in caplog.text
    said = json.loads((tmp_path / "run/result.json").read_text())["start"]
    assert (said["missing"], said["left_over"]) == (
        ["linear.weight", "linear.bias"],
        ["fc.weight", "fc.bias"],
    )
    assert len(said["matched"]) > 20
    assert model.training["start"] == said["fingerprint"]
    assert f"started from weights.pth (fingerprint {said['fingerprint'][:16]})" in model.provenance
    longer = Recipe.from_yaml(
        recipe_file, [*settings, still, "training.batch_norm=frozen", "training.epochs=2"]
    )
    train(longer, tmp_path / "run", resume=True)
    saved(classifier(), tmp_path)
    with pytest.raises(InvalidInput, match=r"cannot be resumed: its model.start was [0-9a-f]{16} and is"):
        train(longer, tmp_path / "run", resume=True)


def test_a_checkpoint_of_a_run_is_a_start_for_another(recipe_file, tmp_path):
    train(Recipe.from_yaml(recipe_file, ["training.epochs=1"]), tmp_path / "run")
    for name in ("last.pt", "best.pt"):
        net = network()
        start = start_from(net, tmp_path / "run/checkpoints" / name)
        assert (start.missing, start.reshaped) == ((), ())


def test_a_start_stands_in_for_published_weights_and_in_no_older_fingerprint(recipe_file, tmp_path):
    path = saved(classifier(), tmp_path)
    plain = Recipe.from_yaml(recipe_file)
    assert "start" not in plain.model_dump(mode="json")["model"]
    started = Recipe.from_yaml(recipe_file, [f"model.start={path}", "model.trunk.pretrained=true"])
    assert started.fingerprint != plain.fingerprint
    assert Recipe.from_values(started.model_dump(mode="json")) == started
    # There are no published weights of this name: loading them would fail.
    train(
        Recipe.from_yaml(
            recipe_file, [f"model.start={path}", "model.trunk.pretrained=true", "training.epochs=1"]
        ),
        tmp_path / "run",
    )
