"""A collection searched through Milvus Lite: equal to the table, whatever was killed or changed."""

from __future__ import annotations

import io
import json
import logging
import shutil

import numpy as np
import pytest

from resight.collection import Collection, kept_milvus
from resight.collection.kept_milvus import MilvusKept, _Truth
from resight.collection.store import Store
from resight.errors import InvalidInput, SearchUnreachable
from resight.files import silent
from resight.search import ExactIndex
from resight.search.index import SearchChoice
from resight.search.milvus import CHECKSUM, DESCRIPTOR, ROW, MilvusIndex, MilvusTable, Rows

pytest.importorskip("milvus_lite")
CHOICE = SearchChoice("milvus", "milvus.db")
DIM = 8


def vectors(count, seed=0):
    drawn = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float16).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture
def table(tmp_path):
    made = MilvusTable(str(tmp_path / "alone.db"), "rows", DIM, patience=1.0)
    made.make()
    return made


@pytest.fixture
def indexes(table):
    """The same 600 vectors through Milvus and exactly; ids are 3, 6, 9 ..., two vectors are equal."""
    ids, descriptors = 3 * np.arange(1, 601), vectors(600)
    descriptors[17] = descriptors[400]
    table.upsert(Rows(ids, ids % 7, descriptors), [{"even": bool(each % 2 == 0)} for each in ids])
    exact = ExactIndex(DIM, fingerprint="f")
    exact.add(ids, descriptors)
    through = MilvusIndex(
        table, ids, lambda some: exact.descriptors(some), lambda: exact, dim=DIM, fingerprint="f"
    )
    return through, exact


def test_scores_and_order_are_those_of_the_exact_index(indexes):
    through, exact = indexes
    queries = vectors(20, seed=1)
    for k in (1, 10, 50):
        assert_same(through.search(queries, k), exact.search(queries, k))
    # Equal scores come in the order of the ids.
    assert through.search(exact.descriptors(np.array([54])), 2).ids.tolist() == [[54, 1203]]


def test_more_answers_than_rows_and_unfinite_queries_are_as_exact(indexes):
    through, exact = indexes
    assert_same(through.search(vectors(2, seed=1), 700), exact.search(vectors(2, seed=1), 700))
    for search in (through.search, exact.search):
        with pytest.raises(InvalidInput):
            search(np.full((1, DIM), np.nan, np.float32), 5)
        with pytest.raises(InvalidInput):
            search(vectors(1), 0)


@pytest.mark.parametrize("count", [0, 1, 7, 200, 600])
def test_a_filter_comes_before_the_search(indexes, count):
    through, exact = indexes
    allowed = np.append(np.random.default_rng(count).permutation(exact.ids)[:count], 5)
    found = through.search(vectors(5, seed=2), 10, allowed=allowed)
    assert_same(found, exact.search(vectors(5, seed=2), 10, allowed=allowed))


def test_rows_that_the_server_lost_are_answered_exactly(indexes, table):
    through, exact = indexes
    table.delete(exact.ids[5:])
    assert_same(through.search(vectors(3, seed=3), 10), exact.search(vectors(3, seed=3), 10))


def test_rows_that_are_gone_are_no_answers(indexes, table):
    through, exact = indexes
    best = exact.search(vectors(1, seed=4), 1).ids[0]
    exact.remove(best)
    through._ids = np.setdiff1d(through._ids, best)
    assert_same(through.search(vectors(1, seed=4), 10), exact.search(vectors(1, seed=4), 10))


def test_rows_are_read_back_whole(table):
    ids = np.array([0, 5000, 9000, 9001])
    table.upsert(Rows(ids, ids + 1, vectors(4)), [{}] * 4)
    for stop in (0, 1, 5001, 10_000):
        parts = list(table.rows(stop, descriptors=True))
        assert np.concatenate([part.ids for part in parts]).tolist() == ids.tolist()
        assert np.concatenate([part.checksums for part in parts]).tolist() == (ids + 1).tolist()
        assert np.array_equal(np.concatenate([part.descriptors for part in parts]), vectors(4))
    assert table.count() == 4


def assert_same(found, expected):
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.scores, expected.scores)


@pytest.fixture
def kept(collection):
    """Photos on a server, in a file; and the store, read anew at each call."""
    made = MilvusKept(CHOICE)
    made.build(Store.open(collection.path), silent)
    return made


def store_of(collection):
    return Store.open(collection.path)


def client_of(kept, collection):
    store = store_of(collection)
    table = kept._table(store, kept._noted(store).name)
    table.make()
    return table


