"""Kills, full disks, and two writers at once."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from grid_model import grid_model
from made_photos import stored, write_photo

import resight
from resight.collection import Collection
from resight.collection.writing import writing
from resight.errors import CollectionLocked, InvalidInput, StorageFailed

HERE = Path(__file__).parent


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{Path(resight.__file__).parents[1]}{os.pathsep}{HERE}"}


def writer(directory, photos, *, timeout=30.0, delay=0.0, limit=None) -> list[str]:
    options = [str(timeout), str(delay), *([str(limit)] if limit else [])]
    return [sys.executable, str(HERE / "grid_writer.py"), str(directory), str(photos), *options]


def keys(collection: Collection) -> list[str]:
    return sorted(stored(collection).to_table(columns=["path"])["path"].to_pylist())


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_if_never_killed(tmp_path):
    spec = importlib.util.spec_from_file_location("killing", HERE.parents[1] / "benchmarks" / "killing.py")
    killing = importlib.util.module_from_spec(spec)
    sys.modules["killing"] = killing
    spec.loader.exec_module(killing)
    result = killing.run(
        tmp_path,
        lambda directory, photos: writer(directory, photos, delay=0.01),
        kills=8,
        photos=40,
        seed=1,
        environment=environment(),
    )
    assert result.problems == []
    assert result.kills == 8
    assert result.rounds >= 2


def test_two_writers_at_once_double_and_lose_nothing(tmp_path, model):
    for number in range(30):
        write_photo(tmp_path / "photos" / f"{number}.png", number, width=32, height=32)
    Collection.create(tmp_path / "c", model=model)
    processes = [
        subprocess.Popen(
            writer(tmp_path / "c", tmp_path / "photos", delay=0.01),
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for _ in range(2)
    ]
    outputs = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(int(output[1]) for output in outputs) == [0, 30]
    collection = Collection.open(tmp_path / "c", model=model)
    assert keys(collection) == sorted(f"{number}.png" for number in range(30))


def test_a_second_writer_is_refused_by_name_and_readers_are_not(tmp_path, model):
    for number in range(40):
        write_photo(tmp_path / "photos" / f"{number}.png", number, width=32, height=32)
    collection = Collection.create(tmp_path / "c", model=model, lock_timeout=0.1)
    command = writer(tmp_path / "c", tmp_path / "photos", delay=0.2)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        process.stdout.readline()
        for _ in range(1000):
            if len(collection) > 0:
                break
            process.poll()
            time.sleep(0.02)
        with pytest.raises(CollectionLocked, match=f"process {process.pid} is writing"):
            collection.add(tmp_path / "photos")
        assert len(collection.search(tmp_path / "photos" / "0.png")) > 0
        assert process.poll() is None
        process.kill()
    # The lock died with its process.
    assert len(collection) < 40
    collection.add(tmp_path / "photos")
    assert len(collection) == 40


def test_the_lock_holds_within_one_process_too(tmp_path, photos, model):
    first = Collection.create(tmp_path / "c", model=model)
    second = Collection.open(tmp_path / "c", model=model, lock_timeout=0)
    with writing(first.path, None, timeout=0), pytest.raises(CollectionLocked):
        second.add(photos)
    assert second.add(photos).added == 12


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a process's files")
def test_a_disk_that_refuses_is_said_and_nothing_committed_is_lost(tmp_path, model):
    for number in range(100):
        write_photo(tmp_path / "photos" / f"{number:03d}.png", number, width=32, height=32)
    Collection.create(tmp_path / "c", model=model)
    command = writer(tmp_path / "c", tmp_path / "photos", limit=100_000)
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "StorageFailed the disk refused to write" in done.stdout
    assert "Traceback" not in done.stderr
    collection = Collection.open(tmp_path / "c", model=model)
    assert 0 < len(collection) < 100
    assert collection.check().problems == []
    report = collection.add(tmp_path / "photos")
    assert report.added + report.unchanged == len(collection) == 100


def test_a_full_disk_is_said_and_goes_on_when_there_is_room(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if sys.platform == "win32" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk; the limit on file sizes is tested instead")
    model = grid_model()
    try:
        for number in range(300):
            write_photo(tmp_path / "photos" / f"{number:03d}.png", number, width=32, height=32)
        collection = Collection.create(disk / "c", model=model)
        done = subprocess.run(
            writer(disk / "c", tmp_path / "photos"),
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
        assert done.returncode == 1, done.stdout + done.stderr
        assert "StorageFailed" in done.stdout
        again = Collection.open(disk / "c", model=model)
        committed = len(again)
        assert 0 < committed < 300
        assert again.check().problems == []
        with pytest.raises(StorageFailed, match="make room"):
            collection.add(tmp_path / "photos")
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        report = collection.add(tmp_path / "photos")
        assert len(collection) == 300
        assert report.unchanged >= committed
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_removal_that_was_killed_is_finished_by_the_same_command(tmp_path, photos, model, monkeypatch):
    collection = Collection.create(tmp_path / "c", model=model)
    collection.add(photos)
    gone, left = sorted(photos.rglob("*.png"))[:2], len(collection) - 2
    with monkeypatch.context() as patch:
        patch.setattr("resight.collection.store.Store.compact", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            collection.remove(gone)
    again = Collection.open(tmp_path / "c", model=model)
    assert len(again) == left
    assert again.remove(gone) == 0
    assert [fragment.num_deletions for fragment in stored(again).get_fragments()] == [0]
    with pytest.raises(InvalidInput, match="nothing was removed"):
        again.remove(gone)


def fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 4096)


def test_a_removal_frees_room_on_a_disk_without_any(tmp_path, model):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if sys.platform == "win32" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        collection = Collection.create(disk / "c", model=model)
        for folder in ("a", "b"):
            for number in range(30):
                place = tmp_path / "photos" / folder / f"{number}.png"
                write_photo(place, number + 100 * (folder == "b"), width=32, height=32)
            collection.add(tmp_path / "photos" / folder)
        fill(disk / "filler")
        with pytest.raises(StorageFailed, match="make room"):
            collection.add(tmp_path / "photos", metadata={str(place): {"year": 2000}})
        before = collection.info().bytes_on_disk
        assert collection.remove(tmp_path / "photos" / "a") == 30
        assert collection.info().bytes_on_disk < 0.8 * before
        assert collection.remove(tmp_path / "photos" / "b" / "3.png") == 1
        assert Collection.open(disk / "c", model=model).check(sample=3).problems == []
        assert len(collection) == 29
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_indexing_and_searching_need_no_torch(tmp_path, photos):
    script = """
import sys
from grid_model import grid_model
from resight.collection import Collection
collection = Collection.create(sys.argv[1], model=grid_model())
collection.add(sys.argv[2])
collection.search(sys.argv[2] + "/a/p00.png", verify=5, expand=2)
assert collection.check().problems == []
loaded = {"torch", "torchvision", "timm"} & sys.modules.keys()
assert not loaded, loaded
"""
    arguments = [sys.executable, "-c", script, str(tmp_path / "c"), str(photos)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
