"""A collection on a Milvus server that is killed while rows are sent and while it is searched.

Runs where RESIGHT_MILVUS names the program milvus-server: `make milvus` installs it and sets that.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest

from resight.collection.header import Header
from resight.collection.kept_milvus import MilvusKept
from resight.collection.resident import ResidentIndex
from resight.collection.schema import photo_schema
from resight.collection.store import Store
from resight.errors import SearchUnreachable
from resight.search.index import SearchChoice
from resight.search.milvus import MilvusTable

SERVER = os.environ.get("RESIGHT_MILVUS", "")
ROWS, DIM, KILLS = 20_000, 128, 4
pytestmark = pytest.mark.skipif(not SERVER, reason="RESIGHT_MILVUS names no server: make milvus")


class Server:
    """One server in a folder, on a port of its own."""

    def __init__(self, folder):
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self._process = None

    def start(self):
        self._wait_for_port()
        with (self._folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                [SERVER, "--data", str(self._folder / "data"), "--proxy-port", str(self._port)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait_for_port(self):
        """Returns when the port is free: with connections left by a kill, another one would be taken."""
        for _ in range(240):
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", self._port))
                except OSError:
                    time.sleep(0.5)
                else:
                    return
        raise AssertionError("the port of a killed server stays taken")

    def wait(self):
        """Returns when it answers."""
        table = MilvusTable(self.address, "ready", DIM, patience=300)
        table.make()
        table.drop()

    def kill(self):
        if self._process is not None:
            family = psutil.Process(self._process.pid).children(recursive=True)
            os.killpg(self._process.pid, signal.SIGKILL)
            for each in family:
                if each.is_running():
                    each.kill()
            self._process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("milvus"))
    made.start()
    made.wait()
    yield made
    made.kill()


@contextmanager
def killed_again_and_again(server, pause):
    """Kills the server KILLS times while the block runs, each time it has answered for some seconds."""
    ended, kills = threading.Event(), []

    def go_on():
        while len(kills) < KILLS and not ended.wait(pause):
            server.kill()
            kills.append(time.monotonic())
            server.start()
            server.wait()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield kills
    finally:
        ended.set()
        thread.join()


def drawn(count, seed):
    """Returns vectors of 32 degrees of freedom and noise, as the descriptors of photos are."""
    rng, plane = np.random.default_rng(seed), np.random.default_rng(7).standard_normal((32, DIM))
    vectors = rng.standard_normal((count, 32)) @ plane / np.sqrt(32) + 0.2 * rng.standard_normal((count, DIM))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def interim_recall(rows, queries, true):
    """Returns what FAISS finds of the ten nearest as Milvus searches rows that it has not indexed yet.

    That is its interim index: an inverted file of 128 lists of which it looks into 16, by its defaults.
    """
    import faiss

    index = faiss.index_factory(DIM, "IVF128,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    index.add(rows)
    index.nprobe = 16
    # As many as Milvus is asked for.
    found = index.search(queries, 52)[1]
    return np.mean([len(np.intersect1d(*both)) / 10 for both in zip(found, true, strict=True)])


def write(store, first, count, seed):
    """Writes rows that no photo was described for."""
    import pyarrow as pa

    from resight.collection.checksum import CHECKSUM, row_checksums

    halves = drawn(count, seed).astype(np.float16)
    schema = photo_schema(DIM)
    values = {
        "root": pa.array([0] * count, pa.int32()),
        "path": pa.array([f"{first + number}.jpg" for number in range(count)]),
        "descriptor": pa.FixedSizeListArray.from_arrays(pa.array(halves.ravel()), DIM),
    }
    columns = [
        values.get(field.name, pa.nulls(count, field.type)) for field in schema if field.name != CHECKSUM
    ]
    rows = pa.table(columns, names=[field.name for field in schema if field.name != CHECKSUM])
    store.upsert(rows.append_column(CHECKSUM, row_checksums(rows)).cast(schema))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("collection") / "photos.resight"
    made = Store.create(path, Header("0123abcd", "made", "f" * 64, DIM))
    write(made, 0, ROWS, seed=0)
    return made


def test_killed_while_rows_are_sent_none_is_lost_doubled_or_stale(server, store):
    kept = MilvusKept(SearchChoice("milvus", server.address))
    changes = 0
    with killed_again_and_again(server, pause=3) as kills:
        while len(kills) < KILLS:
            with suppress(SearchUnreachable):
                kept.update(store)
                # A change of every tenth row, which must replace the old one.
                changes += 1
                write(store, 0, ROWS // 10, seed=changes)
    assert changes
    server.wait()
    kept.update(store)
    assert kept.differences(store) == []
    table = kept._table(store, kept._noted(store).name)
    assert table.count() == ROWS


def test_killed_while_searched_every_answer_is_right(server, store):
    kept = MilvusKept(SearchChoice("milvus", server.address))
    kept.update(store)
    index, exact = kept.open(store), ResidentIndex(store).current()
    queries = drawn(100, seed=9).astype(np.float32)
    # Places of the rows in the order of their ids, in which FAISS gets them.
    ids = np.sort(exact.ids)
    nearest = np.searchsorted(ids, exact.search(queries, 10).ids)
    expected = interim_recall(exact.descriptors(ids), queries, nearest)
    found, wanted = 0, 0
    number = 0
    with killed_again_and_again(server, pause=5) as kills:
        while len(kills) < KILLS or number < len(queries):
            query = queries[number % len(queries)][None]
            try:
                ours = index.search(query, 10)
            except SearchUnreachable:
                # It takes longer to start than a search waits.
                continue
            truth = exact.search(query, len(exact))
            # Each answer is a row of the table with its exact score; how many of the ten there are is recall.
            scores = dict(zip(truth.ids[0].tolist(), truth.scores[0].tolist(), strict=True))
            assert [scores[row] for row in ours.ids[0].tolist()] == ours.scores[0].tolist()
            assert len(set(ours.ids[0].tolist())) == 10
            found += len(np.intersect1d(ours.ids, truth.ids[0, :10]))
            wanted += 10
            number += 1
    assert len(kills) == KILLS
    recall = found / wanted
    print(f"{number} searches, recall {recall:.4f}, {expected:.4f} of FAISS")  # noqa: T201 (why it is run)
    # What the server has indexed meanwhile, it finds more of.
    assert recall > expected - 0.03
    server.wait()
    assert kept.differences(store) == []
