"""DELG and DOLG from a recipe: losses fall, an interrupted run ends like a whole one, bundles are usable."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from resight import images
from resight.errors import InvalidInput
from resight.models import bundle as bundles
from resight.models import load_model
from resight.networks import DELG, DOLG
from resight.training import Recipe, train
from resight.training import checkpoint as checkpoints
from resight.training.engine import set_training_mode
from resight.training.network import Network, build_model

pytestmark = pytest.mark.usefixtures("one_thread")

TRUNK = "trunk: {name: test_resnet, pretrained: false}"
DELG_RECIPE = [
    f"model={{kind: delg, {TRUNK}, dim: 16, local_dim: 8, attention_dim: 8}}",
    "objective=[{name: ranking, loss: {kind: arcface, scale: 4, margin: 0.1, rule: delg, learn_scale: true}},"
    "{name: attention, output: logits, loss: {kind: classification, temperature: 1.0, smoothing: 0.0}},"
    "{name: reconstruction, output: reconstruction, loss: {kind: mean}, weight: 10}]",
]
DOLG_RECIPE = [
    f"model={{kind: dolg, {TRUNK}, dim: 16, dilations: [1, 2]}}",
    "objective=[{name: ranking, loss: {kind: arcface, scale: 4, margin: 0.15}}]",
]
SETTINGS = [
    "training.precision=bf16",
    "training.clip=10.0",
    "training.epochs=3",
    "sampler={kind: m_per_class, batch: 24, per_class: 3}",
    "optimiser.learning_rate=3e-3",
    "schedule={kind: linear}",
    "selection.on=last",
    "log.checkpoint_steps=1",
]


class Interrupted(Exception):
    pass


def interrupt(progress) -> None:
    if progress.step == 4:
        raise Interrupted


@pytest.mark.parametrize("settings", [DELG_RECIPE, DOLG_RECIPE], ids=["delg", "dolg"])
def test_every_loss_falls_and_an_interrupted_run_ends_bit_equal(recipe_file, tmp_path, settings):
    recipe = Recipe.from_yaml(recipe_file, [*SETTINGS, *settings])
    whole = train(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "broken", report=interrupt)
    broken = checkpoints.read(tmp_path / "broken" / "checkpoints" / "last.pt")
    assert 0 < broken.step < checkpoints.read(tmp_path / "whole" / "checkpoints" / "last.pt").step
    resumed = train(recipe, tmp_path / "broken", resume=True)
    assert bundles.read(whole.bundle).fingerprint == bundles.read(resumed.bundle).fingerprint
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    parts = [line["parts"] for line in lines if line["kind"] == "step"]
    assert len(parts) >= 4
    for name in parts[0]:
        assert parts[-1][name] < parts[0][name], name


def test_the_bundles_describe_photos(recipe_file, made_photos, tmp_path):
    use = "use={max_side: 64, scales: [0.7, 1.0]}"
    path = sorted(made_photos.rglob("*.png"))[0]
    short = [*SETTINGS, "training.epochs=1", use]
    delg = load_model(train(Recipe.from_yaml(recipe_file, [*short, *DELG_RECIPE]), tmp_path / "delg").bundle)
    dolg = load_model(train(Recipe.from_yaml(recipe_file, [*short, *DOLG_RECIPE]), tmp_path / "dolg").bundle)
    assert isinstance(delg.describer.net, DELG)
    assert isinstance(dolg.describer.net, DOLG)
    assert delg.facts.scales == dolg.facts.scales == (0.7, 1.0)
    for model in (delg, dolg):
        photo = images.read(path, max_side=model.max_side)
        assert np.linalg.norm(model.extract([photo])[0].descriptor) == pytest.approx(1, abs=1e-5)
    assert delg.describer.net.classifier is None


def test_the_trunk_learns_from_the_descriptor_alone(recipe_file, tmp_path):
    """With the descriptor's loss weighing nothing, its weights stay as they were drawn."""
    settings = [*SETTINGS, *DELG_RECIPE, "objective.ranking.weight=1e-30", "training.epochs=1"]
    recipe = Recipe.from_yaml(recipe_file, [*settings, "optimiser={kind: sgd, learning_rate: 0.1}"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        fresh = dict(build_model(recipe, classes=10).named_parameters())
    train(recipe, tmp_path / "run")
    trained = checkpoints.read(tmp_path / "run" / "checkpoints" / "last.pt").model
    for name, before in fresh.items():
        moved = float((before.detach() - trained[f"model.{name}"]).abs().max())
        if name.startswith(("trunk.", "whitening.")):
            assert moved < 1e-20, name
        elif name != "attention.hidden.bias":
            # Batch normalisation takes that bias out again.
            assert moved > 1e-6, name


def test_frozen_statistics_are_the_trunks_alone(recipe_file):
    recipe = Recipe.from_yaml(recipe_file, [*SETTINGS, *DELG_RECIPE])
    network = Network(build_model(recipe, classes=4), ("descriptor",))
    set_training_mode(network, batch_norm="frozen")
    assert not network.model.trunk.net.bn1.training
    assert network.model.attention.norm.training


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (["objective.reconstruction.output=descriptor"], "the loss mean takes the output reconstruction"),
        (["objective.ranking.output=reconstruction"], "arcface takes the output descriptor or branches"),
        (["objective.ranking.output=branches"], "the model delg has no output branches"),
        (["use.scales=[1.0, 1.0]"], "two scales are the same"),
        (["use.scales=[]"], "use.scales: "),
        (["model.attention_pooling=max"], "model.attention_pooling: input should be 'sum' or 'mean'"),
    ],
)
def test_what_does_not_fit_is_refused(recipe_file, override, said):
    with pytest.raises(InvalidInput) as error:
        Recipe.from_yaml(recipe_file, [*DELG_RECIPE, *override])
    assert said in str(error.value)


def test_without_an_autoencoder_there_is_no_reconstruction(recipe_file, tmp_path):
    recipe = Recipe.from_yaml(recipe_file, [*SETTINGS, *DELG_RECIPE, "model.autoencoder=false"])
    with pytest.raises(InvalidInput, match="has no output 'reconstruction'"):
        train(recipe, tmp_path / "run")