def test_all_rows_are_sent_with_what_they_are_filtered_by(kept, collection):
    client = client_of(kept, collection)
    truth = _Truth(store_of(collection))
    assert client.count() == len(truth.ids) == 12
    found = client._query("path like 'b/%'", [ROW, CHECKSUM, DESCRIPTOR, "path"])
    assert len(found) == 5
    assert kept.differences(store_of(collection)) == []


def test_changes_and_removals_follow(kept, collection, photos):
    (photos / "a" / "p00.png").unlink()
    collection.remove(photos / "a" / "p00.png")
    collection.add(photos, metadata={photos / "a" / "p01.png": {"place": "here"}})
    # Until the next writer follows, the exact scan answers.
    assert kept.open(store_of(collection)) is None
    kept.update(store_of(collection))
    assert len(kept.open(store_of(collection))) == 11
    assert kept.differences(store_of(collection)) == []
    assert len(client_of(kept, collection)._query("place == 'here'", [ROW])) == 1


class Killed(BaseException):
    pass


def test_what_a_file_refuses_is_told_at_once_and_without_a_traceback(table, monkeypatch):
    from pymilvus import MilvusClient, MilvusException
    from pymilvus.client import grpc_handler

    printed = io.StringIO()
    handler = logging.StreamHandler(printed)
    logging.getLogger("pymilvus").addHandler(handler)
    monkeypatch.setattr(table._call, "_patience", 60.0)

    def full(*_):
        raise MilvusException(1, "No space left on device")

    monkeypatch.setattr(grpc_handler, "check_status", full)
    try:
        with pytest.raises(SearchUnreachable, match=r"cannot be used \(No space left on device\): make room"):
            table.upsert(Rows(np.arange(2), np.arange(2), vectors(2)), [{}] * 2)
        assert printed.getvalue() == ""
        # What others call goes on to be told.
        with pytest.raises(MilvusException):
            MilvusClient(table._call._address).load_collection("rows")
        assert "Traceback" in printed.getvalue()
    finally:
        logging.getLogger("pymilvus").removeHandler(handler)


def test_what_a_full_disk_has_cut_off_is_made_anew(kept, collection):
    from milvus_lite.server_manager import server_manager_instance

    table, file = client_of(kept, collection), collection.path.parent / "milvus.db"
    table._call(lambda client: client.flush(kept._noted(store_of(collection)).name))
    server_manager_instance.release_server(str(file))
    (cut,) = file.rglob("*.idx")
    cut.write_bytes(b"")
    assert "lacks" in kept.differences(store_of(collection))[0]
    kept.build(store_of(collection), silent)
    assert kept.differences(store_of(collection)) == []


def test_a_file_that_was_removed_is_filled_with_all_rows_at_the_next_change(kept, collection, photos):
    client_of(kept, collection).drop()
    collection.add(photos, metadata={photos / "a" / "p01.png": {"place": "here"}})
    kept.update(store_of(collection))
    assert kept.differences(store_of(collection)) == []


def test_a_server_that_is_away_is_left_though_it_lacks_new_photos(photos, tmp_path, monkeypatch, capsys):
    from resight.cli import main

    line = ["index", str(photos), "--collection", str(tmp_path / "photos.resight"), "--search-index"]
    assert main([*line, "milvus+side.db"]) == 0
    shutil.copy(photos / "a" / "p00.png", photos / "a" / "new.png")

    def away(*_):
        raise SearchUnreachable("the search index does not answer")

    for name in ("make", "drop"):
        monkeypatch.setattr(MilvusTable, name, away)
    assert main([*line, "milvus+side.db"]) == 1
    assert main([*line, "exact"]) == 0
    assert "holds 13 photos" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("call", ["delete", "upsert", "make"])
