"""``resight train``: a run from a command line, its resumption, and what it says of mistakes."""

import importlib.util
import json
from pathlib import Path

import pytest

from resight import training
from resight.cli import main
from resight.cli.train import processes_of
from resight.cli.train_progress import speed
from resight.errors import InvalidInput
from resight.training import Processes

_SPEC = importlib.util.spec_from_file_location(
    "made_recipes", Path(__file__).parents[1] / "training" / "made_recipes.py"
)
made_recipes = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(made_recipes)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_recipes.write_photos(tmp_path / "photos", train=5, test=2, each=4)
    made_recipes.write_recipe(tmp_path, tmp_path / "photos")
    return "made.yaml"


def test_a_run_leaves_a_bundle_and_can_be_resumed(recipe, capsys):
    line = ["train", recipe, "training.epochs=1", "sampler.per_class=4", "sampler.batch=8"]
    assert main([*line, "log.tensorboard=true"]) == 0
    said = capsys.readouterr()
    assert "Best map_at_r" in said.out
    assert "resight index PHOTOS --model runs/made/model.safetensors" in said.out
    assert "Training made: step 2 of 2, epoch 1 of 1, ranking" in said.err
    assert "images/s" in said.err
    assert list(Path("runs/made/tensorboard").iterdir())
    assert main(["train", recipe, *line[2:]]) == 1
    assert "holds a run already: continue it with --resume" in capsys.readouterr().err
    assert main([*line, "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["on"] == "validation"


def test_mistakes_are_one_sentence(recipe, capsys):
    assert main(["train", recipe, "training.epoch=1"]) == 1
    said = capsys.readouterr().err
    assert "training: there is no key 'epoch' here: did you mean 'epochs'?" in said
    assert said.count("\n") == 1
    assert main(["train", "nothing.yaml"]) == 1
    assert "cannot read nothing.yaml: No such file" in capsys.readouterr().err


def test_torchrun_says_how_many_processes_there_are():
    assert processes_of({}) == Processes(1, 1)
    assert processes_of({"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}) == Processes(4, 2)
    with pytest.raises(InvalidInput, match="start with torchrun"):
        processes_of({"WORLD_SIZE": "many"})
    with pytest.raises(InvalidInput, match="every machine must run as many"):
        processes_of({"WORLD_SIZE": "5", "LOCAL_WORLD_SIZE": "4"})


def test_a_slow_rate_is_not_told_as_none():
    assert [speed(value) for value in (1234.4, 10.2, 0.3912)] == ["1,234", "10", "0.39"]


def test_a_run_has_its_folder_by_either_option(recipe, capsys):
    line = ["train", recipe, "training.epochs=1", "sampler.per_class=4", "sampler.batch=8"]
    assert main([*line, "--into", "here"]) == 0
    assert main([*line, "--run", "there"]) == 0
    assert Path("here/result.json").is_file()
    assert Path("there/result.json").is_file()
    assert main([*line, "name=../../escaped"]) == 1
    assert "'../../escaped' is no name for a run: one name holds none of" in capsys.readouterr().err


def test_every_option_passes_through_torchrun(capsys):
    from torch.distributed.run import parse_args
    from typer.main import get_command

    from resight.cli.app import build

    options = [name for each in get_command(build()).commands["train"].params for name in each.opts]
    line = ["--nproc-per-node", "2", "-m", "resight", "train", "r.yaml"]
    passing = [name for name in options if name.startswith("--") and name != "--run"]
    assert "--into" in passing
    for option in passing:
        for ending in ([option, "x"], [f"{option}=x"]):
            assert parse_args([*line, *ending]).training_script_args == ["train", "r.yaml", *ending]


def test_the_precision_that_was_chosen_is_printed(recipe, capsys):
    line = ["train", recipe, "training.epochs=1", "sampler.per_class=4", "sampler.batch=8"]
    assert main([*line, "training.precision=auto"]) == 0
    said = capsys.readouterr()
    precision = json.loads(Path("runs/made/result.json").read_text())["precision"]
    assert f"resight: precision {precision}: this processor" in said.err
    assert f"0.4 million parameters, {precision}, " in said.out


def test_processes_are_started_with_the_options_that_were_given(recipe, monkeypatch):
    started = []
    monkeypatch.setattr(training, "launch", lambda command, wanted: started.append((command, wanted)))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    line = ["train", recipe, "training.epochs=1", "--run", "mine", "--resume", "--processes", "2"]
    assert main([*line, "--restarts", "3", "--import", "json"]) == 0
    ((command, wanted),) = started
    assert command == [
        *("-m", "resight", "--import=json", "train", recipe, "training.epochs=1"),
        *("--into", "mine", "--resume"),
    ]
    assert wanted == training.Launch(2, restarts=3)


def test_processes_that_torchrun_has_started_start_no_others(recipe, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "0")
    assert main(["train", recipe, "--processes", "2"]) == 1
    assert "torchrun has started this process: leave out --processes" in capsys.readouterr().err
