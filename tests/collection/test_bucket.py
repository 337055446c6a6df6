"""A collection in a bucket: everything that one in a folder does, and two writers, one of them killed.

The store is a few lines of ours; with RESIGHT_S3, the command of a moto server, it is that one (`make s3`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from made_bucket import MOTO, Bucket, name_store, serving, store
from made_photos import write_photo

import resight
from resight.collection import Collection, lease
from resight.collection.lease import leased
from resight.collection.place import place_at, writer_lock
from resight.collection.store import Store
from resight.errors import (
    CollectionLocked,
    CollectionNotFound,
    InvalidInput,
    StorageFailed,
)
from resight.files import ObjectPath, object_path

pytest.importorskip("obstore")

HERE = Path(__file__).parent


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    """The address of an empty bucket, whose store the environment names."""
    with store("photos") as address:
        name_store(monkeypatch, address)
        yield "s3://photos"


@pytest.fixture
def made(bucket, photos, model) -> Collection:
    """A collection of twelve photos there."""
    collection = Collection.create(f"{bucket}/made.resight", model=model, lock_timeout=0.2)
    collection.add(photos)
    return collection


def place(address: str) -> ObjectPath:
    found = object_path(address)
    assert found is not None
    return found


def keys(collection: Collection) -> list[str]:
    table = place_at(collection.path).open_table()
    return sorted(table.to_table(columns=["path"])["path"].to_pylist())


def test_answers_are_those_of_a_collection_in_a_folder(made, collection, photos):
    query = photos / "a" / "p03.png"
    here = [(hit.path, hit.similarity, hit.inliers) for hit in collection.search(query)]
    there = [(hit.path, hit.similarity, hit.inliers) for hit in made.search(query)]
    assert there == here
    assert len(made) == 12
    again = Collection.open(str(made.path), model=made.model)
    assert [hit.path for hit in again.search(query)] == [path for path, _, _ in here]


def test_a_second_run_describes_what_is_new_alone_and_searchers_see_it(made, photos):
    reader = Collection.open(str(made.path), model=made.model)
    assert len(reader.search(photos / "a" / "p00.png", top=50)) == 12
    new = write_photo(photos / "b" / "new.png", 77)
    report = Collection.open(str(made.path), model=made.model).add(photos)
    assert (report.added, report.unchanged) == (1, 12)
    assert reader.search(new)[0].path == str(new)


def test_check_finds_nothing_wrong_and_info_counts(made):
    report = made.check()
    assert report.problems == []
    assert report.notes == []
    assert report.sampled == 12
    info = made.info()
    assert (info.path, info.photos) == (str(made.path), 12)
    below = sum(status.size for _, status in made.path.below())
    assert 0 < info.bytes_on_disk <= below


def test_a_damaged_object_is_named(made):
    (data,) = [one for one, _ in made.path.below() if one.name.endswith(".lance")]
    content = bytearray(data.read_bytes())
    content[200:400] = bytes(200)
    data.write_bytes(bytes(content))
    assert Collection.open(str(made.path), model=made.model).check().problems


def test_removed_photos_leave_the_bucket(made, photos):
    assert made.remove([photos / "a"]) == 7
    assert len(made) == 5
    left = b"".join(one.read_bytes() for one, _ in made.path.below())
    assert b"p03.png" not in left
    assert b"p09.png" in left


def test_groups_are_kept_there(made, photos):
    (photos / "b" / "copy.png").write_bytes((photos / "a" / "p03.png").read_bytes())
    made.add(photos)
    groups = made.groups()
    assert len(groups.groups) == 1
    known = Collection.open(str(made.path), model=made.model).known_groups()
    assert known is not None
    assert known.waiting == 0


def test_a_collection_that_was_copied_from_a_folder_goes_on(bucket, collection, photos, model):
    for file in collection.path.rglob("*"):
        if file.is_file():
            place(f"{bucket}/copied.resight/{file.relative_to(collection.path).as_posix()}").write_bytes(
                file.read_bytes()
            )
    copied = Collection.open(f"{bucket}/copied.resight", model=model)
    assert copied.search(photos / "a" / "p03.png")[0].path == str(photos / "a" / "p03.png")
    assert copied.check().problems == []
    assert copied.add(photos).unchanged == 12
    assert copied.remove([photos / "a" / "p03.png"]) == 1
    assert copied.check().problems == []
    assert [root.path for root in copied.info().roots] == [str(photos)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{Path(resight.__file__).parents[1]}{os.pathsep}{HERE}"}


def writer(address: str, photos: Path, *, delay: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "grid_writer.py"), address, str(photos), "60", str(delay)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def test_of_two_writers_one_is_killed_and_no_row_is_lost_or_doubled(bucket, tmp_path, model):
    for number in range(30):
        write_photo(tmp_path / "photos" / f"{number}.png", number, width=32, height=32)
    address = f"{bucket}/c.resight"
    Collection.create(address, model=model)
    killed, other = (writer(address, tmp_path / "photos", delay=0.1) for _ in range(2))
    committed: set[str] = set()
    while not committed and killed.poll() is None and other.poll() is None:
        committed = set(keys(Collection.open(address, model=model)))
    # The one that writes now is killed in the middle of it; the other waits for the lock.
    holder = place(f"{address}/writer.lock").read_bytes().decode()
    if f"process {other.pid} " in holder:
        killed, other = other, killed
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    output = other.communicate()[0].split()
    assert other.returncode == 0, output
    collection = Collection.open(address, model=model)
    assert keys(collection) == sorted(f"{number}.png" for number in range(30))
    assert 0 < int(output[1]) < 30
    assert collection.check().problems == []


def test_a_writer_that_is_stopped_and_goes_on_is_told_and_doubles_nothing(bucket, tmp_path, model):
    for number in range(30):
        write_photo(tmp_path / "photos" / f"{number}.png", number, width=32, height=32)
    address = f"{bucket}/c.resight"
    Collection.create(address, model=model)
    stopped = writer(address, tmp_path / "photos", delay=0.2)
    while not keys(Collection.open(address, model=model)):
        assert stopped.poll() is None
    stopped.send_signal(signal.SIGSTOP)
    other = writer(address, tmp_path / "photos", delay=0.02)
    assert int(other.communicate()[0].split()[1]) > 0
    stopped.send_signal(signal.SIGCONT)
    said = stopped.communicate()[0]
    assert "CollectionLocked another process has taken over s3://photos/c.resight from this one" in said
    collection = Collection.open(address, model=model)
    assert keys(collection) == sorted(f"{number}.png" for number in range(30))
    assert collection.check().problems == []


def test_a_living_writer_is_not_overtaken_and_is_named(bucket, made, photos, monkeypatch):
    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    # More often than there are signs, so that the lock is seen unchanged.
    monkeypatch.setattr(lease, "_POLL_SECONDS", 0.03)
    with writer_lock(made.path, timeout=0):
        time.sleep(2.6)
        started = time.monotonic()
        with pytest.raises(
            CollectionLocked, match=f"process {os.getpid()} of .* is writing to the collection s3://"
        ):
            made.add(photos)
        assert time.monotonic() - started < 10
    assert made.add(photos).unchanged == 12


_WRITES = {
    "delete": lambda dataset: dataset.delete("path = 'a/p00.png'"),
    "upsert": lambda dataset: (
        dataset.merge_insert(["root", "path"])
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .execute(dataset.to_table(columns=["root", "path", "broken"]))
    ),
    "header": lambda dataset: dataset.update_schema_metadata({"resight.collection": "{}"}),
    "columns": lambda dataset: dataset.add_columns(pa.schema([pa.field("place", pa.string())])),
}


@pytest.mark.parametrize("write", _WRITES.values(), ids=_WRITES)
@pytest.mark.parametrize("goes_on", [False, True], ids=["taken over", "and written"])
def test_what_a_held_up_writer_had_begun_can_no_longer_be_committed(
    made, photos, monkeypatch, write, goes_on
):
    """By itself, in the middle of a commit: the writer that has taken over may have cleaned up meanwhile."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.4)
    write_photo(photos / "b" / "new.png", 77)
    with writer_lock(made.path, timeout=0) as held:
        begun = place_at(made.path).open_table()
        # Read now, as a commit does that goes on later.
        rows = begun.to_table()
        # No sign of life, as of a laptop that was closed.
        with held._lock:
            if goes_on:
                other = Collection.open(str(made.path), model=made.model, lock_timeout=5)
                assert other.add(photos).added == 1
            else:
                with writer_lock(made.path, timeout=5) as taken:
                    taken.confirm()
        before = keys(made), Store.open(made.path).version
        monkeypatch.setattr(begun, "to_table", lambda **_: rows.select(["root", "path", "broken"]))
        with pytest.raises(OSError, match="Incompatible transaction"):
            write(begun)
        with pytest.raises(CollectionLocked, match="another process has taken over"):
            Store.open(made.path, lock=held).drop(np.array([0]))
    assert (keys(made), Store.open(made.path).version) == before
    assert Collection.open(str(made.path), model=made.model).check().problems == []


