"""Processes: a batch is dealt out evenly, and any number of them computes the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import resight
from resight.errors import InvalidInput
from resight.training import Processes
from resight.training.parallel import gather, part_of

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


@pytest.mark.slow
def test_one_two_and_three_processes_give_the_same_losses_and_weights(recipe_file, tmp_path):
    recipe = recipe_file.with_name("same.yaml")
    text = recipe_file.read_text().replace("optimiser: {kind: adam, learning_rate: 1e-3}", SETTINGS)
    text = text.replace("epochs: 2,", "epochs: 2, batch_norm: frozen, clip: 5.0, average: 0.9,")
    recipe.write_text(text.replace("every: 1}", "every: 1, checkpoint_epochs: 0}"))
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(resight.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    found = {}
    for world in (1, 2, 3):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
        done = subprocess.run(
            [*command, str(SCRIPT), str(recipe), str(tmp_path)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found[world] = torch.load(tmp_path / f"{world}.pt", weights_only=True)
    for name, (lines, weights) in found[1].items():
        limit = 1e-9 if name.endswith("fp64") else 1e-5
        assert len(lines) == 10
        for world in (2, 3):
            other_lines, other_weights = found[world][name]
            for line, other in zip(lines, other_lines, strict=True):
                assert json.loads(other)["objective"] == pytest.approx(
                    json.loads(line)["objective"], rel=limit, abs=limit
                )
            for key, tensor in weights.items():
                if key.startswith("model.attention.norm."):
                    # Each process takes the statistics of its own images there; no wanted output has them.
                    continue
                torch.testing.assert_close(
                    other_weights[key], tensor, rtol=limit, atol=limit, msg=f"{name} {key}"
                )
