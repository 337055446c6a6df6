"""The approximate index of a collection: built, followed, filtered, and never believed when it is damaged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from grid_model import grid_model
from made_photos import write_photo

from resight.collection import Collection, kept_approximate
from resight.collection.kept import choose_index
from resight.collection.kept_approximate import ApproximateKept
from resight.collection.kept_head import FOLDER
from resight.collection.roots import Key, Root
from resight.collection.schema import Row, rows_table
from resight.collection.store import Store
from resight.collection.writing import writing
from resight.errors import InvalidInput, StorageFailed
from resight.search.approximate import building, measuring
from resight.search.approximate import index as approximate
from resight.search.approximate.index import ApproximateIndex, Effort
from resight.search.approximate.measuring import map_loss
from resight.search.index import SearchChoice

PHOTOS = 1200


def made_rows(first: int, count: int, dim: int, *, seed: int = 0) -> list[Row]:
    """Rows as indexing makes them, of descriptors in groups."""
    rng = np.random.default_rng(seed + first)
    centres = np.random.default_rng(7).standard_normal((60, dim))
    rows = []
    for number in range(first, first + count):
        vector = centres[number % 60] + 0.6 * rng.standard_normal(dim)
        half = (vector / np.linalg.norm(vector)).astype(np.float16)
        digest = number.to_bytes(32, "little")
        rows.append(Row(Key(0, f"{number:05d}.jpg"), digest, 10, 1, 64, 48, half, None, None))
    return rows


def write(collection: Collection, rows: list[Row]) -> None:
    with writing(collection.path, None, timeout=5) as store:
        store.upsert(rows_table(rows, store.header.dim))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A collection of 1,200 photos without files, searched by an approximate index, and a copy of it."""
    folder = tmp_path_factory.mktemp("grown")
    collection = Collection.create(folder / "grown.resight", model=grid_model(), lock_timeout=1)
    (folder / "files").mkdir()
    with pytest.MonkeyPatch.context() as small, writing(collection.path, None, timeout=5) as store:
        lower(small)
        store.write_header(replace(store.header, roots=(Root(0, str(folder / "files"), ""),)))
        store.upsert(rows_table(made_rows(0, PHOTOS, store.header.dim), store.header.dim))
        assert choose_index(store, SearchChoice("auto", recall=0.95)).kind == "ivf-sq8"
    shutil.copytree(collection.path, folder / "copy")
    return collection.path


