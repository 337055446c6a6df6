import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.errors import CollectionDamaged, CollectionNotFound, InvalidInput, ModelMismatch, StorageFailed
from resight.search.exact import ExactIndex, scan
from resight.search.exact import index as exact


def unit(rng, n, dim):
    rows = rng.standard_normal((n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def brute_force(stored, queries, k, allowed=None):
    """Literal: inner products of float16-rounded descriptors in steps of 2**-30, sorted by (-score, id)."""
    ids = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for row, query in enumerate(queries):
        pairs = []
        for i, descriptor in stored.items():
            if allowed is None or i in allowed:
                product = descriptor.astype(np.float16).astype(np.float64) * query.astype(np.float64)
                pairs.append((-round(float(product.sum()) * 2**30), i))
        for column, (negative, i) in enumerate(sorted(pairs)[:k]):
            ids[row, column], scores[row, column] = i, -negative / 2**30
    return ids, scores


def check(index, stored, queries, k, allowed=None):
    ranking = index.search(queries, k, allowed=allowed)
    ids, scores = brute_force(stored, queries, k, None if allowed is None else set(allowed.tolist()))
    np.testing.assert_array_equal(ranking.ids, ids)
    np.testing.assert_array_equal(ranking.scores, scores)


def filled(rng, n, dim=8, first=0):
    descriptors = unit(rng, n, dim)
    index = ExactIndex(dim, fingerprint="made-by-a")
    ids = first + rng.permutation(3 * n)[:n].astype(np.int64)
    index.add(ids, descriptors)
    return index, dict(zip(ids.tolist(), descriptors, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 60),
    k=st.integers(1, 70),
    queries=st.sampled_from([0, 1, 3, 40]),
    coarse=st.booleans(),
    filtered=st.booleans(),
)
def test_equals_brute_force_with_ties_removals_filters_and_padding(seed, n, k, queries, coarse, filtered):
    rng = np.random.default_rng(seed)
    # Few distinct values: many ties, duplicates included.
    made = (
        rng.integers(-1, 2, (n, 6)).astype(np.float32)
        if coarse
        else unit(rng, n, 6)
        if n
        else np.zeros((0, 6), "f4")
    )
    ids = rng.permutation(2 * n + 1)[:n].astype(np.int64)
    index = ExactIndex(6, fingerprint="a")
    for part in np.array_split(np.arange(n), 3):
        index.add(ids[part], made[part])
    stored = dict(zip(ids.tolist(), made, strict=True))
    gone = rng.choice(ids, n // 3, replace=False) if n else ids
    assert index.remove(np.concatenate([gone, [10**9]])) == len(gone)
    for i in gone.tolist():
        del stored[i]
    asked = rng.integers(-1, 2, (queries, 6)).astype(np.float32)
    allowed = rng.integers(0, 2 * n + 5, n).astype(np.int64) if filtered else None
    check(index, stored, asked, k, allowed)


@pytest.mark.parametrize("decoded", [0, 1 << 21])
@pytest.mark.parametrize("queries", [1, 2, 40])
def test_large_index_and_blocks_are_exact(rng_seed, queries, decoded, monkeypatch):
    monkeypatch.setattr(exact, "BLOCK", 64)
    monkeypatch.setattr(exact, "THREADED_FROM", 100)
    monkeypatch.setattr(scan, "BLOCK", 64)
    # Small indexes are held decoded, too; these shall not be.
    monkeypatch.setattr(exact, "LARGEST_DECODED", decoded)
    monkeypatch.setattr(exact, "QUERY_BLOCK", 16)
    rng = np.random.default_rng(rng_seed)
    index, stored = filled(rng, 500, 16)
    check(index, stored, unit(rng, queries, 16), 10)
    allowed = rng.choice(np.array(list(stored)), 200, replace=False)
    check(index, stored, unit(rng, queries, 16), 30, allowed)


@pytest.fixture(params=[0, 1])
def rng_seed(request):
    return request.param


@pytest.mark.parametrize("queries", [1, 40])
def test_more_ties_than_the_margin_go_to_the_smallest_ids(queries):
    rng = np.random.default_rng(0)
    descriptor = unit(rng, 1, 16)
    ids = rng.permutation(1000).astype(np.int64)
    index = ExactIndex(16, fingerprint="a")
    index.add(ids, np.repeat(descriptor, 1000, axis=0))
    ranking = index.search(np.repeat(descriptor, queries, axis=0), 7)
    np.testing.assert_array_equal(ranking.ids, np.tile(np.arange(7), (queries, 1)))


def test_near_ties_below_float32_scan_precision_are_ordered_right():
    """Rows whose true scores differ by less than a float32 sum can tell."""
    rng = np.random.default_rng(0)
    dim, n = 512, 300
    base = unit(rng, 1, dim).astype(np.float16)
    rows = np.repeat(base, n, axis=0)
    columns = rng.integers(0, dim, n)
    rows[np.arange(n), columns] = np.nextafter(rows[np.arange(n), columns], np.float16(2))
    index = ExactIndex(dim, fingerprint="a")
    index.add(np.arange(n), rows)
    query = base.astype(np.float32)
    check(index, dict(enumerate(rows)), query, 20)
    check(index, dict(enumerate(rows)), np.repeat(query, 40, axis=0), 20)


@pytest.mark.parametrize("queries", [1, 40])
@pytest.mark.parametrize("rows", [100, 9000])
def test_a_row_whose_score_drowns_in_the_float32_scan_is_proved_to_be_the_best(queries, rows):
    """2048 - 2048 in every lane of a float32 sum swallows what is added in between, unlike float64."""
    dim, hidden, visible = 128, 96 * 2.0**-14, 20 * 2.0**-12
    descriptors = np.zeros((rows, dim), dtype=np.float32)
    descriptors[:, :32], descriptors[:, -32:] = 2048, -2048
    # The others are seen by the scan, one of them with a higher score; the last row is not.
    descriptors[:, 40] = 4 * 2.0**-12
    descriptors[7, 40] = visible
    descriptors[-1, 32:-32] = hidden / 64
    index = ExactIndex(dim, fingerprint="a")
    index.add(np.arange(rows), descriptors)
    ranking = index.search(np.ones((queries, dim), dtype=np.float32), 1)
    assert visible < hidden
    np.testing.assert_array_equal(ranking.ids, np.full((queries, 1), rows - 1))
    np.testing.assert_array_equal(ranking.scores, np.full((queries, 1), np.float32(hidden)))


def test_a_query_answers_the_same_alone_and_in_a_batch():
    rng = np.random.default_rng(3)
    index, _ = filled(rng, 400, 32)
    queries = unit(rng, 40, 32)
    together = index.search(queries, 12)
    for row in range(40):
        alone = index.search(queries[row : row + 1], 12)
        np.testing.assert_array_equal(alone.ids[0], together.ids[row])
        np.testing.assert_array_equal(alone.scores[0], together.scores[row])


def test_scanned_scores_lie_within_the_bound():
    rng = np.random.default_rng(1)
    index, stored = filled(rng, 300, 512)
    query = unit(rng, 1, 512)
    ((scanned, rows),) = index._propose(query, 300, None)
    true = [
        float((stored[i].astype(np.float16).astype(float) * query[0]).sum()) for i in index.ids[rows].tolist()
    ]
    assert np.abs(scanned - true).max() <= index._bound(query[0])


def test_save_and_load_give_the_identical_ranking(tmp_path):
    rng = np.random.default_rng(0)
    index, _ = filled(rng, 50)
    index.remove(index.ids[5:9].copy())
    index.save(tmp_path / "a.index")
    again = ExactIndex.load(tmp_path / "a.index", fingerprint="made-by-a")
    queries = unit(rng, 5, 8)
    before, after = index.search(queries, 60), again.search(queries, 60)
    np.testing.assert_array_equal(before.ids, after.ids)
    np.testing.assert_array_equal(before.scores, after.scores)
    np.testing.assert_array_equal(index.ids, again.ids)
    assert again.fingerprint == "made-by-a"
    assert [path.name for path in tmp_path.iterdir()] == ["a.index"]


def test_an_empty_index_survives_the_disk(tmp_path):
    ExactIndex(4, fingerprint="a").save(tmp_path / "a.index")
    again = ExactIndex.load(tmp_path / "a.index")
    assert len(again) == 0
    assert again.search(np.ones((1, 4), np.float32), 2).ids.tolist() == [[-1, -1]]


def test_load_refuses_another_model_damage_and_strangers(tmp_path):
    path = tmp_path / "a.index"
    index, _ = filled(np.random.default_rng(0), 20)
    index.save(path)
    with pytest.raises(ModelMismatch, match="made by the model made-by-a, the queries by other"):
        ExactIndex.load(path, fingerprint="other")
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:20], b"", b"hello", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(broken)
        with pytest.raises(CollectionDamaged, match=r"a\.index"):
            ExactIndex.load(path)
    header = json.dumps({"__metadata__": {"format": "something"}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CollectionDamaged, match="no index of Resight"):
        ExactIndex.load(path)
    with pytest.raises(CollectionNotFound):
        ExactIndex.load(tmp_path / "absent")
    with pytest.raises(StorageFailed, match="cannot write the index"):
        index.save(tmp_path / "no folder" / "a.index")


@pytest.mark.parametrize(
    ("ids", "descriptors", "text"),
    [
        ([1], np.full((1, 4), np.nan), "finite"),
        ([1], np.full((1, 4), 1e6), "65504"),
        ([1], np.zeros((1, 3)), "shape"),
        ([1, 1], np.zeros((2, 4)), "given twice"),
        ([7], np.zeros((1, 4)), "already in the index"),
        ([-1], np.zeros((1, 4)), "negative"),
        ([1.5], np.zeros((1, 4)), "whole numbers"),
    ],
)
def test_add_refuses_what_cannot_be_right_and_stays_unchanged(ids, descriptors, text):
    index = ExactIndex(4, fingerprint="a")
    index.add(np.array([9, 7]), np.eye(4, dtype=np.float32)[:2])
    with pytest.raises(InvalidInput, match=text):
        index.add(np.array(ids), descriptors)
    assert index.ids.tolist() == [9, 7]
    assert index.search(np.eye(4, dtype=np.float32)[:1], 1).ids.tolist() == [[9]]


def test_search_refuses_what_cannot_be_right():
    index = ExactIndex(4, fingerprint="a")
    with pytest.raises(InvalidInput, match="shape"):
        index.search(np.zeros((1, 3), np.float32), 1)
    with pytest.raises(InvalidInput, match="finite"):
        index.search(np.full((1, 4), np.inf, np.float32), 1)
    with pytest.raises(InvalidInput, match="ids must be whole numbers in one row, not float64"):
        index.remove(np.array([0.5]))
    with pytest.raises(InvalidInput, match="k must be"):
        index.search(np.zeros((1, 4), np.float32), 0)
    with pytest.raises(InvalidInput, match="id 3 is not in the index"):
        index.descriptors(np.array([3]))
    with pytest.raises(InvalidInput, match="positive dimension"):
        ExactIndex(0, fingerprint="a")


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_numbers_of_a_query_are_as_large_as_is_said_in_every_type(kind):
    index = ExactIndex(4, fingerprint="a")
    index.add(np.array([7]), np.ones((1, 4)))
    largest = min(1e30, float(np.finfo(kind).max))
    assert index.search(np.full((1, 4), largest, kind), 1).ids.tolist() == [[7]]
    for value in (np.nan, np.inf, -np.inf, *([1.1e30, -1e38] if kind != np.float16 else [])):
        with pytest.raises(InvalidInput, match=r"finite and at most 1e\+30 in magnitude"):
            index.search(np.full((1, 4), value, kind), 1)


def test_descriptors_come_back_rounded_and_ids_can_be_used_again():
    rng = np.random.default_rng(0)
    index, stored = filled(rng, 30)
    some = index.ids[[3, 17, 4]].copy()
    expected = np.stack([stored[i].astype(np.float16) for i in some.tolist()]).astype(np.float32)
    np.testing.assert_array_equal(index.descriptors(some), expected)
    assert index.remove(some[:1]) == 1
    index.add(some[:1], -expected[:1])
    np.testing.assert_array_equal(index.descriptors(some[:1]), -expected[:1])


def test_works_beside_packages_that_replace_the_methods_of_faiss():
    """faiss.contrib.torch_utils, which metric-learning packages import, replaces search() for the process."""
    program = (
        "import faiss.contrib.torch_utils, numpy as np\n"
        "from resight.search import ExactIndex\n"
        "index = ExactIndex(4, fingerprint='x')\n"
        "index.add(np.arange(3), np.eye(3, 4, dtype=np.float32))\n"
        "index.remove(np.array([1]))\n"
        "found = index.search(np.eye(1, 4, dtype=np.float32), 3).ids.tolist()\n"
        "print(found, index.descriptors(np.array([2])).sum())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "[[0, 2, -1]] 1.0\n", done.stderr


def test_a_query_changes_nothing_that_a_later_row_needs():
    """A small index is held decoded, too: what is added and removed afterwards is searched."""
    rng = np.random.default_rng(5)
    index, stored = filled(rng, 50)
    check(index, stored, unit(rng, 2, 8), 60)
    new = unit(rng, 5, 8)
    index.add(np.arange(1000, 1005), new)
    stored |= dict(zip(range(1000, 1005), new, strict=True))
    check(index, stored, unit(rng, 2, 8), 60)
    gone = index.ids[3:7].copy()
    index.remove(gone)
    for one in gone.tolist():
        del stored[one]
    check(index, stored, unit(rng, 20, 8), 60)


def test_two_batches_at_once_answer_as_one_after_the_other():
    rng = np.random.default_rng(6)
    index, _ = filled(rng, 25_000, 16)
    batches = [unit(rng, 20, 16) for _ in range(4)]
    alone = [index.search(batch, 5) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda batch: index.search(batch, 5), batches))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.scores, other.scores)
