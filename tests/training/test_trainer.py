"""The loop: what it computes, what it keeps, where it stops, and that a killed run ends like a whole one."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import resight
from resight.cli.train import _print_outcome
from resight.datasets import load, validation_split
from resight.errors import InvalidInput
from resight.evaluation import compare, read_result
from resight.images.augment import ResizeRandomCrop
from resight.losses import MultiSimilarity
from resight.losses.centre_spread import distinct_centres
from resight.models import bundle as bundles
from resight.models.whitening_fit import fit_pca
from resight.pipelines.evaluate import Protocol, evaluate
from resight.training import Recipe, train
from resight.training import checkpoint as checkpoints
from resight.training.loading import DevicePhotos, PackedPhotos, PhotoFiles, in_order
from resight.training.network import Network, build_model
from resight.training.packed import PackedImages, pack
from resight.training.samplers import MPerClassSampler
from resight.training.watch import TrainingDiverged

pytestmark = pytest.mark.usefixtures("one_thread")

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from resight.training import Recipe, train
torch.set_num_threads(1)
def report(progress):
    if progress.step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
train(Recipe.from_yaml(sys.argv[1], sys.argv[3:]), Path(sys.argv[2]), report=report)
"""


def weights(run):
    state = checkpoints.read(run / "checkpoints" / "last.pt")
    return {**state.model, **{f"objective {name}": tensor for name, tensor in state.objective.items()}}


