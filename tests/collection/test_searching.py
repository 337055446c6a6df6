"""Searching a collection."""

from __future__ import annotations

import math
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from grid_model import grid_model
from made_photos import picture, stored, write_photo
from PIL import Image

from resight import scenes
from resight.collection import Collection, Query
from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box
from resight.search.exact import ExactIndex
from resight.search.expansion import search_expanded


def test_scores_are_those_of_brute_force_over_what_is_stored(collection, photos, model):
    query = photos / "a" / "p02.png"
    table = stored(collection).to_table(columns=["path", "descriptor"], with_row_id=True)
    halves = table["descriptor"].combine_chunks().flatten().to_numpy().reshape(12, -1).astype(np.float64)
    scores = halves @ model.describe([query])[0].astype(np.float64)
    order = np.argsort(-scores)
    hits = collection.search(query, top=12, verify=0)
    assert [hit.path for hit in hits] == [str(photos / table["path"][place].as_py()) for place in order]
    np.testing.assert_allclose([hit.score for hit in hits], scores[order], atol=1e-6)
    assert [hit.rank for hit in hits] == list(range(1, 13))
    assert hits[0].path == str(query)
    assert (hits[0].width, hits[0].height) == (96, 64)
    assert hits[0].inliers is None
    assert hits[0].box is None


def test_top_limits_and_more_than_there_are_is_no_error(collection, photos):
    query = photos / "a" / "p02.png"
    assert len(collection.search(query, top=3)) == 3
    assert len(collection.search(query, top=1000)) == 12


def test_empty_collection_has_no_answers(tmp_path, photos, model):
    collection = Collection.create(tmp_path / "c", model=model)
    answer = collection.answer(Query(photos / "a" / "p00.png", verify=10, expand=2))
    assert (answer.hits, answer.searched) == ([], 0)


def test_verification_says_where_the_thing_is(collection, photos):
    query = photos / "a" / "p02.png"
    first, *others = collection.search(query, top=12, verify=5)
    assert first.path == str(query)
    assert first.inliers >= 30
    assert first.score == first.similarity == pytest.approx(1, abs=0.01)
    assert first.verdict == "confirmed"
    assert first.query == 0
    assert len(first.match.query_points) == len(first.match.answer_points) == first.inliers
    np.testing.assert_allclose(first.match.query_points, first.match.answer_points, atol=1e-3)
    np.testing.assert_allclose(first.match.transform, np.eye(3), atol=1e-3)
    np.testing.assert_allclose(first.box.corners, (0, 0, 96, 64), atol=0.1)
    assert sum(hit.inliers is not None for hit in others) == 4
    assert 3 <= first.match.expected < first.inliers
    assert [hit.match is None for hit in others] == [hit.inliers is None for hit in others]
    assert [hit.verdict == "unchecked" for hit in others] == [hit.match is None for hit in others]
    order = [(hit.match is not None, _evidence(hit)) for hit in [first, *others]]
    assert order == sorted(order, reverse=True)


def _evidence(hit):
    """What orders verified answers: similarity and the inliers beyond what chance reaches."""
    beyond = 0.0 if hit.match is None else max(0.0, hit.inliers - 1.25 * hit.match.expected)
    return hit.similarity + 2 * math.log(1 + beyond)


def test_verified_photos_of_another_size_are_told_in_their_own_pixels(collection, photos, tmp_path):
    large = tmp_path / "more" / "large.png"
    write_photo(large, 2, width=96, height=64)
    shown = cv2.resize(cv2.imread(str(large)), (480, 320), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(large), shown)
    collection.add(large)
    hit = next(
        hit
        for hit in collection.search(photos / "a" / "p02.png", top=12, verify=12)
        if hit.path == str(large)
    )
    assert (hit.width, hit.height) == (480, 320)
    assert hit.match.transform[0, 0] == pytest.approx(5, rel=0.05)
    np.testing.assert_allclose(hit.box.corners, (0, 0, 480, 320), atol=12)


