"""The precision that a recipe leaves to the machine: what decides, where it is said, and that it stays."""

import json
import logging

import pytest
import torch

import resight
from resight.errors import InvalidInput
from resight.training import Recipe, precision, train
from resight.training.precision import choose_precision, has_bfloat16_units

AUTO = ["training.epochs=1", "training.precision=auto"]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Makes the processor another one: its flags, and how long a convolution takes in either precision."""

    def make(flags, *, fp32=1.0, bf16=1.0):
        file = tmp_path / "cpuinfo"
        file.write_text(f"processor : 0\nflags : fpu avx512f {flags} sse\n", encoding="utf-8")
        monkeypatch.setattr(precision, "_PROCESSOR", file)
        monkeypatch.setattr(precision, "_seconds", lambda _: (fp32, bf16))
        choose_precision.cache_clear()

    yield make
    choose_precision.cache_clear()


@pytest.mark.parametrize(
    ("flags", "seconds", "chosen", "reason"),
    [
        ("avx512_bf16", (3.0, 1.0), "bf16", "convolves 3.0 times as fast in bfloat16 as in float32"),
        ("amx_bf16 amx_tile", (2.0, 1.0), "bf16", "2.0 times"),
        ("bf16", (1.5, 1.0), "bf16", "1.5 times"),
        ("avx512_bf16", (1.0, 6.0), "fp32", "has units for bfloat16, and is 6.0 times as slow with them"),
        ("avx512_vnni", (9.0, 1.0), "fp32", "this processor has no units for bfloat16"),
        ("", (9.0, 1.0), "fp32", "no units"),
    ],
)
def test_units_and_a_measurement_decide(machine, flags, seconds, chosen, reason):
    machine(flags, fp32=seconds[0], bf16=seconds[1])
    choice = choose_precision("cpu")
    assert (choice.precision, reason in choice.reason) == (chosen, True)


def test_without_a_list_of_the_processors_instructions_there_are_no_units(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "_PROCESSOR", tmp_path / "none")
    assert has_bfloat16_units("cpu") is False


def test_the_measurement_takes_both_precisions_and_leaves_the_generator_alone():
    before = torch.get_rng_state()
    assert min(precision._seconds("cpu")) > 0
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_the_default_and_stored_fingerprints_hold(recipe_file):
    recipe_file.write_text(recipe_file.read_text().replace(", precision: fp32", ""))
    recipe = Recipe.from_yaml(recipe_file)
    assert recipe.training.precision == "auto"
    prints = {
        name: Recipe.from_yaml(recipe_file, [f"training.precision={name}"]).fingerprint
        for name in ("auto", "fp32", "bf16")
    }
    assert recipe.fingerprint == prints["auto"] == prints["fp32"] != prints["bf16"]


@pytest.mark.parametrize(("flags", "chosen"), [("avx512_bf16", "bf16"), ("", "fp32")])
def test_what_was_chosen_is_logged_and_stands_in_the_runs_files(
    machine, recipe_file, tmp_path, caplog, flags, chosen
):
    machine(flags, fp32=2.0)
    caplog.set_level(logging.INFO, logger="resight")
    run = tmp_path / "run"
    outcome = train(Recipe.from_yaml(recipe_file, AUTO), run)
    assert f"precision {chosen}: this processor" in caplog.text
    assert outcome.precision == chosen
    assert json.loads((run / "result.json").read_text())["precision"] == chosen
    assert json.loads((run / "environment.json").read_text())["precision"] == chosen
    assert Recipe.from_yaml(run / "recipe.yaml").training.precision == chosen
    assert resight.load_model(outcome.bundle).training["precision"] == chosen
    explicit = Recipe.from_yaml(recipe_file, [AUTO[0], f"training.precision={chosen}"])
    assert json.loads((run / "result.json").read_text())["recipe_fingerprint"] == explicit.fingerprint


def test_a_resumed_run_keeps_the_precision_it_began_with(machine, recipe_file, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="resight")
    run = tmp_path / "run"
    machine("avx512_bf16", fp32=2.0)
    train(Recipe.from_yaml(recipe_file, AUTO), run)
    machine("")
    longer = Recipe.from_yaml(recipe_file, ["training.epochs=2", "training.precision=auto"])
    assert train(longer, run, resume=True).precision == "bf16"
    assert "precision bf16, as the run began" in caplog.text
    with pytest.raises(InvalidInput, match=r"cannot be resumed: training.epochs, training.precision changed"):
        train(Recipe.from_yaml(recipe_file, ["training.epochs=3"]), run, resume=True)


def test_what_a_device_cannot_do_is_told(machine, recipe_file, tmp_path, caplog):
    machine("avx2")
    with pytest.raises(
        InvalidInput, match=r"training.precision=fp16 needs a GPU: on a CPU take auto, which is"
    ):
        train(Recipe.from_yaml(recipe_file, ["training.precision=fp16"]), tmp_path / "fp16")
    train(Recipe.from_yaml(recipe_file, ["training.epochs=1", "training.precision=bf16"]), tmp_path / "bf16")
    assert "bf16 on a processor without units for bfloat16: a step takes several times as long" in caplog.text


def test_sharded_classes_in_fp16_and_a_share_of_undivided_ones_are_refused(recipe_file, tmp_path):
    for overrides, words in (
        (
            ["training.classes=sharded", "training.precision=fp16"],
            "sharded cannot be trained in fp16",
        ),
        (["training.class_share=0.5"], "training.class_share=0.5 draws from the classes of each process"),
    ):
        with pytest.raises(InvalidInput, match=words):
            train(Recipe.from_yaml(recipe_file, overrides), tmp_path / "run")