def test_what_was_committed_while_a_lock_was_taken_over_stays(made, monkeypatch):
    """The fence restores what it has read; what came in between is restored in its turn."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.4)
    restore = lance.LanceDataset.restore
    late = []

    def restored(dataset):
        if not late:
            late.append(True)
            place_at(made.path).open_table().delete("path = 'a/p00.png'")
        return restore(dataset)

    monkeypatch.setattr(lance.LanceDataset, "restore", restored)
    with writer_lock(made.path, timeout=0) as held, held._lock, writer_lock(made.path, timeout=5):
        pass
    assert "a/p00.png" not in keys(made)
    assert len(keys(made)) == 11


def test_what_a_killed_writer_left_behind_goes_with_the_next_writing(made, photos):
    table = made.path / "photos.lance"
    left = [
        table / "data" / "0000010010110100110101005e931c4d16b6fccd6b840856b3.lance",
        table / "_deletions" / "3-7-123.arrow",
        table / "_transactions" / "7-5de04955-8891-4eb7-80af-d3284e169d30.txn",
    ]
    others = [
        table / "data" / "notes.txt",
        table / "data" / "data" / left[0].name,
        table / "my.lance",
        made.path / "data" / left[0].name,
    ]
    for one in (*left, *others):
        one.write_bytes(b"of a writer that was killed")
    before = keys(made)
    with writer_lock(made.path, timeout=0) as lock:
        Store.open(made.path, lock=lock).clean()
    assert [one.name for one in left if one.exists()] == []
    assert all(one.exists() for one in others)
    assert keys(made) == before
    assert made.check().problems == []
    assert made.add(photos).unchanged == 12


def test_who_was_overtaken_while_cleaning_up_deletes_nothing_of_the_next_writer(made, monkeypatch):
    """By itself, between listing and deleting: what it lists may be of the writer that has taken over."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.4)
    of_next = made.path / "photos.lance" / "data" / "0000010010110100110101005e931c4d16b6fccd6b840856b3.lance"
    below, renew = ObjectPath.below, lease.Lease._renew
    # No sign of life, as of a laptop that was closed.
    monkeypatch.setattr(lease.Lease, "_renew", lambda _: None)

    def listed(path: ObjectPath) -> Iterator[tuple[ObjectPath, object]]:
        monkeypatch.setattr(ObjectPath, "below", below)
        with writer_lock(made.path, timeout=5):
            of_next.write_bytes(b"not committed yet")
            monkeypatch.setattr(lease.Lease, "_renew", renew)
            yield from below(path)

    with writer_lock(made.path, timeout=0) as held:
        monkeypatch.setattr(ObjectPath, "below", listed)
        with pytest.raises(CollectionLocked, match="another process has taken over"):
            Store.open(made.path, lock=held).clean()
    assert of_next.exists()


