"""Weights chosen on a landmark benchmark: what is measured while training is what evaluate measures."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import resight
from resight.datasets import open_landmarks
from resight.errors import InvalidInput
from resight.evaluation import compare
from resight.models import bundle as bundles
from resight.pipelines.evaluate import Protocol, evaluate
from resight.training import Recipe, train

_SPEC = importlib.util.spec_from_file_location(
    "landmark_photos", Path(__file__).parents[1] / "evaluation" / "landmark_photos.py"
)
landmark_photos = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(landmark_photos)

pytestmark = pytest.mark.usefixtures("one_thread")

SCRIPT = Path(__file__).with_name("landmarks_at_any_number.py")
MODELS = {
    "gem": ["model={kind: gem, trunk: {name: test_resnet, pretrained: false}}", "use.scales=[1.0, 0.7]"],
    "dolg": [
        "model={kind: dolg, trunk: {name: test_resnet, pretrained: false}, dim: 16, dilations: [1]}",
        "training.precision=fp64",
    ],
    "delg": [
        "model={kind: delg, trunk: {name: test_resnet, pretrained: false}, dim: 16, local_dim: 8}",
        "objective=[{name: ranking, loss: {kind: arcface}}]",
        "training.average=0.5",
    ],
}


@pytest.fixture
def landmarks(tmp_path):
    landmark_photos.write_landmarks(tmp_path / "landmarks")
    return tmp_path / "landmarks"


def settings_for(landmarks, *more):
    chosen = f"selection={{on: landmarks, landmarks: {{root: '{landmarks}'}}}}"
    return ["use.max_side=64", chosen, *more]


@pytest.mark.parametrize("kind", MODELS)
def test_the_best_weights_measure_what_was_logged(recipe_file, made_photos, landmarks, tmp_path, kind):
    recipe = Recipe.from_yaml(recipe_file, settings_for(landmarks, *MODELS[kind]))
    run = tmp_path / "run"
    result = train(recipe, run)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    logged = [line for line in lines if line["kind"] == "validation"]
    assert [line["epoch"] for line in logged] == [1, 2]
    assert {"map_easy", "map_medium", "map_hard", "mp_at_5_medium"} < set(logged[0])
    best = max(logged, key=lambda line: line["map_medium"])
    assert (result.best.on, result.best.metric, result.best.value) == (
        "landmarks",
        "map_medium",
        best["map_medium"],
    )
    measured = evaluate(result.bundle, "revisited", landmarks).result
    for each in measured.measures:
        name = each.quantity.name.lower().replace("@", "_at_").replace(" ", "_")
        assert each.value == pytest.approx(best[name], abs=1e-9), name
    truth = open_landmarks("revisited", landmarks).truth
    chosen = f"the landmarks of made ({truth.fingerprint[:16]}): the best epoch by map_medium"
    figure = f", {result.best.value:.4f} after {result.best.epoch} epochs"
    assert measured.card.selection == chosen + figure
    labelled = evaluate(result.bundle, "folder", made_photos, Protocol(clusters=False)).result
    assert labelled.card.selection == chosen + figure
    assert {each.name: each.value for each in labelled.measures} == result.test


@pytest.mark.slow
def test_two_processes_choose_as_one_does(recipe_file, landmarks, tmp_path):
    settings = settings_for(landmarks, *MODELS["gem"], "training.batch_norm=frozen")
    settings.append("training.precision=fp64")
    train(Recipe.from_yaml(recipe_file, settings), tmp_path / "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(SCRIPT), str(recipe_file), str(tmp_path / "two"), *settings],
        env={**os.environ, "PYTHONPATH": str(Path(resight.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    chosen = []
    for run in (tmp_path / "one", tmp_path / "two"):
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        # The first process alone measures and writes.
        logged = [line for line in lines if line["kind"] == "validation"]
        assert [line["epoch"] for line in logged] == [1, 2]
        chosen.append([line[name] for line in logged for name in ("map_medium", "map_hard")])
        assert bundles.read_header(run / "model.safetensors").fingerprint
    assert chosen[1] == pytest.approx(chosen[0])


def test_all_classes_are_trained_and_all_bytes_count(recipe_file, made_photos, landmarks, tmp_path):
    settings = settings_for(landmarks, "training.epochs=1", "selection.every=3")
    train(Recipe.from_yaml(recipe_file, settings), tmp_path / "run")
    said = json.loads((tmp_path / "run/result.json").read_text())
    train(Recipe.from_yaml(recipe_file, ["training.epochs=1", "selection.on=last"]), tmp_path / "last")
    assert (
        said["data_fingerprint"]
        == json.loads((tmp_path / "last/result.json").read_text())["data_fingerprint"]
    )
    folder = open_landmarks("revisited", landmarks)
    paths = (*folder.queries, *folder.database)
    digests = [hashlib.sha256((landmarks / path).read_bytes()).hexdigest() for path in paths]
    whole = hashlib.sha256("".join([folder.truth.fingerprint, *digests]).encode()).hexdigest()
    assert said["validation_fingerprint"] == whole
    assert said["selected_on_test"] is False


def test_a_comparison_on_the_photos_that_chose_one_side_is_warned_of(recipe_file, landmarks, tmp_path):
    chosen, last = (
        train(Recipe.from_yaml(recipe_file, settings), tmp_path / name)
        for name, settings in (
            ("chosen", settings_for(landmarks, "training.epochs=1")),
            ("last", ["training.epochs=1", "selection.on=last"]),
        )
    )
    results = [evaluate(each.bundle, "revisited", landmarks).result for each in (chosen, last)]
    (warning,) = compare(*results).warnings
    assert "was chosen on these very photos and the other was not" in warning
    assert compare(results[0], results[0]).warnings == ()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["selection.landmarks.task=meduim"], "made has no task 'meduim': did you mean 'medium'"),
        (["selection.landmarks.benchmark=rofxord5k"], "no benchmark 'rofxord5k', did you mean roxford5k"),
        (["selection.landmarks.benchmark=cub200"], "cub200 is no landmark benchmark"),
        (["selection.landmarks.root=nowhere"], "there is no folder nowhere"),
        (["selection.on=last"], "on: landmarks and landmarks: {root: DIR} go together"),
        (["selection={on: landmarks}"], "on: landmarks and landmarks: {root: DIR} go together"),
    ],
)
def test_what_cannot_choose_is_refused_before_training(recipe_file, landmarks, tmp_path, more, words):
    with pytest.raises(InvalidInput, match=words):
        train(Recipe.from_yaml(recipe_file, settings_for(landmarks, *more)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_missing_photos_are_named_before_training(recipe_file, landmarks, tmp_path):
    (landmarks / "jpg/place1_0.jpg").unlink()
    with pytest.raises(InvalidInput, match=r"lacks jpg/place1_0.jpg \(1 of 20 photos are missing\)"):
        train(Recipe.from_yaml(recipe_file, settings_for(landmarks)), tmp_path / "run")


def test_recipes_without_landmarks_keep_their_fingerprints_and_the_place_changes_none(recipe_file, landmarks):
    assert "landmarks" not in Recipe.from_yaml(recipe_file).model_dump(mode="json")["selection"]
    here, there = (Recipe.from_yaml(recipe_file, settings_for(root)) for root in (landmarks, "elsewhere"))
    assert here.fingerprint == there.fingerprint != Recipe.from_yaml(recipe_file).fingerprint
