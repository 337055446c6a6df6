"""Processes: a batch is dealt out evenly, and any number of them computes the same."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import resight
from resight.errors import InvalidInput
from resight.training import Processes, Recipe, trainer
from resight.training.batch_norm import SynchronisedBatchNorm
from resight.training.loading import Batch
from resight.training.parallel import gather, part_of
from resight.training.position import Position
from resight.training.run_folder import RunFolder
from resight.training.termination import Termination

SCRIPT = Path(__file__).with_name("same_at_any_number.py")
SETTINGS = """
optimiser: {kind: sgd, learning_rate: 0.002}
schedule: {kind: cosine, warm_up: 0.5}
selection: {on: last}
"""


def test_a_batch_is_dealt_out_in_contiguous_parts():
    rows = [list(range(12))[part_of(12, rank=rank, world=3)] for rank in range(3)]
    assert rows == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    with pytest.raises(InvalidInput, match="a batch of 10 images cannot be dealt out evenly to 4 processes"):
        part_of(10, rank=0, world=4)


def test_one_process_gathers_itself():
    part = torch.ones(2, 3)
    assert gather(part, world=1) is part
    assert Processes(4, 2).all == 8


def runs(recipe_file, folder, batch_norm, worlds, *names):
    """Returns losses and weights of objectives by number of processes."""
    recipe = recipe_file.with_name("same.yaml")
    text = recipe_file.read_text().replace("optimiser: {kind: adam, learning_rate: 1e-3}", SETTINGS)
    text = text.replace("epochs: 2,", f"epochs: 2, batch_norm: {batch_norm}, clip: 5.0, average: 0.9,")
    recipe.write_text(text.replace("every: 1}", "every: 1, checkpoint_epochs: 0}"))
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(resight.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    found = {}
    for world in worlds:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            [*command, str(SCRIPT), str(recipe), str(folder), *names],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found[world] = torch.load(folder / f"{world}.pt", weights_only=True)
    return found


def objectives(lines):
    """Returns the objective of each step of a log."""
    entries = [json.loads(line) for line in lines]
    return [entry["objective"] for entry in entries if entry["kind"] == "step"]


def centres(lines):
    """Returns how many centres the classes have had after each epoch."""
    return [json.loads(line)["parts"] for line in lines if json.loads(line)["kind"] == "centres"]


def assert_same(found, *, differing=()):
    for name, (lines, weights) in found[1].items():
        limit = 1e-9 if name.endswith("fp64") else 1e-5
        expected = objectives(lines)
        assert len(expected) == 10
        for world in found.keys() - {1}:
            other_lines, other_weights = found[world][name]
            assert objectives(other_lines) == pytest.approx(expected, rel=limit, abs=limit)
            assert centres(other_lines) == centres(lines)
            for key, tensor in weights.items():
                if not key.startswith(differing):
                    torch.testing.assert_close(
                        other_weights[key], tensor, rtol=limit, atol=limit, msg=f"{name} {key}"
                    )


@pytest.mark.slow
def test_one_two_and_three_processes_give_the_same_losses_and_weights(recipe_file, tmp_path):
    # Each process takes the statistics of its own images in the attention; no wanted output has them.
    names = ("pair", "proxy", "memory", "cgd", "delg")
    found = runs(recipe_file, tmp_path, "frozen", (1, 2, 3), *names)
    assert_same(found, differing=("model.attention.norm.",))


@pytest.mark.slow
def test_classes_dealt_out_to_processes_give_the_losses_and_weights_of_one(recipe_file, tmp_path):
    assert_same(runs(recipe_file, tmp_path, "frozen", (1, 3), "classes"))


@pytest.mark.slow
def test_synchronised_batch_normalisation_gives_the_losses_and_weights_of_one_process(recipe_file, tmp_path):
    found = runs(recipe_file, tmp_path, "synchronised", (1, 2), "pair", "cgd", "dolg", "attention")
    # The hardest of a batch may be another one after the last digit, and then steps differ.
    assert_same(
        {world: {key: each[key] for key in each if key != "cgd fp32"} for world, each in found.items()}
    )
    trained = runs(recipe_file, tmp_path / "alone", "train", (2,), "pair")[2]
    with pytest.raises(AssertionError):
        assert_same({1: {"pair fp64": found[1]["pair fp64"]}, 2: trained})


def test_synchronised_batch_normalisation_of_photos_of_several_sizes_is_refused(recipe_file, tmp_path):
    parts = SimpleNamespace(recipe=Recipe.from_yaml(recipe_file, ["training.batch_norm=synchronised"]))
    parts.fabric = SimpleNamespace(world_size=2)
    loop = trainer._Loop(parts, Position(), RunFolder(tmp_path), Termination(processes=1))
    one, other = (torch.zeros(1, side, 4, 3, dtype=torch.uint8) for side in (4, 6))
    with pytest.raises(InvalidInput, match="needs photos of one size, and a batch here has 2"):
        loop._normalisation(Batch((one, other), None, torch.zeros(2, dtype=torch.int64)))
    assert isinstance(
        loop._normalisation(Batch((one,), None, torch.zeros(1, dtype=torch.int64))), SynchronisedBatchNorm
    )
    parts.fabric.world_size = 1
    assert isinstance(loop._normalisation(Batch((one, other), None, torch.zeros(2))), nullcontext)
