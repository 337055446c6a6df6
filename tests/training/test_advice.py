"""What a message advises is followed once, and works."""

from __future__ import annotations

import builtins
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import resight
from resight.cli import main
from resight.errors import InvalidInput, MissingExtra, WeightsUnavailable
from resight.models import bundle as bundles
from resight.networks import TrunkConfig
from resight.networks.trunks._timm import import_timm
from resight.training import Recipe, train
from resight.training import checkpoint as checkpoints
from resight.training.network import build_model
from resight.training.watch import TrainingDiverged

pytestmark = pytest.mark.usefixtures("one_thread")

STOPPED = """
import os, signal, sys
from pathlib import Path
import torch
from resight.training import Recipe, train
torch.set_num_threads(1)
def report(progress):
    if progress.step == 5:
        os.kill(os.getpid(), signal.SIGINT)
train(Recipe.from_yaml(sys.argv[1], sys.argv[3:]), Path(sys.argv[2]), report=report)
"""


def recipe_with(recipe_file, *settings):
    return Recipe.from_yaml(recipe_file, ["training.epochs=1", *settings])


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def test_a_trunks_folder_of_weights_is_named_in_a_recipe_as_the_message_says(recipe_file, tmp_path, offline):
    with pytest.raises(WeightsUnavailable, match="as timm:local-dir:PATH") as error:
        build_model(recipe_with(recipe_file, "model.trunk={name: resnet10t.c3_in1k}"), classes=2)
    prefix = re.search(r"as (\S+:)PATH", str(error.value))[1]
    model = import_timm("this test").create_model("test_resnet", num_classes=5)
    (tmp_path / "trunk").mkdir()
    (tmp_path / "trunk/config.json").write_text(json.dumps({"architecture": "test_resnet", "num_classes": 5}))
    save_file(model.state_dict(), tmp_path / "trunk/model.safetensors")
    named = f"model.trunk={{name: '{prefix}{tmp_path / 'trunk'}'}}"
    trunk = build_model(recipe_with(recipe_file, named), classes=2).trunk
    assert torch.equal(trunk.net.state_dict()["conv1.0.weight"], model.state_dict()["conv1.0.weight"])
    result = train(recipe_with(recipe_file, named, "selection.on=last"), tmp_path / "run")
    assert resight.load_model(result.bundle).dim == 16


def test_a_file_of_weights_is_given_to_a_trunk_as_the_message_says(recipe_file, tmp_path, offline):
    with pytest.raises(WeightsUnavailable, match="give a file of them") as error:
        build_model(recipe_with(recipe_file, "model.trunk={name: bn_inception}"), classes=2)
    key = re.search(r"give a file of them: (\S+)=FILE", str(error.value))[1]
    state = TrunkConfig("bn_inception", pretrained=False).build().net.state_dict()
    torch.save(state, tmp_path / "own.pth")
    given = ["model.trunk={name: bn_inception}", f"{key}={tmp_path / 'own.pth'}"]
    trunk = build_model(recipe_with(recipe_file, *given), classes=2).trunk
    name = next(iter(state))
    assert torch.equal(trunk.net.state_dict()[name], state[name])


def test_a_step_longer_than_an_epoch_is_shortened_in_both_ways(recipe_file, tmp_path):
    too_long = "training.accumulate=9"
    with pytest.raises(InvalidInput, match="accumulate fewer batches or make them smaller"):
        train(recipe_with(recipe_file, too_long), tmp_path / "no")
    for number, followed in enumerate((["training.accumulate=2"], [too_long, "sampler.batch=3"])):
        train(recipe_with(recipe_file, *followed), tmp_path / str(number))
        assert checkpoints.read(tmp_path / str(number) / "checkpoints/last.pt").step > 0


def test_a_lower_rate_mends_a_training_that_diverged(recipe_file, tmp_path):
    with pytest.raises(TrainingDiverged, match="lower the learning rate"):
        train(recipe_with(recipe_file, "optimiser={kind: sgd, learning_rate: 1e30}"), tmp_path / "run")
    # In the same folder: nothing of the run before is in the way.
    train(recipe_with(recipe_file, "optimiser={kind: sgd, learning_rate: 1e-2}"), tmp_path / "run")


