"""Rankings that somebody else made, as they should be and as they come."""

from __future__ import annotations

import json

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.search.imported import read_rankings


def query(**changes):
    """A query of two answers; a change to None leaves a key out."""
    made = {
        "id": "q1",
        "descriptor": [3.0, 4.0],
        "ids": ["a", "b"],
        "scores": [0.9, 0.7],
        "descriptors": [[0.0, 2.0], [1.0, 0.0]],
    }
    return {key: value for key, value in {**made, **changes}.items() if value is not None}


@pytest.fixture
def write(tmp_path):
    def write_file(*queries, **others):
        path = tmp_path / "topk.json"
        path.write_text(json.dumps({"queries": list(queries), **others}))
        return path

    return write_file


def test_a_file_is_read_and_descriptors_brought_to_unit_length(write):
    given = read_rankings(write(query(), query(id="q2", ids=["b"], scores=[-3], descriptors=[[1, 0]])))
    assert [one.name for one in given.queries] == ["q1", "q2"]
    np.testing.assert_allclose(given.queries[0].descriptor, [0.6, 0.8], atol=1e-7)
    assert given.answers == ("a", "b")
    np.testing.assert_array_equal(given.ranking.ids, [[0, 1], [1, -1]])
    np.testing.assert_array_equal(given.ranking.scores, np.float32([[0.9, 0.7], [-3, -np.inf]]))
    np.testing.assert_array_equal(np.stack(given.descriptors), [[0, 1], [1, 0]])
    assert given.photos == (None, None)


def test_what_queries_share_is_said_once_and_comes_from_a_matrix(write, tmp_path):
    np.save(tmp_path / "database.npy", np.array([[0, 5], [2, 0], [1, 1]], np.float16))
    database = {"ids": [7, 8, "a"], "descriptors": "database.npy", "photos": ["7.jpg", None, "a.jpg"]}
    asked = {"photo": "q.jpg", "ids": ["a", 8]}
    given = read_rankings(write(asked, {"ids": []}, database=database))
    assert [one.name for one in given.queries] == ["q.jpg", "2"]
    assert given.queries[0].photo == tmp_path / "q.jpg"
    assert given.queries[0].descriptor is None
    assert given.answers == (7, 8, "a")
    np.testing.assert_array_equal(given.ranking.ids, [[2, 1], [-1, -1]])
    # Without scores the order alone counts.
    np.testing.assert_array_equal(given.ranking.scores[0], [0, -1])
    np.testing.assert_allclose(np.stack(given.descriptors), [[0, 1], [1, 0], [0.5**0.5] * 2], atol=1e-7)
    assert given.photos == (tmp_path / "7.jpg", None, tmp_path / "a.jpg")


def test_a_missing_descriptor_is_left_open(write):
    given = read_rankings(
        write(query(descriptors=[[1, 0], None]), query(ids=["c"], scores=None, descriptors=None))
    )
    assert given.descriptors[0] is not None
    assert given.descriptors[1:] == (None, None)


WRONG = [
    (query(ids=["a", "a"]), "query 'q1' lists id 'a' twice"),
    (query(ids=["a", 1.5]), "an id of query 'q1' must be a text or a whole number, not 1.5"),
    (query(ids=["a", True]), "not True"),
    (query(ids=None), "'ids' of query 'q1' must be a list, got nothing"),
    (query(scores=[0.7, 0.9]), r"scores of query 'q1' increase at rank 2 \(0.7, then 0.9\).*minus sign"),
    (query(scores=[0.7]), "'scores' of query 'q1' has 1 entries for 2 ids"),
    (query(scores=[0.7, float("nan")]), "score 2 of query 'q1' must be a finite number, not nan"),
    (query(scores=["0.7", 0.1]), "score 1 of query 'q1' must be a finite number, not '0.7'"),
    (query(descriptors=[[1, 0]]), "'descriptors' of query 'q1' has 1 entries for 2 ids"),
    (query(descriptors=[[1, 0], [1, 0, 0]]), "id 'b' of query 'q1' has 3 numbers, others have 2"),
    (query(descriptors=[[1, 0], [1, float("nan")]]), "id 'b' of query 'q1' holds NaN"),
    (query(descriptors=[[1, 0], [0, 0]]), "or is all zero"),
    (query(descriptors=[[1, 0], "x"]), "id 'b' of query 'q1' must be a list of numbers"),
    (query(descriptors=[[1, 0], [[1], [0]]]), "must be a list of numbers, got shape"),
    (query(descriptor=[1, "x"]), "the descriptor of query 'q1' must be a list of numbers"),
    (query(descriptor=[]), "must be a list of numbers, got shape"),
    (query(photos=["a.jpg", 3]), "a photo of query 'q1' must be the name of a file, not 3"),
    (query(score=[1]), "a query has no 'score'; it takes id, descriptor"),
    (["q1"], r"a query must be an object \{...\}, not a list"),
]


@pytest.mark.parametrize(("asked", "words"), WRONG)
def test_what_is_wrong_with_a_query_is_said(write, asked, words):
    with pytest.raises(InvalidInput, match=words) as refusal:
        read_rankings(write(asked))
    assert "topk.json" in str(refusal.value)


def test_what_is_wrong_with_the_file_is_said(write, tmp_path):
    with pytest.raises(InvalidInput, match=r"cannot read the rankings .*none.json: No such file"):
        read_rankings(tmp_path / "none.json")
    whole = write(query()).read_bytes()
    cut = tmp_path / "cut.json"
    cut.write_bytes(whole[:-7])
    with pytest.raises(InvalidInput, match=r"cut.json is no JSON or is cut off: .*line 1"):
        read_rankings(cut)
    cut.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InvalidInput, match="is no JSON"):
        read_rankings(cut)
    cut.write_text("[]")
    with pytest.raises(InvalidInput, match="the file must be an object"):
        read_rankings(cut)
    cut.write_text("{}")
    with pytest.raises(InvalidInput, match="'queries' of the file must be a list, got nothing"):
        read_rankings(cut)
    with pytest.raises(InvalidInput, match="it lists no queries"):
        read_rankings(write())
    with pytest.raises(InvalidInput, match="another descriptor than before"):
        read_rankings(write(query(), query(descriptors=[[0, 1], [0, 1]])))
    with pytest.raises(InvalidInput, match="the file has no 'querys'"):
        read_rankings(write(query(), querys=[]))


def test_what_is_wrong_with_a_matrix_is_said(write, tmp_path):
    file = write({"ids": ["a"]}, database={"ids": ["a", "b"], "descriptors": "d.npy"})
    with pytest.raises(InvalidInput, match=r"d\.npy cannot be read: No such file"):
        read_rankings(file)
    np.save(tmp_path / "d.npy", np.ones((3, 2)))
    with pytest.raises(InvalidInput, match=r"d\.npy has 3 rows for 2 ids of the database"):
        read_rankings(file)
    (tmp_path / "d.npy").write_bytes((tmp_path / "d.npy").read_bytes()[:-8])
    with pytest.raises(InvalidInput, match="cut off"):
        read_rankings(file)
    (tmp_path / "d.npy").write_bytes(b"")
    with pytest.raises(InvalidInput, match="cut off"):
        read_rankings(file)
    for array in (np.ones(4), np.array([["a", "b"]] * 2)):
        np.save(tmp_path / "d.npy", array)
        with pytest.raises(InvalidInput, match="one matrix of numbers"):
            read_rankings(file)
    np.save(tmp_path / "d.npy", np.array([[1, 0], [np.nan, 0]]))
    with pytest.raises(InvalidInput, match="id 'b' of the database holds NaN"):
        read_rankings(file)
