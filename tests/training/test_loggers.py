"""Curves of a run in loggers that a recipe names: Fabric's, one's own, TensorBoard."""

import csv
import json
import sys
from pathlib import Path

import pytest

from resight.errors import InvalidInput, MissingExtra
from resight.training import Recipe, train
from resight.training.watch import TrainingDiverged


@pytest.fixture(autouse=True)
def own_loggers(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import own_loggers

    own_loggers.HELD.clear()
    return own_loggers


def run(recipe_file, folder, loggers, *more):
    settings = ["training.epochs=1", f"log.loggers={loggers}", *more]
    return train(Recipe.from_yaml(recipe_file, settings), folder, resume=True)


def test_fabrics_logger_gets_every_curve_in_the_runs_folder(recipe_file, tmp_path):
    kind = "lightning_fabric.loggers:CSVLogger"
    run(recipe_file, tmp_path / "run", f"[{{kind: '{kind}', name: curves, version: one}}]")
    with (tmp_path / "run/curves/one/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    logged = [row for row in rows if row["objective"]]
    assert [float(row["objective"]) for row in logged] == [line["objective"] for line in steps]
    assert [float(row["parts/ranking"]) for row in logged] == [line["parts"]["ranking"] for line in steps]
    rates = [line["learning_rates"]["model"] for line in steps]
    assert [float(row["learning rate/model"]) for row in logged] == rates
    (validation,) = [line for line in lines if line["kind"] == "validation"]
    (row,) = [row for row in rows if row["validation/map_at_r"]]
    assert float(row["validation/map_at_r"]) == validation["map_at_r"]


def test_an_own_logger_gets_its_options_the_recipe_and_the_end(recipe_file, tmp_path, own_loggers):
    options = "{kind: 'own_loggers:OwnLogger', colour: red, tags: [a, {b: [1]}]}"
    run(recipe_file, tmp_path / "run", f"[{options}, {{kind: 'own_loggers:Bare', project: p}}]")
    own, bare = own_loggers.HELD
    assert own.options == ("red", ["a", {"b": [1]}], tmp_path / "run")
    assert own.recipe["name"] == "made"
    assert own.recipe["log"]["loggers"][0] == {
        "kind": "own_loggers:OwnLogger",
        "colour": "red",
        "tags": ["a", {"b": [1]}],
    }
    assert [step for step, _ in own.points] == bare.points == [1, 2, 3, 4, 4]
    assert (own.status, bare.anything) == ("success", {"project": "p"})


def test_a_run_that_fails_says_so_to_its_loggers(recipe_file, tmp_path, own_loggers):
    sgd = "optimiser={kind: sgd, learning_rate: 1e30}"
    with pytest.raises(TrainingDiverged):
        run(recipe_file, tmp_path / "run", "[{kind: 'own_loggers:OwnLogger', colour: red}]", sgd)
    assert own_loggers.HELD[0].status == "failed"


def test_tensorboard_by_its_kind_is_written_once(recipe_file, tmp_path):
    run(recipe_file, tmp_path / "run", "[{kind: tensorboard}]", "log.tensorboard=true")
    assert len(list((tmp_path / "run/tensorboard").iterdir())) == 1


@pytest.mark.parametrize(
    ("logger", "text"),
    [
        ("{kind: 'own_loggers:OwnLoger'}", "no class 'OwnLoger' in own_loggers: did you mean 'OwnLogger'?"),
        ("{kind: 'no_such:Logger'}", "the module of no_such:Logger cannot be imported"),
        ("{kind: 'own_loggers:OwnLogger', color: red}", "no key 'color' here: did you mean 'colour'?"),
        ("{kind: 'own_loggers:OwnLogger'}", "the logger own_loggers:OwnLogger needs the option colour"),
        ("{kind: 'own_loggers:NoLogger'}", "is no logger: it has no method log_metrics"),
        ("{kind: wandb}", "there is no logger 'wandb': take tensorboard, or the class of another"),
        ("tensorboard", "a logger is written as a mapping with a key 'kind', not 'tensorboard'"),
    ],
)
def test_what_is_no_logger_is_told_when_the_recipe_is_read(recipe_file, logger, text):
    with pytest.raises(InvalidInput) as error:
        Recipe.from_yaml(recipe_file, [f"log.loggers=[{logger}]"])
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("logger", "text"),
    [
        ("own_loggers:Lacking", r"lacks a package \(No module named 'wandb'\): install it, or leave"),
        ("own_loggers:Refusing", "does not take its options: mode must be online, not offline"),
    ],
)
def test_what_a_logger_refuses_is_one_sentence(recipe_file, tmp_path, logger, text):
    option = ", mode: offline" if logger.endswith("Refusing") else ""
    with pytest.raises(InvalidInput, match=text):
        run(recipe_file, tmp_path / "run", f"[{{kind: '{logger}'{option}}}]")


def test_without_tensorboard_the_extra_is_named(recipe_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r"log\.tensorboard=false"):
        run(recipe_file, tmp_path / "run", "[]", "log.tensorboard=true")


def test_loggers_change_no_fingerprint(recipe_file):
    named = Recipe.from_yaml(recipe_file, ["log.loggers=[{kind: 'own_loggers:Bare'}]"])
    assert named.fingerprint == Recipe.from_yaml(recipe_file).fingerprint
    assert Recipe.from_values(named.model_dump(mode="json")) == named
