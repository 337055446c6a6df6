"""Photos described on a Ray cluster of this machine, whose workers and driver are killed.

Runs where RESIGHT_RAY is set: `make ray` sets it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from made_bucket import ENVIRONMENT as ASKED
from made_bucket import name_store, store

import resight
from resight.collection.store import Store
from resight.files import object_path
from resight.scenes import write_collection

pytestmark = pytest.mark.skipif("RESIGHT_RAY" not in os.environ, reason="RESIGHT_RAY is not set: make ray")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(resight.__file__).parents[1]), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """200 rendered photos and two files that are none."""
    folder = tmp_path_factory.mktemp("photos")
    write_collection(folder, places=50, views=4, distractors=0, side=320)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no photo")
    return folder


def start(photos, collection, *options, environment=ENVIRONMENT, said=None):
    command = [sys.executable, "-m", "resight", "index", str(photos), "--collection", str(collection)]
    with (said or collection.with_suffix(".txt")).open("a") as log:
        return subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log)


def rows(collection):
    """Returns path, hash, descriptor and reason of each row, and how many rows there are."""
    table = Store.open(collection).table(["path", "hash", "descriptor", "broken"])
    found = {row["path"]: row for row in table.to_pylist()}
    return found, table.num_rows


@pytest.fixture(scope="module")
def expected(photos, tmp_path_factory):
    collection = tmp_path_factory.mktemp("plain") / "plain.resight"
    assert start(photos, collection).wait(timeout=600) == 3
    return rows(collection)


def assert_equal(collection, expected, size=202):
    (found, count), (wanted, number) = rows(collection), expected
    assert count == number == len(found) == size
    for path, row in wanted.items():
        assert (found[path]["hash"], found[path]["broken"]) == (row["hash"], row["broken"])
        if row["descriptor"] is not None:
            assert np.array_equal(found[path]["descriptor"], row["descriptor"])


def actors():
    """Returns the processes that hold a model."""
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if "ray::_Describer" in " ".join(each.info["cmdline"] or [])
    ]


def wait_for_actors(driver):
    while not (found := actors()):
        assert driver.poll() is None
        time.sleep(0.2)
    return found


def test_killed_workers_lose_and_double_nothing(photos, expected, tmp_path):
    driver = start(photos, tmp_path / "killed.resight", "--on", "ray")
    killed = 0
    while driver.poll() is None:
        for actor in actors() if killed < 4 else []:
            if time.time() - actor.create_time() > 3:
                actor.kill()
                killed += 1
        time.sleep(0.3)
    assert driver.wait() == 3
    assert killed >= 2
    assert_equal(tmp_path / "killed.resight", expected)
    said = (tmp_path / "killed.txt").read_text()
    assert "empty.jpg" in said
    assert "text.jpg" in said


def test_a_killed_driver_goes_on_where_it_ended(photos, expected, tmp_path):
    driver = start(photos, tmp_path / "driver.resight", "--on", "ray")
    wait_for_actors(driver)
    time.sleep(5)
    for child in psutil.Process(driver.pid).children(recursive=True):
        child.kill()
    driver.kill()
    driver.wait()
    assert start(photos, tmp_path / "driver.resight", "--on", "ray").wait(timeout=900) == 3
    assert_equal(tmp_path / "driver.resight", expected)


def test_photos_and_a_collection_in_a_bucket_are_described_as_in_folders(
    photos, expected, tmp_path, monkeypatch
):
    pytest.importorskip("obstore")
    with store("photos") as address:
        name_store(monkeypatch, address)
        environment = {**ENVIRONMENT, **ASKED, "AWS_ENDPOINT_URL": address}
        sent = [*sorted(photos.iterdir())[::6], photos / "empty.jpg", photos / "text.jpg"]
        names = {file.name for file in sent}
        wanted = {name: row for name, row in expected[0].items() if name in names}
        for file in sent:
            object_path(f"s3://photos/pictures/{file.name}").write_bytes(file.read_bytes())
        collections = tmp_path / "here.resight", object_path("s3://photos/there.resight")
        for collection in collections:
            said = tmp_path / "said.txt"
            driver = start(
                "s3://photos/pictures", collection, "--on", "ray", environment=environment, said=said
            )
            assert driver.wait(timeout=900) == 3
            assert "s3://photos/pictures/empty.jpg" in said.read_text()
            assert_equal(collection, (wanted, len(wanted)), size=len(names))


def test_a_dead_machine_of_a_cluster_loses_and_doubles_nothing(photos, expected, tmp_path):
    # In a process of its own: Ray forks, which Lance does not survive.
    nodes = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("two_nodes.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    driver = None
    try:
        said = next(line for line in nodes.stdout if line.startswith("cluster "))
        address, raylet = said.split()[1:]
        environment = {**ENVIRONMENT, "RAY_ADDRESS": address}
        driver = start(photos, tmp_path / "dead.resight", "--on", "ray", environment=environment)
        while len(found := actors()) < 2:
            assert driver.poll() is None
            time.sleep(0.2)
        below = {each.pid for each in psutil.Process(int(raylet)).children(recursive=True)}
        assert len(below & {each.pid for each in found}) == 1
        time.sleep(3)
        assert driver.poll() is None
        nodes.stdin.write("\n")
        nodes.stdin.flush()
        assert driver.wait(timeout=900) == 3
    finally:
        if driver is not None and driver.poll() is None:
            driver.kill()
            driver.wait()
        # At the end of its input it shuts the cluster down.
        nodes.communicate()
    assert_equal(tmp_path / "dead.resight", expected)
