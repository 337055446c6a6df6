"""Signals to several processes: a checkpoint, an end within seconds, and a resumption that ends bit-equal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import resight
from resight.training import checkpoint as checkpoints

WORLD = 2
SECONDS = 120

# The first process, or the second, is told to end while it reports its fifth step.
PROGRAM = """
import os, signal, sys
from pathlib import Path
import torch
from resight.training import Processes, Recipe, train
import resight.training.trainer as trainer

rank, told, number = int(os.environ["RANK"]), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(1)
update = trainer._Loop._update

def update_and_tell(loop):
    if loop._at.step == 4 and rank == told:
        os.kill(os.getpid(), number)
    return update(loop)

trainer._Loop._update = update_and_tell
recipe = Recipe.from_yaml(sys.argv[1], ["training.epochs=2", "log.checkpoint_epochs=0"])
train(recipe, Path(sys.argv[2]), processes=Processes(2), resume=True)
"""


def start(*words):
    """Starts as many processes as train together, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(resight.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "TORCHELASTIC_RUN_ID": "none",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(WORLD),
        "LOCAL_WORLD_SIZE": str(WORLD),
    }
    return [
        subprocess.Popen(
            [sys.executable, *map(str, words)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(WORLD)
    ]


def ended(processes):
    """Returns exit codes and what was said on standard error, after waiting for all."""
    try:
        said = [process.communicate(timeout=SECONDS)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_ends_both_and_the_run_goes_on_bit_equal(recipe_file, tmp_path):
    def run(folder, told, number=0):
        return ended(start("-c", PROGRAM, recipe_file, tmp_path / folder, told, int(number)))

    codes, said = run("ended", 1, signal.SIGTERM)
    assert codes == [-signal.SIGTERM] * WORLD, said
    assert checkpoints.read(tmp_path / "ended/checkpoints/last.pt").step == 5
    assert said[0].count("statistics from each process's 6 images of a batch of 12") == 1
    assert said[1] == ""
    for folder in ("ended", "whole"):
        codes, said = run(folder, -1)
        assert codes == [0] * WORLD, said
    one, other = (checkpoints.read(tmp_path / each / "checkpoints/last.pt") for each in ("ended", "whole"))
    assert one.step == other.step == 8
    for name, tensor in other.model.items():
        assert torch.equal(tensor, one.model[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_in_a_terminal_leaves_a_checkpoint(recipe_file, tmp_path, presses):
    """A terminal tells all processes, and torchrun tells its own once more."""
    folder = tmp_path / "run"
    settings = ["training.epochs=10000", "log.checkpoint_epochs=0", "selection.every=10000"]
    processes = start("-m", "resight", "train", recipe_file, *settings, "--into", folder)
    deadline = time.monotonic() + SECONDS
    log = folder / "log.jsonl"
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") > 2):
        time.sleep(0.02)
    for _ in range(presses):
        for process in processes:
            process.send_signal(signal.SIGINT)
    pressed = time.monotonic()
    codes, said = ended(processes)
    assert codes == [130] * WORLD, said
    assert "stopped: what was committed stays, and the same command can be run again" in said[0]
    assert time.monotonic() - pressed < 20
    state = checkpoints.read(folder / "checkpoints/last.pt")
    assert state.step >= 3
    assert len(state.random) == WORLD