def lower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has few photos searched approximately, however quick the exact scan of them is."""
    monkeypatch.setattr(kept_approximate, "AUTO_FROM", 1000)
    monkeypatch.setattr(building, "_WORTH", 1e9)
    monkeypatch.setattr(building, "CODE_KINDS", ("ivf-sq8",))
    # Quicker to measure.
    monkeypatch.setattr(building, "QUERIES", 100)
    monkeypatch.setattr(building, "DEPTHS", (10, 100))
    monkeypatch.setattr(measuring, "_SHORTLISTS", (4,))


@pytest.fixture
def grown(whole, model, monkeypatch) -> Collection:
    """That collection, at its place, as it was made."""
    lower(monkeypatch)
    shutil.rmtree(whole)
    shutil.copytree(whole.parent / "copy", whole)
    return Collection.open(whole, model=model, lock_timeout=1)


def kept(collection: Collection) -> ApproximateIndex:
    """The index as another process opens it."""
    store = Store.open(collection.path)
    index = ApproximateKept(store.header.search_choice).open(store)
    assert index is not None
    return index


def same_as_exact(collection: Collection, index: ApproximateIndex, *, share: float) -> None:
    """Compares with the exact scan: ids are those of the table, scores are right, most answers are found."""
    exact = Collection.open(collection.path, model=collection.model)._resident.current()
    assert sorted(index.ids.tolist()) == sorted(exact.ids.tolist())
    queries = exact.descriptors(exact.ids[::40])
    ours, true = index.search(queries, 10), exact.search(queries, 10)
    found = [len(np.intersect1d(one, other)) / 10 for one, other in zip(ours.ids, true.ids, strict=True)]
    assert np.mean(found) >= share
    for query, (ids, values) in enumerate(zip(ours.ids, ours.scores, strict=True)):
        alone = exact.search(queries[query][None], 10, allowed=ids)
        np.testing.assert_array_equal(np.sort(alone.ids[0]), np.sort(ids))
        np.testing.assert_array_equal(alone.scores[0], values)


def test_it_is_built_told_and_found_again(grown):
    info = Collection.open(grown.path, model=grown.model).info().search_index
    assert info.kind == "ivf-sq8"
    assert info.recall >= 0.85
    assert info.milliseconds > 0
    # Codes, places and ids, and the centroids.
    assert info.bytes >= PHOTOS * (grown.model.dim + 16)
    same_as_exact(grown, kept(grown), share=0.85)
    assert isinstance(Collection.open(grown.path, model=grown.model)._resident.searched(), ApproximateIndex)


def test_a_small_collection_stays_exact(collection):
    assert collection.choose_search("auto").kind == "exact"
    assert not (collection.path / FOLDER).exists()


def test_new_photos_are_in_it_and_removed_ones_are_not(grown):
    write(grown, made_rows(PHOTOS, 60, grown.model.dim))
    index = kept(grown)
    assert len(index) == PHOTOS + 60
    assert len(index.added) == 0
    same_as_exact(grown, index, share=0.85)
    folder = grown.path.parent / "files"
    assert grown.remove([folder / f"{number:05d}.jpg" for number in range(5, PHOTOS, 10)]) == 120
    index = kept(grown)
    assert len(index) == PHOTOS + 60 - 120
    same_as_exact(grown, index, share=0.85)
    # Off the disk: the descriptor of a removed photo is in none of the files.
    gone = made_rows(0, PHOTOS, grown.model.dim)[5].descriptor.tobytes()
    stays = made_rows(0, PHOTOS, grown.model.dim)[6].descriptor.tobytes()
    files = [path.read_bytes() for path in (grown.path / FOLDER).iterdir()]
    assert [any(one in data for data in files) for one in (gone, stays)] == [False, True]


def test_a_changed_photo_is_found_by_what_it_shows_now(grown):
    changed = made_rows(30, 1, grown.model.dim, seed=99)
    write(grown, changed)
    index = kept(grown)
    assert len(index) == PHOTOS
    ranking = index.search(changed[0].descriptor.astype(np.float32)[None], 1)
    assert ranking.scores[0, 0] == pytest.approx(1.0, abs=2e-3)


def test_many_small_changes_are_merged(grown):
    for step in range(7):
        write(grown, made_rows(PHOTOS + 5 * step, 5, grown.model.dim))
    index = kept(grown)
    assert len(index.parts) <= kept_approximate.MOST_PARTS
    assert len(index) == PHOTOS + 35
    same_as_exact(grown, index, share=0.85)


def test_filters_come_before_the_search(grown):
    index = kept(grown)
    exact = Collection.open(grown.path, model=grown.model)._resident.current()
    queries = exact.descriptors(exact.ids[:20])
    for allowed in (exact.ids[::2], exact.ids[:30], exact.ids[:0], np.array([10**9])):
        ours, true = index.search(queries, 10, allowed=allowed), exact.search(queries, 10, allowed=allowed)
        # As many answers as there are, none that is not allowed.
        np.testing.assert_array_equal((ours.ids >= 0).sum(axis=1), (true.ids >= 0).sum(axis=1))
        assert np.isin(ours.ids[ours.ids >= 0], allowed).all()
    few = exact.ids[:30]
    np.testing.assert_array_equal(
        index.search(queries, 10, allowed=few).ids, exact.search(queries, 10, allowed=few).ids
    )


def test_a_filter_of_photos_that_are_far_from_the_query_has_all_its_answers(grown, monkeypatch):
    monkeypatch.setattr(approximate, "FEWEST_ALLOWED", 0)
    monkeypatch.setattr(approximate, "LARGEST_SHARE", 1.0)
    index = kept(grown)
    exact = Collection.open(grown.path, model=grown.model)._resident.current()
    queries = exact.descriptors(exact.ids[:10])
    for query in queries:
        far = exact.search(query[None], PHOTOS).ids[0, -200:]
        index.efforts = [Effort(10, 1, 2)]
        ours, true = index.search(query[None], 10, allowed=far), exact.search(query[None], 10, allowed=far)
        assert (ours.ids >= 0).all()
        assert np.isin(ours.ids, far).all()
        assert len(np.intersect1d(ours.ids, true.ids)) >= 5


def test_rankings_are_padded_and_not_without_bound(grown):
    index = kept(grown)
    queries = index.descriptors(index.ids[:2])
    ranking = index.search(queries, PHOTOS + 7)
    assert ranking.ids.shape == (2, PHOTOS + 7)
    assert (ranking.ids[:, -7:] == -1).all()
    assert (ranking.ids[:, :-7] >= 0).all()
    with pytest.raises(InvalidInput, match="ask for no more"):
        index.search(queries, 10**8)
    for wrong in (0, -1):
        with pytest.raises(InvalidInput, match="at least 1"):
            index.search(queries, wrong)
    with pytest.raises(InvalidInput, match="floating-point of shape"):
        index.search(queries[:, 1:], 5)


def test_a_file_that_a_writer_removed_meanwhile_is_looked_for_again(grown, monkeypatch):
    store = Store.open(grown.path)
    keeper = ApproximateKept(store.header.search_choice)
    opened = kept_approximate._opened
    calls = []

    def late(store: Store, head: object) -> ApproximateIndex:
        if not calls:
            calls.append(head)
            # Between the head and the files it names, a writer has removed a photo.
            other = Collection.open(grown.path, model=grown.model)
            monkeypatch.setattr(kept_approximate, "_opened", opened)
            other.remove([grown.path.parent / "files" / "00007.jpg"])
            monkeypatch.setattr(kept_approximate, "_opened", late)
        return opened(store, head)

    monkeypatch.setattr(kept_approximate, "_opened", late)
    # The head is of a later version than this store: the caller looks at the table again first.
    assert keeper.open(store) is None
    store.refresh()
    index = keeper.open(store)
    assert len(index) == PHOTOS - 1


def test_more_answers_than_it_was_measured_for_are_exact(grown):
    index, exact = kept(grown), Collection.open(grown.path, model=grown.model)._resident.current()
    queries = exact.descriptors(exact.ids[:3])
    ours, true = index.search(queries, 1100), exact.search(queries, 1100)
    np.testing.assert_array_equal(ours.ids, true.ids)
    np.testing.assert_array_equal(ours.scores, true.scores)


def test_a_writer_at_work_is_followed_in_memory(grown):
    with writing(grown.path, None, timeout=5) as store:
        store.upsert(rows_table(made_rows(PHOTOS, 20, store.header.dim), store.header.dim))
        store.drop(np.array([Store.open(grown.path).table([])["_rowid"][0].as_py()]))
        behind = kept(grown)
        assert len(behind) == PHOTOS + 19
        assert len(behind.added) == 20
        same_as_exact(grown, behind, share=0.85)


def damage(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", ["rows", "codes", "trained"])
@pytest.mark.parametrize("place", [0.3, 1.0])
def test_a_damaged_file_is_not_searched_and_is_made_anew(grown, suffix, place):
    (path,) = (grown.path / FOLDER).glob(f"*.{suffix}")
    damage(path, place)
    opened = Collection.open(grown.path, model=grown.model)
    exact = opened._resident.current()
    queries = exact.descriptors(exact.ids[::100])
    described = opened.searcher.describe(photo_query())
    ranked = opened.searcher.rank([described])[0]
    true = exact.search(described.descriptor[None], ranked.ranking.k)
    found = kept_or_none(grown)
    if found is None:
        # Noticed when it was opened: the answers are those of the exact scan.
        np.testing.assert_array_equal(ranked.ranking.ids, true.ids)
    else:
        with pytest.raises(Exception, match="is damaged"):
            found.search(queries, 1100)
    if found is None:
        write(grown, made_rows(PHOTOS, 1, grown.model.dim))
        same_as_exact(grown, kept(grown), share=0.85)


def test_a_row_that_is_another_in_the_table_is_told(grown):
    store = Store.open(grown.path)
    keeper = ApproximateKept(store.header.search_choice)
    assert keeper.differences(store) == []
    index = kept(grown)
    rows = made_rows(3, 1, grown.model.dim, seed=4)
    # Behind the index's back: not through a writer of the collection.
    store.upsert(rows_table(rows, store.header.dim))
    head = json.loads((grown.path / FOLDER / "head.json").read_text().splitlines()[1])
    assert head["version"] < store.version
    assert keeper.differences(store) == []
    text = json.dumps(head | {"version": store.version})
    (grown.path / FOLDER / "head.json").write_text(f"{zlib.crc32(text.encode()):08x}\n{text}\n")
    (sentence,) = keeper.differences(store)
    assert "other descriptors of 1 photos" in sentence
    damage(next((grown.path / FOLDER).glob("*.rows")), 0.5)
    (sentence,) = keeper.differences(store)
    assert "is damaged: searches are exact until" in sentence
    assert sentence in Collection.open(grown.path, model=grown.model).check(sample=0).problems
    (grown.path / FOLDER / "head.json").unlink()
    assert "missing or damaged" in keeper.differences(store)[0]
    assert len(index) == PHOTOS


def photo_query():
    from resight.collection import Query

    pixels = np.random.default_rng(3).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return Query(pixels, verify=0)


def kept_or_none(collection: Collection) -> ApproximateIndex | None:
    store = Store.open(collection.path)
    return ApproximateKept(store.header.search_choice).open(store)


def test_damage_met_during_a_search_is_answered_by_the_exact_scan(grown):
    (path,) = (grown.path / FOLDER).glob("*.rows")
    data = bytearray(path.read_bytes())
    # Every list: a bit of each descriptor.
    data[: 2 * grown.model.dim * PHOTOS : 2 * grown.model.dim] = bytes(PHOTOS)
    path.write_bytes(data)
    opened = Collection.open(grown.path, model=grown.model)
    ranked = opened.searcher.rank([opened.searcher.describe(photo_query())])[0]
    exact = opened._resident.current()
    true = exact.search(ranked.described.descriptor[None], ranked.ranking.k)
    np.testing.assert_array_equal(ranked.ranking.ids, true.ids)
    assert opened._resident.searched() is exact
    assert told(opened)


def told(collection: Collection) -> bool:
    """Whether an answer says that the index is damaged, and what to do."""
    sentences = [
        note for note in collection.answer(photo_query()).notes if "the search index is damaged" in note
    ]
    assert all(
        f"`resight index PHOTOS --collection {collection.path}` makes it anew" in one for one in sentences
    )
    return len(sentences) == 1


def test_an_answer_says_that_the_index_is_damaged_until_it_is_made_anew(grown):
    folder = grown.path / FOLDER
    assert not told(Collection.open(grown.path, model=grown.model))
    for name in ("head.json", next(folder.glob("*.trained")).name, next(folder.glob("*.codes")).name):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-7])
        opened = Collection.open(grown.path, model=grown.model)
        assert told(opened), name
        (folder / name).write_bytes(whole)
        assert told(opened)
        assert not told(Collection.open(grown.path, model=grown.model)), name
    (folder / "head.json").unlink()
    opened = Collection.open(grown.path, model=grown.model)
    assert told(opened)
    opened.choose_search()
    assert not told(opened)


def test_files_of_other_sizes_names_and_collections_are_not_used(grown, tmp_path):
    head = grown.path / FOLDER / "head.json"
    whole = head.read_text()

    def changed(**values) -> None:
        text = json.dumps(json.loads(whole.splitlines()[1]) | values)
        head.write_text(f"{zlib.crc32(text.encode()):08x}\n{text}\n")

    written = json.loads(whole.splitlines()[1])
    for values in (
        {"identity": "another"},
        {"fingerprint": "another"},
        {"format": 2},
        {"dim": 4},
        {"version": 10**6},
        {"parts": [["../../etc/passwd", 5, 0]]},
        {"parts": [[written["parts"][0][0], 10**9, 0]]},
        {"parts": [[written["parts"][0][0], -1, 0]]},
        {"trained": [*written["trained"][:2], 10**9, written["trained"][3]]},
        {"trained": [written["trained"][0], "ivf-flat", *written["trained"][2:]]},
        {"efforts": [[10, -5, 2]]},
        {"efforts": "many"},
    ):
        changed(**values)
        assert kept_or_none(grown) is None, values
    head.write_text(whole.replace("0", "1", 1))
    assert kept_or_none(grown) is None
    head.unlink()
    assert kept_or_none(grown) is None
    # The next writer makes it anew.
    write(grown, made_rows(PHOTOS, 1, grown.model.dim))
    same_as_exact(grown, kept(grown), share=0.85)


def test_it_is_built_anew_when_its_recall_falls(grown, monkeypatch):
    before = kept(grown).codes
    monkeypatch.setattr(kept_approximate, "_recall", lambda index: 0.5)
    write(grown, made_rows(PHOTOS, 20, grown.model.dim))
    # A hundredth of the photos has changed: nothing is measured.
    np.testing.assert_array_equal(kept(grown).codes.centroids, before.centroids)
    write(grown, made_rows(PHOTOS + 20, 200, grown.model.dim))
    assert not np.array_equal(kept(grown).codes.centroids, before.centroids)


def test_recall_is_measured_again_after_many_changes(grown):
    write(grown, made_rows(PHOTOS, 200, grown.model.dim))
    info = Collection.open(grown.path, model=grown.model).info().search_index
    assert info.bytes >= (PHOTOS + 200) * (grown.model.dim + 16)
    assert 0.85 <= info.recall <= 1.0


def test_the_loss_in_mean_average_precision_is_that_of_a_literal_loop(grown, monkeypatch):
    monkeypatch.setattr(measuring, "_MAP_DEPTH", 5)
    index = kept(grown)
    exact = Collection.open(grown.path, model=grown.model)._resident.current()
    # Labels that say nothing of the photos: the two searches find others of them.
    rng = np.random.default_rng(2)
    labels = dict(zip(np.sort(exact.ids).tolist(), rng.integers(0, 8, PHOTOS).tolist(), strict=True))
    counts = {label: list(labels.values()).count(label) for label in labels.values()}
    asked = np.sort(exact.ids)[np.linspace(0, PHOTOS - 1, 200).astype(int)]
    means = []
    for searched in (exact, index):
        precisions = []
        for one in asked.tolist():
            index.efforts = [Effort(6, 1, 4)]
            every = searched.search(exact.descriptors(np.array([one])), 6).ids[0].tolist()
            answers = [other for other in every if other not in (one, -1)][:5]
            right, total = 0, 0.0
            for place, other in enumerate(answers, 1):
                if labels[other] == labels[one]:
                    right += 1
                    total += right / place
            precisions.append(total / min(5, counts[labels[one]] - 1))
        means.append(sum(precisions) / len(precisions))
    index.efforts = [Effort(5, 1, 4)]
    assert means[0] != means[1]
    assert map_loss(index, labels) == pytest.approx(means[0] - means[1], abs=1e-9)
    assert index.efforts == [Effort(5, 1, 4)]
    assert map_loss(index, dict.fromkeys(labels)) is None


def test_the_loss_of_labelled_photos_is_kept(grown):
    with pytest.raises(InvalidInput, match="no metadata column 'place'"):
        grown.choose_search(SearchChoice("auto", label="place", recall=0.9))
    values = pa.table(
        {"root": pa.array([0] * PHOTOS, pa.int32()), "path": [f"{n:05d}.jpg" for n in range(PHOTOS)]}
    )
    with writing(grown.path, None, timeout=5) as store:
        store.add_columns([pa.field("place", pa.int64())])
        store.upsert(values.append_column("place", pa.array([n % 60 for n in range(PHOTOS)], pa.int64())))
    figures = grown.choose_search(SearchChoice("auto", label="place", recall=0.9))
    assert -0.05 < figures.map_loss < 0.2
    assert Collection.open(grown.path, model=grown.model).info().search_index.map_loss == figures.map_loss


def test_exact_again_removes_it(grown):
    assert grown.choose_search("exact").kind == "exact"
    assert not (grown.path / FOLDER).exists()


def test_a_budget_that_cannot_be_met_is_refused_and_nothing_changes(grown):
    before = grown.info().search_index
    with pytest.raises(InvalidInput, match="the smallest index takes"):
        grown.choose_search(SearchChoice("auto", memory=1000))
    assert grown.info().search_index == before
    same_as_exact(grown, kept(grown), share=0.85)


def test_few_photos_over_their_budget_are_refused_in_words(collection, photos):
    collection.add(photos)
    needed = 12 * (2 * collection.model.dim + 8)
    with pytest.raises(
        InvalidInput, match=rf"takes {needed:,} bytes of memory, and {needed - 1:,} are allowed"
    ):
        collection.choose_search(SearchChoice("auto", memory=needed - 1))
    assert collection.choose_search(SearchChoice("auto", memory=needed)).kind == "exact"
    # A collection that grows beyond what was chosen for it is written as before.
    write_photo(photos / "b" / "new.png", 77)
    assert collection.add(photos).added == 1
    assert collection.info().search_index.bytes == 13 * (2 * collection.model.dim + 8)


def test_photos_that_outgrow_their_budget_go_on_with_the_index_that_there_is(grown, monkeypatch):
    memory = kept(grown).parts[0].code_lists.size + 2_000_000
    assert grown.choose_search(SearchChoice("auto", recall=0.95, memory=memory)).kind == "ivf-sq8"
    monkeypatch.setattr(building, "_fits", lambda *_: False)
    monkeypatch.setattr(kept_approximate, "BUILT_AGAIN", 1.1)
    with writing(grown.path, None, timeout=5) as store:
        choice = replace(store.header.search_choice, memory=1000)
        store.write_header(replace(store.header, search_choice=choice))
    before = kept(grown).codes
    write(grown, made_rows(PHOTOS, 400, grown.model.dim))
    assert np.array_equal(kept(grown).codes.centroids, before.centroids)
    same_as_exact(grown, kept(grown), share=0.85)
    figures = grown.info().search_index
    assert (figures.kind, len(kept(grown))) == ("ivf-sq8", PHOTOS + 400)
    assert figures.bytes > 1000
    shutil.rmtree(grown.path / FOLDER)
    write(grown, made_rows(PHOTOS + 400, 1, grown.model.dim))
    assert grown.info().search_index.kind == "exact"


def test_another_kind_that_cannot_be_had_leaves_the_index(grown, monkeypatch):
    pytest.importorskip("pymilvus")
    from resight.collection.kept_milvus import MilvusKept

    def down(*_: object) -> None:
        raise StorageFailed("the search index does not answer")

    monkeypatch.setattr(MilvusKept, "build", down)
    before = grown.info().search_index
    with pytest.raises(StorageFailed, match="does not answer"):
        grown.choose_search("milvus+http://127.0.0.1:9")
    assert grown.info().search_index == before
    same_as_exact(grown, kept(grown), share=0.85)


def test_a_removal_on_a_full_disk_takes_the_index_with_it(grown, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_approximate, "write_rows", full)
    assert grown.remove([grown.path.parent / "files" / "00005.jpg"]) == 1
    assert not (grown.path / FOLDER).exists()
    assert Collection.open(grown.path, model=grown.model).info().search_index.kind == "exact"
    monkeypatch.undo()


KILLED = """
import os, sys
from resight.collection import kept_approximate
from resight.search.approximate import building, measuring
from resight.search.approximate import index as approximate
sys.path.insert(0, {tests!r})
from grid_model import grid_model
from made_photos import write_photo
from resight.collection import Collection
kept_approximate.AUTO_FROM, building._WORTH, building.CODE_KINDS = 1000, 1e9, ("ivf-sq8",)
at, calls = int(sys.argv[2]), 0
def dying(work):
    def replaced(*args):
        global calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), 9)
        return work(*args)
    return replaced
for module, names in (
    (building, ("write_rows", "write_codes")),
    (kept_approximate, ("_write_trained", "write_head", "remove_unnamed")),
):
    for name in names:
        setattr(module, name, dying(getattr(module, name)))
Collection.open(sys.argv[1], model=grid_model()).choose_search("auto")
"""


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6])
def test_a_killed_build_leaves_a_collection_that_is_searched_and_nothing_for_ever(grown, at):
    script = KILLED.format(tests=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", script, str(grown.path), str(at)], env=dict(os.environ), check=False
    )
    assert done.returncode == -signal.SIGKILL
    same_as_exact(grown, kept(grown), share=0.85)
    write(grown, made_rows(PHOTOS, 1, grown.model.dim))
    index = kept(grown)
    same_as_exact(grown, index, share=0.85)
    names = {path.name for path in (grown.path / FOLDER).iterdir()}
    assert len(names) == 2 * len(index.parts) + 2


def test_a_disk_that_refuses_the_build_is_told(grown, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(building, "write_rows", full)
    with pytest.raises(StorageFailed, match="No space left"):
        grown.choose_search(SearchChoice("auto", recall=0.8))
    assert Collection.open(grown.path, model=grown.model).info().search_index.kind == "ivf-sq8"