def test_curves_without_tensorboard_are_left_out_as_the_message_says(recipe_file, tmp_path, monkeypatch):
    whole = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return whole(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"log.tensorboard=false") as error:
        train(recipe_with(recipe_file, "log.tensorboard=true"), tmp_path / "run")
    setting = re.search(r"set (log\S+?)\)", str(error.value))[1]
    train(recipe_with(recipe_file, setting), tmp_path / "run")


def test_the_doctor_lists_every_broken_photo_as_the_message_says(recipe_file, made_photos, tmp_path, capsys):
    photos = tmp_path / "photos"
    for path in sorted(made_photos.rglob("*.png")):
        copy = photos / path.relative_to(made_photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    broken = sorted((photos / "train/class00").glob("*.png"))[:5]
    for path in broken:
        path.write_bytes(b"no photo")
    settings = [f"data.root={photos}", "data.packed={side: 36}"]
    with pytest.raises(InvalidInput, match=r"and 2 more \(resight doctor --json lists them all\)"):
        train(recipe_with(recipe_file, *settings), tmp_path / "run")
    assert main(["doctor", "folder", "--root", str(photos), "--json"]) == 1
    told = capsys.readouterr().out
    assert all(path.relative_to(photos).as_posix() in told for path in broken)


def test_an_altered_pack_is_deleted_and_made_anew_as_the_message_says(recipe_file, tmp_path):
    pack = tmp_path / "photos.pack"
    settings = [f"data.packed={{file: {pack}, side: 36}}"]
    train(recipe_with(recipe_file, *settings), tmp_path / "first")
    content = pack.read_bytes()
    pack.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InvalidInput, match="delete it and pack the photos anew"):
        train(recipe_with(recipe_file, *settings), tmp_path / "second")
    pack.unlink()
    train(recipe_with(recipe_file, *settings), tmp_path / "second")
    assert pack.read_bytes() == content


def test_a_folder_with_a_run_is_left_or_gone_on_with_as_the_message_says(recipe_file, tmp_path, capsys):
    line = ["train", str(recipe_file), "training.epochs=1", "--into", str(tmp_path / "run")]
    assert main(line) == 0
    assert main(line) == 1
    assert "continue it with --resume, or name another with --into" in capsys.readouterr().err
    assert main([*line, "--resume"]) == 0
    assert main([*line[:-1], str(tmp_path / "other")]) == 0
    assert main([*line, "seed=4", "--resume"]) == 1
    assert "or start another run with --into DIR" in capsys.readouterr().err
    assert main([*line[:-1], str(tmp_path / "third"), "seed=4"]) == 0


def test_after_ctrl_c_the_same_command_goes_on(recipe_file, tmp_path, caplog):
    settings = ["training.epochs=3", "log.checkpoint_steps=2", "log.checkpoint_epochs=0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(resight.__file__).parents[1])}
    run = tmp_path / "stopped"
    stopped = subprocess.run(
        [sys.executable, "-c", STOPPED, str(recipe_file), str(run), *settings],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert stopped.returncode == -signal.SIGINT, stopped.stderr
    assert checkpoints.read(run / "checkpoints/last.pt").step == 4
    line = ["train", str(recipe_file), *settings, "--into", str(run)]
    assert main([*line, "optimiser.learning_rate=2e-3"]) == 1
    assert main(line) == 0
    assert f"the run in {run} was not finished: it goes on after step 4" in caplog.text
    whole = train(Recipe.from_yaml(recipe_file, settings), tmp_path / "whole")
    assert bundles.read(run / "model.safetensors").fingerprint == bundles.read(whole.bundle).fingerprint


def test_a_home_in_an_override_or_a_recipe_is_the_users(recipe_file, made_photos, tmp_path, monkeypatch):
    """``data.root=~/photos`` in the help: shells leave it as it is."""
    monkeypatch.setenv("HOME", str(made_photos.parent))
    line = ["train", str(recipe_file), "training.epochs=1", "--into", str(tmp_path / "run")]
    assert main([*line, "data.root=~/photos"]) == 0
    train(recipe_with(recipe_file, "data.root=~/photos"), tmp_path / "again")
