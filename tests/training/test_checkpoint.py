"""Checkpoints: all or nothing, read back as they were, and nothing in them is run."""

import io
from contextlib import nullcontext

import pytest
import torch

from resight.errors import InvalidInput, StorageFailed
from resight.training import checkpoint as checkpoints
from resight.training.checkpoint import Best, RunState


@pytest.fixture
def made():
    parameter = torch.nn.Parameter(torch.arange(3.0))
    optimiser = torch.optim.Adam([parameter])
    parameter.grad = torch.ones(3)
    optimiser.step()
    return RunState(
        recipe="r",
        data="d",
        epoch=2,
        batch=3,
        step=11,
        model={"weight": parameter.detach()},
        objective={"proxies": torch.ones(2, 2, dtype=torch.float64)},
        optimiser=optimiser.state_dict(),
        scaler={},
        average=None,
        average_updates=0,
        random=checkpoints.gather_random_states(torch.device("cpu"), world=1),
        best=Best(1, "map_at_r", 0.5, "validation"),
        history=({"step": 4.0, "map_at_r": 0.5},),
        seconds=1.5,
    )


def test_what_is_written_reads_back(made, tmp_path):
    checkpoints.write(made, tmp_path / "last.pt")
    read = checkpoints.read(tmp_path / "last.pt")
    for name in ("recipe", "data", "epoch", "batch", "step", "best", "history", "seconds", "average"):
        assert getattr(read, name) == getattr(made, name), name
    assert torch.equal(read.model["weight"], made.model["weight"])
    assert read.objective["proxies"].dtype == torch.float64
    assert torch.equal(read.optimiser["state"][0]["exp_avg"], made.optimiser["state"][0]["exp_avg"])
    assert torch.equal(read.random[0].cpu, made.random[0].cpu)
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_random_states_come_back(made):
    with torch.random.fork_rng(devices=[]):
        checkpoints.restore_random(made.random[0], torch.device("cpu"))
        first = torch.rand(3)
        torch.rand(5)
        checkpoints.restore_random(made.random[0], torch.device("cpu"))
        assert torch.equal(torch.rand(3), first)


def test_a_failed_write_leaves_what_was_there(made, tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    checkpoints.write(made, path)
    before = path.read_bytes()

    def full(values, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageFailed, match="No space left"):
        checkpoints.write(made, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["last.pt"]


def test_a_full_disk_is_said_in_words(tmp_path):
    class Full(io.BytesIO):
        def write(self, block):
            raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "whole_file", lambda *_, **__: nullcontext(Full()))
        with pytest.raises(StorageFailed, match=r"best\.pt cannot be written: (the disk did not|No space)"):
            checkpoints.write_weights({"weight": torch.zeros(100_000)}, tmp_path / "best.pt")


@pytest.mark.parametrize("damage", ["cut", "text", "foreign", "version", "code"])
def test_files_that_are_no_checkpoint_are_refused(made, tmp_path, damage):
    path = tmp_path / "last.pt"
    checkpoints.write(made, path)
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:500])
        case "text":
            path.write_text("hello")
        case "foreign":
            torch.save({"format_version": 1, "weights": torch.ones(1)}, path)
        case "version":
            torch.save({"format_version": 99}, path)
        case "code":
            torch.save({"model": pytest.fail}, path)
    with pytest.raises(InvalidInput, match=r"no whole checkpoint|of another version"):
        checkpoints.read(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(InvalidInput, match="there is no checkpoint at"):
        checkpoints.read(tmp_path / "last.pt")


def test_weights_alone(tmp_path):
    checkpoints.write_weights({"a": torch.ones(2)}, tmp_path / "best.pt")
    assert torch.equal(checkpoints.read_weights(tmp_path / "best.pt")["a"], torch.ones(2))
