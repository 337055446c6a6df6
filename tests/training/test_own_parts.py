"""Somebody's own loss, pooling and trunk in a recipe: they train, resume, and travel by name, not as code."""

import doctest
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import resight
from resight.errors import InvalidBundle, InvalidInput
from resight.models import load_model
from resight.models.architectures import settings_of
from resight.networks import POOLINGS, Backbone, GeMNet, GeMNetConfig
from resight.training import Recipe, checkpoint, parts, train

PARTS = [
    "model={kind: gem, trunk: {name: 'own_parts:OwnTrunk', options: {width: 6}}, "
    "pooling: {kind: 'own_parts:OwnPooling', factor: 3.0}}",
    "training.epochs=1",
]
LOSS = "objective=[{name: own, loss: {kind: 'own_parts:OwnLoss', margin: 0.4}}]"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


class Stopped(Exception):
    pass


def stop_after_three_steps(progress):
    if progress.step >= 3:
        raise Stopped


def test_the_parameters_of_an_own_loss_are_learned_saved_and_resumed_bit_for_bit(recipe_file, tmp_path):
    settings = [
        LOSS,
        "log.checkpoint_steps=2",
        "log.every=1",
        "groups=[{pattern: objective.losses.own.*, rate: 5}]",
    ]
    recipe = Recipe.from_yaml(recipe_file, settings)
    with pytest.raises(Stopped):
        train(recipe, tmp_path / "stopped", report=stop_after_three_steps)
    train(recipe, tmp_path / "stopped", resume=True)
    train(recipe, tmp_path / "whole")
    stopped, whole = (
        checkpoint.read(tmp_path / name / "checkpoints" / "last.pt") for name in ("stopped", "whole")
    )
    assert set(whole.objective) == {"losses.own.margin", "losses.own.direction"}
    assert float(whole.objective["losses.own.margin"]) != pytest.approx(0.4, abs=1e-4)
    for name, tensor in whole.objective.items():
        assert torch.equal(tensor, stopped.objective[name])
    assert Recipe.from_yaml(tmp_path / "whole" / "recipe.yaml") == recipe


def test_a_bundle_of_own_parts_is_read_where_they_are_imported_and_refused_elsewhere(recipe_file, tmp_path):
    outcome = train(Recipe.from_yaml(recipe_file, PARTS), tmp_path / "run")
    photo = next(Path(resight.__file__).parents[2].glob("tests/stored/files/photos/train/place0/0.jpg"))
    model = load_model(outcome.bundle)
    assert model.dim == 12
    assert np.isfinite(model.describe([photo])).all()
    assert model.to_bundle().fingerprint == load_model(outcome.bundle).fingerprint
    held = sys.modules.pop("own_parts")
    try:
        with pytest.raises(InvalidBundle, match="never imports: import own_parts first if you trust it"):
            load_model(outcome.bundle)
        assert "own_parts" not in sys.modules
    finally:
        sys.modules["own_parts"] = held


def test_what_could_not_be_read_back_is_refused_when_it_is_written():
    class Local(torch.nn.Module):
        def forward(self, maps):
            return maps.mean(dim=(2, 3))

    Local.__qualname__ = "Local"
    with pytest.raises(InvalidInput, match="cannot be stored by name"):
        POOLINGS.choose(Local)
    import own_parts

    choice = POOLINGS.choose(own_parts.OwnPooling, factor=1.0)
    net = GeMNet(Backbone("test_resnet", out_indices=(-1,)), GeMNetConfig(choice))
    assert settings_of(net)["pooling"] == {"kind": "own_parts:OwnPooling", "factor": 1.0}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("own_parts:OwnLos", "there is no class 'OwnLos' in own_parts: did you mean 'OwnLoss'?"),
        ("no_such_module:Loss", "the module of no_such_module:Loss cannot be imported"),
    ],
)
def test_a_part_that_is_not_there_is_named(recipe_file, kind, text):
    with pytest.raises(InvalidInput) as error:
        Recipe.from_yaml(recipe_file, [f"objective.0.loss={{kind: '{kind}'}}"])
    assert text in str(error.value)


def test_settings_of_an_own_part_are_checked_as_ours_are(recipe_file):
    own = "objective.0.loss={{kind: 'own_parts:OwnLoss', {}}}"
    for setting, text in (
        ("margn: 1.0", "objective.0.loss: there is no key 'margn' here: did you mean 'margin'?"),
        ("margin: -1.0", "objective.0.loss.margin: input should be greater than 0, got -1.0"),
    ):
        with pytest.raises(InvalidInput) as error:
            Recipe.from_yaml(recipe_file, [own.format(setting)])
        assert text in str(error.value)


def test_the_example_of_the_protocols_runs():
    result = doctest.testmod(parts)
    assert (result.failed, result.attempted >= 4) == (0, True)


def test_the_example_of_an_own_loss_runs(made_photos, tmp_path):
    root = Path(__file__).parents[2]
    example = root / "examples" / "own_loss.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 40
    done = subprocess.run(
        [sys.executable, str(example), str(made_photos)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "own-loss" / "model.safetensors").is_file()