def test_the_lock_is_free_after_it_was_given_back_or_overwritten(bucket):
    lock = place(f"{bucket}/l/writer.lock")
    for _ in range(2):
        with leased(lock, timeout=0) as (_, was_held):
            assert not was_held
    lock.write_bytes(b"no lock of ours")
    with leased(lock, timeout=0) as (held, was_held):
        assert not was_held
        lock.unlink()
        with pytest.raises(CollectionLocked, match="taken over"):
            held.confirm()


def test_of_many_that_want_the_lock_one_at_a_time_has_it(bucket):
    lock = place(f"{bucket}/l/writer.lock")
    inside, most = [], []

    def work() -> None:
        with leased(lock, timeout=60) as (held, _):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            held.confirm()
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


@pytest.mark.skipif(bool(MOTO), reason="moto knows conditions")
def test_a_store_without_conditional_writes_is_not_written(monkeypatch, model):
    with serving(Bucket("photos", conditional=False)) as address:
        name_store(monkeypatch, address)
        with pytest.raises(StorageFailed, match="knows no conditional writes"):
            Collection.create("s3://photos/c.resight", model=model)


def test_what_is_wrong_with_the_store_is_said(bucket, model, monkeypatch):
    with pytest.raises(
        CollectionNotFound, match=r"no collection at s3://photos/none.resight: nothing is there"
    ):
        Collection.open(f"{bucket}/none.resight")
    place(f"{bucket}/notes/a.txt").write_bytes(b"a")
    with pytest.raises(InvalidInput, match=r"it holds other things \(a.txt\)"):
        Collection.create(f"{bucket}/notes", model=model)
    with pytest.raises(InvalidInput, match=r"it is a whole bucket|other things"):
        Collection.create(bucket, model=model)
    with pytest.raises(InvalidInput, match="names no bucket"):
        Collection.open("s3:///key")
    with pytest.raises(StorageFailed, match="there is no bucket nowhere: make it"):
        Collection.open("s3://nowhere/c.resight")
    name_store(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(StorageFailed, match="store of the bucket photos does not answer"):
        Collection.open(f"{bucket}/c.resight")
    # After a refusal the environment is read anew.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "store")
    with pytest.raises(StorageFailed, match="the endpoint for the bucket photos is no address"):
        Collection.open(f"{bucket}/c.resight")


@pytest.mark.skipif(bool(MOTO), reason="moto takes any credentials")
def test_wrong_credentials_are_said(bucket, monkeypatch):
    name_store(monkeypatch, os.environ["AWS_ENDPOINT_URL"], AWS_ACCESS_KEY_ID="stranger")
    with pytest.raises(StorageFailed, match="refuses the credentials for the bucket photos"):
        Collection.open(f"{bucket}/c.resight")


def test_a_collection_there_has_no_approximate_index(made):
    with pytest.raises(InvalidInput, match="an approximate index is mapped into memory from a disk"):
        made.choose_search("auto")
    assert made.choose_search("exact").kind == "exact"


def test_a_folder_called_like_an_address_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "photos").mkdir(parents=True)
    assert object_path("s3:/photos") is None
    assert object_path("photos") is None
