"""Processes on several hosts: network namespaces stand for hosts; one is killed and all go on together."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch

import resight
from resight.errors import InvalidInput
from resight.training import Launch, interface_towards
from resight.training import checkpoint as checkpoints

SETTINGS = [
    "training.epochs=6",
    "training.batch_norm=synchronised",
    "training.classes=sharded",
    "objective=[{name: ranking, loss: {kind: arcface}}]",
    "log.checkpoint_steps=1",
    "selection.on=last",
]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(resight.__file__).parents[1]),
    "OMP_NUM_THREADS": "1",
}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"processes": 0}, "processes is 0; accepted are 1 and more"),
        ({"processes": 10**26}, r"processes is 1000.*; accepted are 1 to 1,024"),
        ({"processes": 1, "restarts": 10**9}, r"restarts is 1000.*; accepted are 0 to 10,000"),
        ({"processes": 1, "hosts": 0}, "hosts is 0"),
        ({"processes": 1, "restarts": -1}, "restarts is -1; accepted are 0 and more"),
        ({"processes": 1, "hosts": 2}, "2 hosts need an address where they meet: --meet HOST:PORT"),
        ({"processes": 1, "meet": "host1"}, "'host1' is no address: give HOST:PORT, such as host1:29500"),
        ({"processes": 1, "meet": "host1:port"}, "'host1:port' is no address"),
    ],
)
def test_what_cannot_be_started_is_refused(wanted, words):
    with pytest.raises(InvalidInput, match=words):
        Launch(**wanted)


def test_the_way_to_a_host_has_an_address_and_an_interface():
    assert interface_towards("127.0.0.1:29500") == ("127.0.0.1", "lo")
    with pytest.raises(InvalidInput, match=r"127\.0\.0\.1:99999 cannot be reached from here"):
        interface_towards("127.0.0.1:99999")
    with pytest.raises(InvalidInput, match=r"no-such-host\.invalid:1 cannot be reached from here"):
        interface_towards("no-such-host.invalid:1")


@contextmanager
def two_hosts():
    """Two network namespaces joined by a cable, as the beginnings of command lines."""
    names = [f"resight-{os.getpid()}-{number}" for number in (1, 2)]
    ends = [f"rs{os.getpid() % 100_000}a", f"rs{os.getpid() % 100_000}b"]

    def run(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        for name in names:
            run("netns", "add", name)
        run("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for number, (name, end) in enumerate(zip(names, ends, strict=True), start=1):
            run("link", "set", end, "netns", name)
            run("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", end)
            run("-n", name, "link", "set", end, "up")
            run("-n", name, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        pytest.skip(f"network namespaces cannot be made here: {error}")
    try:
        yield [["ip", "netns", "exec", name] for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def start(recipe, run, *options, host=()):
    command = [sys.executable, "-m", "resight", "train", str(recipe), *SETTINGS, "--run", str(run)]
    with run.with_suffix(f".{len(list(run.parent.glob('*.txt')))}.txt").open("w") as said:
        return subprocess.Popen([*host, *command, *options], env=ENVIRONMENT, stdout=said, stderr=said)


def kill_a_process(launcher):
    """Kills a process that trains, as a machine without memory would."""
    trains = [
        child
        for child in psutil.Process(launcher.pid).children(recursive=True)
        if "--into" in child.cmdline() and "--hosts" not in child.cmdline()
    ]
    trains[0].kill()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ip") is None, reason="ip, which makes network namespaces, is not here")
def test_two_hosts_of_which_one_loses_a_process_end_as_one_host_does(recipe_file, tmp_path):
    assert start(recipe_file, tmp_path / "one", "--processes", "2").wait(timeout=240) == 0
    with two_hosts() as hosts:
        options = ["--processes", "1", "--hosts", "2", "--meet", "10.77.0.1:29517", "--restarts", "2"]
        started = [start(recipe_file, tmp_path / "two", *options, host=host) for host in hosts]
        try:
            while not (tmp_path / "two" / "checkpoints" / "last.pt").exists():
                assert started[1].poll() is None, "a host ended before its first checkpoint"
                time.sleep(0.1)
            kill_a_process(started[1])
            assert [each.wait(timeout=240) for each in started] == [0, 0]
        finally:
            for each in started:
                each.kill()
    one, two = (checkpoints.read(tmp_path / name / "checkpoints" / "last.pt") for name in ("one", "two"))
    assert one.step == two.step == 30
    for ours, theirs in ((one.model, two.model), (one.objective, two.objective)):
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert "it goes on after step" in "".join(file.read_text() for file in tmp_path.glob("two.*.txt"))