def test_verification_changes_the_order(collection, photos, monkeypatch):
    # The query is p02 with another picture in the half that weighs most in the descriptor of p01.
    query = photos.parent / "mixed.png"
    mixed = picture(1).copy()
    mixed[:, 56:] = picture(2)[:, 56:]
    cv2.imwrite(str(query), mixed)
    plain = collection.search(query, top=12, verify=0)
    verified = collection.search(query, top=12, verify=12)
    assert {hit.path for hit in plain} == {hit.path for hit in verified}
    scores = [_evidence(hit) for hit in verified]
    assert scores == sorted(scores, reverse=True)
    assert verified[0].path == str(photos / "a" / "p01.png")


def test_box_searches_for_a_part(collection, photos):
    query = photos.parent / "wide.png"
    cv2.imwrite(str(query), np.hstack([picture(4), picture(5)]))
    box = Box(96, 0, 192, 64)
    answer = collection.answer(Query(query, top=1, box=box, verify=1))
    assert answer.hits[0].path == str(photos / "a" / "p05.png")
    assert (answer.queries[0].box, answer.queries[0].width, answer.queries[0].height) == (box, 192, 64)
    np.testing.assert_allclose(answer.hits[0].match.query_points[:, 0].min(), 96 + 3.5 * 1.5, atol=1.5)
    np.testing.assert_allclose(answer.hits[0].box.corners, (0, 0, 96, 64), atol=3)
    assert collection.search(query, top=1, box=(0, 0, 96, 64))[0].path == str(photos / "a" / "p04.png")


def test_filter_is_applied_before_the_search(collection, photos):
    values = {str(path): {"year": 2000 + number} for number, path in enumerate(sorted(photos.rglob("*.png")))}
    collection.add(photos, metadata=values)
    query = photos / "a" / "p00.png"
    # The best two of those that pass, however far behind they are without the filter.
    answer = collection.answer(Query(query, top=2, where="year >= 2010", verify=0))
    assert answer.searched == 2
    assert {hit.path for hit in answer.hits} == {str(photos / "b" / "p10.png"), str(photos / "b" / "p11.png")}
    assert {hit.metadata["year"] for hit in answer.hits} == {2010, 2011}
    everyone = [hit.path for hit in collection.search(query, top=12, verify=0)]
    assert [hit.path for hit in answer.hits] == [
        path for path in everyone if path.endswith(("10.png", "11.png"))
    ]
    assert collection.search(query, where="year > 3000", expand=3, verify=3) == []
    assert len(collection.search(query, where="path LIKE 'b/%'", top=50)) == 5


@pytest.mark.parametrize("where", ["nothing = 3", "year >", "", "width = 'wide'"])
def test_wrong_filters_are_refused(collection, photos, where):
    with pytest.raises(InvalidInput, match="filter"):
        collection.search(photos / "a" / "p00.png", where=where)


def test_several_photos_make_one_query(collection, photos):
    queries = [photos / "a" / "p01.png", photos / "b" / "p08.png"]
    answer = collection.answer(Query(queries, top=2, verify=2))
    assert {hit.path for hit in answer.hits} == {str(query) for query in queries}
    assert {(hit.query, hit.path) for hit in answer.hits} == {(0, str(queries[0])), (1, str(queries[1]))}
    assert [photo.path for photo in answer.queries] == [str(query) for query in queries]