def test_killed_while_sending_the_next_one_goes_on(collection, photos, monkeypatch, call):
    kept = MilvusKept(CHOICE)
    kept.build(Store.open(collection.path), silent)
    (photos / "a" / "p00.png").unlink()
    collection.remove(photos / "a" / "p00.png")
    collection.add(photos, metadata={photos / "a" / "p01.png": {"place": "here"}})

    def dies(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(MilvusTable, call, dies)
        # The note is not whole, so that the rows are counted.
        with pytest.raises(Killed):
            kept.build(Store.open(collection.path), silent)
    assert kept.open(store_of(collection)) is None
    assert kept.differences(store_of(collection))[0].startswith("not all of its rows were sent")
    kept.update(store_of(collection))
    assert kept.differences(store_of(collection)) == []


def test_check_names_each_difference_and_repair_mends_it(kept, collection, photos):
    client, truth = client_of(kept, collection), _Truth(store_of(collection))
    lost, old, turned = truth.ids[:3]
    client.delete(np.array([lost]))
    rows = np.concatenate([part.ids for part in client.rows(truth.stop, descriptors=True)])
    assert lost not in rows
    at = {
        int(part.ids[n]): part.descriptors[n]
        for part in client.rows(truth.stop, descriptors=True)
        for n in range(len(part.ids))
    }
    client.upsert(Rows(np.array([old]), np.array([1]), at[old][None]), [{}])
    client.upsert(Rows(np.array([turned]), truth.checksums[2:3], -at[turned][None]), [{}])
    client.upsert(Rows(np.array([999]), np.array([1]), at[old][None]), [{}])
    collection.choose_search(SearchChoice("exact"))
    problems = kept.differences(store_of(collection))
    names = ["p00.png", "p01.png", "p02.png"]
    assert len(problems) == 4
    assert "a row 999 of no photo" in "".join(problems)
    for name, what in zip(names, ("lacks", "has an old state of", "has an old state of"), strict=True):
        assert any(what in problem and name in problem for problem in problems)
    kept.build(store_of(collection), silent)
    # A descriptor that was changed behind a right checksum is sent anew as well.
    assert kept.differences(store_of(collection)) == []


def test_a_copy_of_a_collection_has_its_own_rows(kept, collection, tmp_path, model):

    shutil.copytree(collection.path, tmp_path / "copy.resight")
    copied = Collection.open(tmp_path / "copy.resight", model=model)
    copied.remove(next(iter((tmp_path / "photos" / "a").iterdir())))
    kept.update(store_of(copied))
    assert kept._noted(store_of(copied)).name != kept._noted(store_of(collection)).name
    assert kept.differences(store_of(collection)) == kept.differences(store_of(copied)) == []


def test_another_choice_removes_the_rows(kept, collection):
    name = kept._noted(store_of(collection)).name
    kept.remove(store_of(collection))
    assert kept._noted(store_of(collection)) is None
    client = kept._table(store_of(collection), name)
    client.make()
    assert client.count() == 0


@pytest.mark.parametrize("damage", [b"", None])
def test_a_damaged_note_is_as_none(kept, collection, damage):
    file = collection.path / "search-index" / "milvus.npz"
    file.write_bytes(file.read_bytes()[:200] if damage is None else damage)
    assert kept.open(store_of(collection)) is None
    kept.update(store_of(collection))
    assert kept.differences(store_of(collection)) == []


def test_a_server_that_is_away_is_said_in_a_sentence(monkeypatch):
    away = MilvusTable("http://127.0.0.1:9", "rows", DIM, patience=0.3)
    with pytest.raises(SearchUnreachable, match=r"the search index at http://127\.0\.0\.1:9 does not answer"):
        away.count()
    with pytest.raises(InvalidInput, match="'photos' is no address of Milvus"):
        MilvusTable("photos", "rows", DIM)


def test_the_command_line_chooses_searches_checks_and_repairs(photos, tmp_path, capsys):
    from resight.cli import main

    path = str(tmp_path / "photos.resight")
    assert main(["index", str(photos), "--collection", path, "--search-index", "milvus+side.db"]) == 0
    assert (tmp_path / "side.db").exists()
    assert main(["check", path, "--sample", "0"]) == 0
    store, kept = Store.open(tmp_path / "photos.resight"), MilvusKept(SearchChoice("milvus", "side.db"))
    table = kept._table(store, kept._noted(store).name)
    table.delete(_Truth(store).ids[:2])
    capsys.readouterr()
    assert main(["check", path, "--sample", "0"]) == 1
    assert capsys.readouterr().out.count("the search index lacks") == 2
    assert main(["check", path, "--sample", "0", "--repair"]) == 0
    assert main(["info", path, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.split("\n", 1)[1])["search_index"]
    assert (figures["kind"], figures["recall"]) == ("milvus", 1.0)


def test_another_index_is_chosen_where_the_server_is_gone(collection, monkeypatch, caplog):
    collection.choose_search("milvus+gone.db")
    monkeypatch.setattr(kept_milvus, "_SHORT_PATIENCE", 0.0)

    def away(*_):
        raise SearchUnreachable("the search index at gone.db does not answer")

    monkeypatch.setattr(MilvusTable, "drop", away)
    assert collection.choose_search("exact").kind == "exact"
    assert "stay there as resight_" in caplog.text


def test_an_error_of_the_channel_is_tried_again(table, monkeypatch):
    from grpc import RpcError

    calls = []

    def answer(client):
        calls.append(client)
        if len(calls) < 3:
            raise RpcError("Deadline Exceeded")
        return "found"

    assert table._call(answer) == "found"
    # With a client of its own each time.
    assert len({id(client) for client in calls}) == 3