def of_bytes(images):
    """Returns the hash of a set's lists and of the hashes of its photos' files."""
    digests = [hashlib.sha256((images.root / path).read_bytes()).hexdigest() for path in images.paths]
    return hashlib.sha256((images.fingerprint + "".join(digests)).encode()).hexdigest()


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_two_steps_are_those_of_a_plain_loop(recipe_file, made_photos, tmp_path):
    recipe = Recipe.from_yaml(
        recipe_file,
        [
            "training.epochs=1",
            "training.accumulate=2",
            "selection.on=last",
            "optimiser={kind: sgd, learning_rate: 0.1}",
        ],
    )
    train(recipe, tmp_path / "run")
    images = load("folder", made_photos).train
    sampler, transform = MPerClassSampler(images.labels, 12, 3, 0), ResizeRandomCrop(32, 36)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Network(build_model(recipe, classes=1), ("descriptor",)).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    objectives = []
    for number, batch in enumerate(sampler.batches(0)[:4]):
        draws = np.random.default_rng([0x7A61F3, 0, 0, number]).random((12, 3))
        pixels = [
            transform.apply(images.photo(index).pixels, row) for index, row in zip(batch, draws, strict=True)
        ]
        described = network((torch.from_numpy(np.stack(pixels)),), None)["descriptor"][0]
        loss = MultiSimilarity()(described, torch.from_numpy(images.labels[batch]))
        (loss / 2).backward()
        objectives.append(loss.item())
        if number % 2:
            optimiser.step()
            optimiser.zero_grad()
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    expected = [np.mean(objectives[:2]), np.mean(objectives[2:4])]
    assert [line["objective"] for line in lines] == pytest.approx(expected, rel=1e-5)
    for name, tensor in weights(tmp_path / "run").items():
        torch.testing.assert_close(tensor, network.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_a_killed_run_goes_on_and_ends_bit_equal(recipe_file, tmp_path):
    settings = [
        "training.epochs=3",
        "training.average=0.9",
        "log.checkpoint_steps=2",
        "log.checkpoint_epochs=0",
        "model.trunk.options={drop_path_rate: 0.3}",
        "objective.0.loss={kind: cross_batch_memory, size: 20, loss: {kind: margin}}",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(resight.__file__).parents[1])}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(recipe_file), str(tmp_path / "killed"), *settings],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoints.read(tmp_path / "killed" / "checkpoints" / "last.pt").step == 4
    recipe = Recipe.from_yaml(recipe_file, settings)
    resumed = train(recipe, tmp_path / "killed", resume=True)
    whole = train(recipe, tmp_path / "whole")
    assert_equal(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    assert bundles.read(resumed.bundle).fingerprint == bundles.read(whole.bundle).fingerprint
    assert (resumed.best, resumed.history) == (whole.best, whole.history)
    logs = [
        [
            {key: value for key, value in json.loads(line).items() if key != "images_per_second"}
            for line in (tmp_path / name / "log.jsonl").read_text().splitlines()
        ]
        for name in ("killed", "whole")
    ]
    assert logs[0] == logs[1]


def test_sigterm_writes_a_checkpoint_and_ends_the_process(recipe_file, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(resight.__file__).parents[1])}
    settings = ["training.epochs=3", "log.checkpoint_epochs=0"]
    program = KILLED.replace("SIGKILL", "SIGTERM")
    ended = subprocess.run(
        [sys.executable, "-c", program, str(recipe_file), str(tmp_path / "ended"), *settings],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -signal.SIGTERM, ended.stderr
    assert checkpoints.read(tmp_path / "ended" / "checkpoints" / "last.pt").step == 5
    recipe = Recipe.from_yaml(recipe_file, settings)
    train(recipe, tmp_path / "ended", resume=True)
    train(recipe, tmp_path / "whole")
    assert_equal(weights(tmp_path / "ended"), weights(tmp_path / "whole"))


def test_a_run_may_go_on_for_more_epochs_and_for_nothing_else(recipe_file, tmp_path):
    run = tmp_path / "run"
    train(Recipe.from_yaml(recipe_file, ["training.epochs=1"]), run)
    for changes, keys in (
        (["training.epochs=1", "seed=3"], "seed"),
        (["training.epochs=4", "optimiser.learning_rate=2e-3"], "optimiser.learning_rate, training.epochs"),
        (
            ["training.epochs=1", "sampler.per_class=4", "data.test_transform.size=30"],
            "data.test_transform.size, sampler.per_class",
        ),
    ):
        with pytest.raises(InvalidInput, match=rf"cannot be resumed: {keys} changed since it began"):
            train(Recipe.from_yaml(recipe_file, changes), run, resume=True)
    train(Recipe.from_yaml(recipe_file, ["training.epochs=2"]), run, resume=True)
    train(Recipe.from_yaml(recipe_file, ["training.epochs=2"]), tmp_path / "whole")
    assert_equal(weights(run), weights(tmp_path / "whole"))


def test_neither_workers_nor_packing_nor_the_callers_random_state_change_anything(recipe_file, tmp_path):
    plain = train(Recipe.from_yaml(recipe_file, ["training.epochs=1"]), tmp_path / "plain")
    torch.rand(3)
    before = torch.get_rng_state()
    packed = f"data.packed={{file: {tmp_path / 'photos.pack'}, side: 36}}"
    again = train(
        Recipe.from_yaml(recipe_file, ["training.epochs=1", "training.workers=3", packed]), tmp_path / "b"
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert_equal(weights(tmp_path / "plain"), weights(tmp_path / "b"))
    assert bundles.read(plain.bundle).fingerprint == bundles.read(again.bundle).fingerprint


def test_a_pack_of_other_photos_is_made_anew(recipe_file, made_photos, tmp_path, caplog):
    """Names, sizes and times are those of the packed photos; the bytes are not."""
    other = tmp_path / "other"
    shutil.copytree(made_photos, other)
    for path in other.rglob("*.png"):
        before, bytes_before = path.stat(), path.stat().st_size
        Image.new("RGB", (48, 40)).save(path)
        path.write_bytes(path.read_bytes().ljust(bytes_before, b"\0"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    file = tmp_path / "photos.pack"
    settings = ["training.epochs=1", f"data.packed={{file: {file}, side: 36}}"]
    runs = [
        train(Recipe.from_yaml(recipe_file, [*settings, *more]), tmp_path / f"run{number}")
        for number, more in enumerate(([], [f"data.root={other}"], ["data.packed.side=38"], []))
    ]
    assert caplog.text.count("it is made anew") == 3
    first, black, _, again = (bundles.read(each.bundle).fingerprint for each in runs)
    assert first == again != black
    data = [
        json.loads((tmp_path / f"run{n}" / "result.json").read_text())["data_fingerprint"] for n in range(4)
    ]
    assert data[0] == data[2] == data[3] != data[1]


def test_a_pack_by_another_rule_is_made_anew(recipe_file, tmp_path, caplog):
    file = tmp_path / "photos.pack"
    for number, rule in enumerate(("stretch", "crop", "crop")):
        settings = ["training.epochs=1", f"data.packed={{file: {file}, side: 36, rule: {rule}}}"]
        train(Recipe.from_yaml(recipe_file, settings), tmp_path / str(number))
        assert PackedImages(file).rule == rule
    assert caplog.text.count("it is made anew") == 1


def test_a_pack_lies_in_the_runs_folder_and_a_run_there_is_refused_before_it_is_touched(
    recipe_file, tmp_path
):
    settings = ["training.epochs=1", "data.packed={side: 36}"]
    train(Recipe.from_yaml(recipe_file, settings), tmp_path / "run")
    before = (tmp_path / "run/photos.pack").read_bytes()
    with pytest.raises(InvalidInput, match="holds a run already"):
        train(Recipe.from_yaml(recipe_file, [*settings, "data.packed.side=40"]), tmp_path / "run")
    assert (tmp_path / "run/photos.pack").read_bytes() == before
    (tmp_path / "run/photos.pack").write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(InvalidInput, match=r"pixels .* have been altered"):
        train(Recipe.from_yaml(recipe_file, settings), tmp_path / "run", resume=True)


def test_the_bundle_describes_photos_and_the_folder_says_how_it_came_about(
    recipe_file, made_photos, tmp_path
):
    recipe = Recipe.from_yaml(recipe_file, ["training.epochs=1"])
    run = tmp_path / "run"
    result = train(recipe, run)
    model = resight.load_model(result.bundle)
    described = model.describe(sorted((made_photos / "test").glob("*/0.png")))
    assert described.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(described, axis=1), 1, atol=1e-5)
    assert Recipe.from_yaml(run / "recipe.yaml") == recipe
    said = json.loads((run / "result.json").read_text())
    assert said["selected"] == {
        "epoch": 1,
        "metric": "map_at_r",
        "value": result.best.value,
        "on": "validation",
    }
    assert said["selected_on_test"] is False
    assert said["bundle_fingerprint"] == model.fingerprint
    images = load("folder", made_photos)
    train_part, validation = validation_split(images.train, share=0.2, seed=0)
    assert said["data_fingerprint"] == of_bytes(train_part)
    assert said["validation_fingerprint"] == of_bytes(validation)
    # The mark of a build, such as +cu128, is not in every version of the package.
    kept = json.loads((run / "environment.json").read_text())["torch"]
    assert kept in (torch.__version__, torch.__version__.partition("+")[0])


def test_selection_on_the_test_classes_is_marked_and_on_the_last_epoch_trains_on_all_classes(
    recipe_file, made_photos, tmp_path
):
    images = load("folder", made_photos)
    for on, fingerprint in (("test", of_bytes(images.test)), ("last", "")):
        settings = ["training.epochs=1", f"selection.on={on}"]
        result = train(Recipe.from_yaml(recipe_file, settings), tmp_path / on)
        said = json.loads((tmp_path / on / "result.json").read_text())
        assert said["selected_on_test"] is (on == "test")
        assert said["validation_fingerprint"] == fingerprint
        assert said["data_fingerprint"] == of_bytes(images.train)
        assert (result.best is None) is (on == "last")


@pytest.mark.parametrize("on", ["validation", "last", "test"])
@pytest.mark.parametrize(
    "transform",
    ["{kind: stretch, size: 32}", "{kind: centre_crop, size: 32, resize: 38}", "{kind: long_side, size: 30}"],
)
def test_training_and_evaluate_measure_the_same(recipe_file, made_photos, tmp_path, on, transform):
    settings = ["training.epochs=1", f"selection.on={on}", f"data.test_transform={transform}"]
    result = train(Recipe.from_yaml(recipe_file, settings), tmp_path / "run")
    measured = evaluate(result.bundle, "folder", made_photos, Protocol(clusters=False)).result
    assert {each.name: each.value for each in measured.measures} == result.test
    assert json.loads((tmp_path / "run/result.json").read_text())["test"] == result.test
    assert read_result(tmp_path / "run/test.json") == measured
    if on == "test":
        assert result.best.value == pytest.approx(result.test["MAP@R"], abs=1e-6)
    selections = {
        "validation": "held-out training classes: the best epoch by map_at_r",
        "last": "the last epoch",
    }
    assert measured.card.selection == selections.get(on, "test classes: the best epoch by map_at_r")
    fact, *always = measured.card.facts
    assert (fact.name, fact.text.endswith(", as in training")) == ("photos shown", True)
    whole = evaluate(result.bundle, "folder", made_photos, Protocol(clusters=False, as_trained=False)).result
    # What every card says: what was drawn, and which bytes.
    assert [each.name for each in whole.card.facts] == [each.name for each in always]
    assert len(always) == 3
    assert whole.card.max_side == Recipe.from_yaml(recipe_file, settings).data.test_transform.size


@pytest.mark.parametrize("name", ["small-gem", "small-cgd", "small-softtriple", "small-delg", "small-dolg"])
def test_small_recipes_choose_by_the_figure_that_evaluate_gives(made_photos, tmp_path, name):
    """From a pack of stretched photos and at several scales, by a transform that keeps proportions."""
    settings = [
        "benchmark=folder",
        f"data.root={made_photos}",
        "data.packed={side: 72}",
        "data.train_transform={kind: resize_random_crop, size: 64, resize: 72}",
        "data.test_transform={kind: long_side, size: 64}",
        "sampler={kind: m_per_class, batch: 12, per_class: 3}",
        "model.trunk={name: test_resnet, pretrained: false}",
        "training={epochs: 1, workers: 1, device: cpu}",
        "selection.on=test",
        "log.tensorboard=false",
        *(["model.without_stride=null"] if name == "small-cgd" else []),
        *(["model.dilations=[1]"] if name == "small-dolg" else []),
    ]
    result = train(Recipe.from_yaml(name, settings), tmp_path / "run")
    measured = evaluate(result.bundle, "folder", made_photos, Protocol(clusters=False)).result
    assert {each.name: each.value for each in measured.measures} == result.test
    assert result.best.value == pytest.approx(result.test["MAP@R"], abs=1e-6)


def write_table(folder, rows):
    """Writes a table of some of the made photos, and returns its path."""
    lines = [
        f"{split}/class{number:02d}/{each}.png,{label},{part}" for split, number, each, label, part in rows
    ]
    path = folder / "labels.csv"
    path.write_text("\n".join(["path,label,split", *lines]) + "\n")
    return path


def made_rows(validation):
    """Eight classes to train, the last three of the made ones to test, and what is given to validate."""
    train = [("train", number, each, number, "train") for number in range(8) for each in range(4)]
    test = [("test", number, each, number, "test") for number in (10, 11, 12) for each in range(6)]
    return [*train, *test, *validation]


@pytest.mark.parametrize(
    ("validation", "words", "marked"),
    [
        (
            [("train", n, each, n, "val") for n in (8, 9) for each in range(6)],
            "validation photos of 2 classes, none of them trained",
            False,
        ),
        (
            [("train", n, each, n, "valid") for n in range(8) for each in (4, 5)],
            "validation photos of 8 classes, all of them trained",
            False,
        ),
        (
            [("train", n, each, n, "validation") for n in (7, 8) for each in (4, 5)],
            "validation photos of 2 classes, 1 of them trained",
            False,
        ),
        (
            [("test", 10, each, 10, "val") for each in range(6)]
            + [("train", 8, each, 8, "val") for each in range(6)],
            "test classes (validation photos, 1 of their 2 classes)",
            True,
        ),
    ],
)
def test_a_tables_validation_photos_choose_the_weights(
    recipe_file, made_photos, tmp_path, validation, words, marked
):
    photos = tmp_path / "photos"
    shutil.copytree(made_photos, photos)
    table = write_table(photos, made_rows(validation))
    settings = ["data.benchmark=table", f"data.root={table}", "training.epochs=1", "sampler.batch=6"]
    run = tmp_path / "run"
    result = train(Recipe.from_yaml(recipe_file, settings), run)
    benchmark = load("table", table)
    said = json.loads((run / "result.json").read_text())
    assert said["data_fingerprint"] == of_bytes(benchmark.train)
    assert said["validation_fingerprint"] == of_bytes(benchmark.validation)
    assert said["selected_on_test"] is marked
    on_test, on_validation = (
        evaluate(result.bundle, "table", table, Protocol(clusters=False, split=split)).result
        for split in ("test", "validation")
    )
    assert on_test == read_result(run / "test.json")
    assert on_test.card.selection == f"{words}: the best epoch by map_at_r"
    assert (on_test.card.split, on_validation.card.split) == ("test", "validation")
    assert on_validation.card.images == len(benchmark.validation)
    measured = {each.name: each.value for each in on_validation.measures}
    assert measured["MAP@R"] == pytest.approx(result.best.value, abs=1e-6)
    trained = len(set(benchmark.validation.label_names) & set(benchmark.train.label_names))
    facts = {fact.name: fact.text for fact in on_validation.card.facts}
    told = f"{trained} of {benchmark.validation.classes} are training classes too"
    assert facts.get("classes") == (told if trained else None)


def test_how_a_model_was_chosen_travels_with_it(recipe_file, made_photos, tmp_path):
    results = {
        on: train(Recipe.from_yaml(recipe_file, ["training.epochs=1", f"selection.on={on}"]), tmp_path / on)
        for on in ("test", "validation")
    }
    model = resight.load_model(results["test"].bundle)
    assert model.training["transform"] == {"kind": "stretch", "size": 32}
    described = model.describe(sorted((made_photos / "train").glob("*/*.png")))
    whitened = model.whitened(fit_pca(described, 8, provenance="made"), name="w")
    bundles.write(whitened.to_bundle(), tmp_path / "w.safetensors")
    assert resight.load_model(tmp_path / "w.safetensors").training == model.training
    on_test, chosen = (read_result(tmp_path / on / "test.json") for on in ("test", "validation"))
    assert compare(on_test, chosen).warnings == (
        f"The first model, {on_test.card.model}, was chosen on the test classes and the other was not: "
        "its numbers are too high to compare.",
    )
    assert "The second model" in compare(chosen, on_test).warnings[0]
    assert compare(on_test, on_test).warnings == compare(chosen, chosen).warnings == ()
    stated = evaluate(
        results["test"].bundle, "folder", made_photos, Protocol(clusters=False, selection="mine")
    )
    assert stated.result.card.selection == "mine"


def test_distinct_centres_are_logged_every_epoch(recipe_file, tmp_path, capsys):
    settings = [
        "objective=[{name: ranking, loss: {kind: soft_triple, centres: 3}},"
        " {name: near, loss: {kind: hard_triple, centres: 2}}]",
        "groups=[{pattern: objective.*, rate: 300}]",
        "log.tensorboard=true",
    ]
    result = train(Recipe.from_yaml(recipe_file, settings), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    logged = [line for line in lines if line["kind"] == "centres"]
    assert [line["epoch"] for line in logged] == [1, 2]
    state = weights(tmp_path / "run")
    for name, most in (("ranking", 3), ("near", 2)):
        counts = distinct_centres(state[f"objective losses.{name}.centres"]).tolist()
        expected = [counts.count(number) for number in range(1, most + 1)]
        assert logged[-1]["parts"][name] == expected == list(result.distinct_centres[name])
        assert sum(expected) == 8
    said = json.loads((tmp_path / "run/result.json").read_text())
    assert said["distinct_centres"] == logged[-1]["parts"]
    _print_outcome(result)
    mean = np.mean(distinct_centres(state["objective losses.ranking.centres"]).numpy())
    assert f"Distinct centres of ranking: {mean:.2f} a class, of 3." in capsys.readouterr().out


def test_the_best_epoch_is_kept_not_the_last(recipe_file, tmp_path):
    settings = ["training.epochs=3", "data.train_transform.mirror=0.0", "optimiser.learning_rate=0.02"]
    result = train(Recipe.from_yaml(recipe_file, settings), tmp_path / "run")
    values = [each["map_at_r"] for each in result.history]
    assert result.best.value == max(values)
    assert result.best.epoch == values.index(max(values)) + 1
    kept = checkpoints.read_weights(tmp_path / "run" / "checkpoints" / "best.pt")
    written = bundles.read(result.bundle).tensors
    for name, tensor in written.items():
        np.testing.assert_array_equal(tensor, kept[f"model.{name}"].numpy())


def test_the_bundle_holds_the_average_of_the_weights_after_every_step(recipe_file, tmp_path):
    def trained(epochs, average):
        settings = [
            f"training.epochs={epochs}",
            f"training.average={average}",
            "training.accumulate=5",
            "selection.on=last",
        ]
        run = tmp_path / f"{epochs} {average}"
        result = train(Recipe.from_yaml(recipe_file, settings), run)
        assert checkpoints.read(run / "checkpoints" / "last.pt").step == epochs
        return bundles.read(result.bundle).tensors

    # One step an epoch. The decay is (1 + 1) / (10 + 1) where the second step is taken in.
    first, second, both = trained(1, 0.99), trained(2, "null"), trained(2, 0.99)
    moved = 0
    for name, tensor in both.items():
        if tensor.dtype.kind == "f":
            expected = 2 / 11 * first[name] + 9 / 11 * second[name]
            np.testing.assert_allclose(tensor, expected, rtol=1e-4, atol=1e-6, err_msg=name)
            moved += np.abs(tensor - second[name]).max() > 1e-5
    assert moved > 10


def test_frozen_statistics_and_frozen_groups_stay_as_they_are(recipe_file, tmp_path):
    settings = [
        "training.epochs=1",
        "training.batch_norm=frozen",
        "groups=[{pattern: model.trunk.*, frozen_epochs: 1}]",
        "selection.on=last",
    ]
    recipe = Recipe.from_yaml(recipe_file, settings)
    train(recipe, tmp_path / "run")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        start = Network(build_model(recipe, classes=1), ("descriptor",)).state_dict()
    for name, tensor in weights(tmp_path / "run").items():
        assert torch.equal(tensor, start[name]) is ("trunk" in name), name


@pytest.mark.parametrize("per_channel", [False, True], ids=["shared", "per channel"])
def test_exponents_that_a_step_takes_below_zero_are_bounded_and_the_bundle_reads_back(
    recipe_file, tmp_path, per_channel
):
    # Decay alone takes 3 to 3 - 3 * .001 * 1000 * 2 in one step.
    settings = [
        "training.epochs=1",
        f"model.pooling={{kind: gem, per_channel: {str(per_channel).lower()}}}",
        "optimiser={kind: adamw, learning_rate: 1e-3}",
        "groups=[{pattern: model.pooling.p, rate: 1000, weight_decay: 2}]",
        "selection.on=last",
    ]
    result = train(Recipe.from_yaml(recipe_file, settings), tmp_path / "run")
    held = np.array(bundles.read(result.bundle).settings["pooling"]["p"])
    assert len(held) == (96 if per_channel else 1)
    assert 0.0999 < held.min() < 0.2
    assert resight.load_model(result.bundle).dim == 16


def test_a_run_that_diverges_stops_and_names_the_step_and_the_parts(recipe_file, tmp_path):
    recipe = Recipe.from_yaml(recipe_file, ["optimiser={kind: sgd, learning_rate: 1e30}", "log.every=50"])
    with pytest.raises(TrainingDiverged, match=r"diverged at step \d: the objective is .*ranking") as error:
        train(recipe, tmp_path / "run")
    assert 1 < error.value.step <= 3
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert not (tmp_path / "run" / "checkpoints" / "last.pt").exists()


def test_a_used_folder_and_a_checkpoint_of_another_recipe_are_refused(recipe_file, tmp_path):
    recipe = Recipe.from_yaml(recipe_file, ["training.epochs=1"])
    train(recipe, tmp_path / "run")
    with pytest.raises(InvalidInput, match="holds a run already"):
        train(recipe, tmp_path / "run")
    other = Recipe.from_yaml(recipe_file, ["training.epochs=1", "seed=4"])
    with pytest.raises(InvalidInput, match="cannot be resumed: seed changed since it began"):
        train(other, tmp_path / "run", resume=True)


def test_cgd_trains_branches_and_logits_in_half_precision_from_photos_of_any_size(recipe_file, tmp_path):
    recipe = Recipe.from_yaml(
        recipe_file,
        [
            "training.epochs=1",
            "training.precision=bf16",
            "data.train_transform={kind: long_side, size: 40}",
            "data.test_transform={kind: long_side, size: 40}",
            "model={kind: cgd, trunk: {name: test_resnet, pretrained: false}, configuration: MG, dim: 32}",
            "objective=[{name: each, output: branches, loss: {kind: proxy_nca}},"
            " {name: auxiliary, output: logits, loss: {kind: classification}}]",
        ],
    )
    train(recipe, tmp_path / "run")
    line = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    assert list(line["parts"]) == ["each", "auxiliary"]
    state = weights(tmp_path / "run")
    assert state["objective losses.each.1.proxies"].shape == (8, 16)
    assert state["model.classifier.weight"].dtype == torch.float32


def test_crops_on_a_device_are_those_of_the_transform(made_photos, tmp_path):
    images = load("folder", made_photos).train
    packed = pack(images, tmp_path / "photos.pack", side=36, workers=1)
    transform = ResizeRandomCrop(30, 36)
    indices = np.array([5, 0, 17, 5])
    numbers = np.random.default_rng(0).random((4, 3))
    numbers[:2, 2] = 0.1, 0.9
    on_device = DevicePhotos(packed, images, torch.device("cpu")).transformed(indices, transform, numbers)
    copied = PackedPhotos(packed, images).transformed(indices, transform, numbers)
    assert torch.equal(on_device[0], copied[0])
    read = torch.cat(PhotoFiles(images).transformed(indices, transform, numbers))
    assert torch.equal(read, copied[0])


def test_photos_of_several_sizes_go_through_in_groups_and_come_back_in_order():
    photos = [
        torch.full((1, rows, 4, 3), value, dtype=torch.uint8) for value, rows in enumerate((4, 6, 4, 5, 6))
    ]
    groups, order = in_order(photos, torch.device("cpu"))
    assert [tuple(group.shape) for group in groups] == [(2, 4, 4, 3), (2, 6, 4, 3), (1, 5, 4, 3)]
    joined = torch.cat([group[:, 0, 0, 0] for group in groups])
    assert joined[order].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["result.json", "log.jsonl", "checkpoints", "checkpoints/last.pt"])
def test_a_run_writes_through_no_link_in_its_folder(recipe_file, tmp_path, name):
    run, mine = tmp_path / "run", tmp_path / "mine"
    (run / name).parent.mkdir(parents=True)
    mine.write_text("keep me")
    (run / name).symlink_to(mine)
    recipe = Recipe.from_yaml(recipe_file)
    for resume in (False, True):
        with pytest.raises(InvalidInput, match=f"{name} is a symbolic link"):
            train(recipe, run, resume=resume)
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(InvalidInput, match=f"{name} is a pipe"):
        train(recipe, run, resume=True)
    assert mine.read_text() == "keep me"