def test_unwanted_photos_push_answers_away(collection, photos):
    query = photos.parent / "both.png"
    cv2.imwrite(str(query), ((picture(1).astype(int) + picture(2)) // 2).astype(np.uint8))
    disliked = photos / "a" / "p01.png"
    # Much like it, but not the same picture, which would be left out.
    unwanted = photos.parent / "unwanted.png"
    cv2.imwrite(str(unwanted), (picture(1) * 0.9 + picture(5) * 0.1).astype(np.uint8))

    def score_of(hits):
        return next(hit.score for hit in hits if hit.path == str(disliked))

    answer = collection.answer(Query(query, top=12, without=[unwanted], verify=0))
    assert [photo.wanted for photo in answer.queries] == [True, False]
    assert score_of(answer.hits) < score_of(collection.search(query, top=12, verify=0))
    assert answer.hits[0].path == str(photos / "a" / "p02.png")


@pytest.mark.parametrize("verify", [0, 5])
def test_an_unwanted_photo_and_its_copies_are_left_out(collection, photos, verify):
    unwanted = photos / "a" / "p01.png"
    copy = photos / "b" / "copy.png"
    copy.write_bytes(unwanted.read_bytes())
    collection.add(photos)
    answer = collection.answer(Query(photos / "a" / "p02.png", top=13, without=unwanted, verify=verify))
    paths = [hit.path for hit in answer.hits]
    assert len(paths) == 11
    assert not {str(unwanted), str(copy)} & set(paths)
    assert [hit.rank for hit in answer.hits] == list(range(1, 12))


def test_what_shows_an_unwanted_place_goes_however_it_was_edited(tmp_path):
    places = [[Image.fromarray(scenes.render_view(n, v, seed=4, side=320)) for v in (0, 1)] for n in range(3)]
    unwanted, (width, height) = places[0][0], places[0][0].size
    edits = {
        "smaller": unwanted.resize((width * 2 // 3, height * 2 // 3)),
        "cropped": unwanted.crop((width // 5, height // 5, width, height)),
        "turned": unwanted.transpose(Image.Transpose.ROTATE_90),
        "darker": unwanted.point(lambda level: level * 0.6),
    }
    (tmp_path / "p").mkdir()
    for name, photo in (
        edits | {"first": places[1][0], "second": places[1][1], "third": places[2][0]}
    ).items():
        photo.save(tmp_path / "p" / f"{name}.png")
    collection = Collection.create(tmp_path / "c", model="sift")
    collection.add(tmp_path / "p")

    def left(verify, *without):
        # The box is one of the query, not of what must not be.
        query = Query(edits["smaller"], without=without, verify=verify, box=(0, 0, 150, 150))
        return {Path(hit.path).stem for hit in collection.answer(query).hits}

    others = {"first", "second", "third"}
    assert left(100, unwanted) == others
    # However few are looked at, those that move up are looked at as well.
    assert left(3, unwanted) == others
    assert left(100, unwanted, places[2][0]) <= {"first", "second"}
    with pytest.raises(InvalidInput, match="nothing in the query photo can be recognised"):
        left(100, Image.new("RGB", (200, 200), "white"))


def test_expansion_uses_the_best_answers(collection, photos, model):
    query = photos / "a" / "p01.png"
    table = stored(collection).to_table(columns=["path", "descriptor"], with_row_id=True)
    index = ExactIndex(192, fingerprint="x")
    index.add(
        table["_rowid"].to_numpy().astype(np.int64),
        table["descriptor"].combine_chunks().flatten().to_numpy().reshape(12, -1),
    )
    expected = search_expanded(index, model.describe([query]), 12, n=3)
    hits = collection.search(query, top=12, expand=3, verify=0)
    np.testing.assert_array_equal([hit.score for hit in hits], expected.scores[0])
    assert [hit.score for hit in hits] != [hit.score for hit in collection.search(query, top=12, verify=0)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"top": 0}, "top"),
        ({"verify": -1}, "verify"),
        ({"expand": -1}, "expand"),
        ({"box": Box(500, 500, 600, 600)}, "outside"),
    ],
)
def test_wrong_arguments_are_refused(collection, photos, arguments, text):
    with pytest.raises(InvalidInput, match=text):
        collection.search(photos / "a" / "p00.png", **arguments)


def test_wrong_queries_are_refused(collection, photos, tmp_path):
    with pytest.raises(InvalidInput, match="at least one"):
        collection.search([])
    with pytest.raises(InvalidInput, match="one query photo"):
        collection.search([photos / "a" / "p00.png"] * 2, box=Box(0, 0, 5, 5))
    with pytest.raises(UnreadableImage):
        collection.search(tmp_path / "nothing.jpg")


def test_a_model_without_local_features_cannot_verify(tmp_path, photos):
    collection = Collection.create(tmp_path / "c", model=grid_model(with_local=False))
    collection.add(photos)
    assert [hit.match for hit in collection.search(photos / "a" / "p00.png")] == [None] * 10
    with pytest.raises(InvalidInput, match="no local features"):
        collection.search(photos / "a" / "p00.png", verify=5)


def test_an_open_collection_sees_what_another_writes(collection, photos, tmp_path, model):
    reader = Collection.open(tmp_path / "made.resight", model=model)
    query = photos / "a" / "p00.png"
    assert len(reader.search(query, top=50)) == 12
    write_photo(photos / "new.png", 50)
    write_photo(photos / "a" / "p01.png", 51)
    collection.add(photos)
    collection.remove(photos / "b")
    # Everything that the reader held open is gone from the disk by now.
    assert reader.search(photos / "new.png", top=1)[0].path == str(photos / "new.png")
    found = reader.search(photos / "a" / "p01.png", top=50, verify=50)
    assert found[0].path == str(photos / "a" / "p01.png")
    assert len(found) == len(reader) == 8
    answer = reader.answer(Query(photos / "new.png", top=8))
    assert answer.searched == len(answer.hits) == 8


def test_following_gives_the_same_index_as_reading_anew(collection, photos, tmp_path, model):
    reader = Collection.open(tmp_path / "made.resight", model=model)
    rng = np.random.default_rng(3)
    for step in range(12):
        number = int(rng.integers(100))
        write_photo(photos / "a" / f"p{number % 7:02d}.png", 100 + number)
        write_photo(photos / f"n{step}.png", 300 + step)
        if step % 3 == 2:
            (photos / f"n{step - 1}.png").unlink()
        collection.add(photos, forget_missing=True)
        followed = reader.search(photos / "n0.png", top=100)
        anew = Collection.open(tmp_path / "made.resight", model=model).search(photos / "n0.png", top=100)
        assert [(hit.path, hit.score) for hit in followed] == [(hit.path, hit.score) for hit in anew]


def test_a_deleted_and_remade_collection_is_read_anew(collection, photos, tmp_path, model):
    reader = Collection.open(tmp_path / "made.resight", model=model)
    reader.search(photos / "a" / "p00.png")
    shutil.rmtree(tmp_path / "made.resight")
    Collection.create(tmp_path / "made.resight", model=model).add(photos / "b")
    assert len(reader.search(photos / "a" / "p00.png", top=50)) == 5


def test_searching_goes_on_in_threads_while_indexing(collection, photos, tmp_path, model, monkeypatch):
    monkeypatch.setattr("resight.collection.batching.COMMIT_PHOTOS", 1)
    monkeypatch.setattr("resight.collection.batching.COMPACT_EVERY", 2)
    for number in range(40):
        write_photo(photos / f"n{number}.png", 400 + number, width=32, height=32)
    reader = Collection.open(tmp_path / "made.resight", model=model)
    failures: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                hits = reader.search(photos / "a" / "p00.png", top=60, verify=10)
                assert hits[0].path == str(photos / "a" / "p00.png")
                assert len(hits) >= 12
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    collection.add(photos)
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(reader.search(photos / "a" / "p00.png", top=60)) == 52


def test_expansion_by_more_answers_than_there_are_takes_all(collection, photos):
    query = photos / "a" / "p00.png"
    everything = [hit.path for hit in collection.search(query, expand=12, verify=0)]
    assert [hit.path for hit in collection.search(query, expand=100_000_000, verify=0)] == everything
