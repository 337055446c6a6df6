"""Refined searches in a collection equal the refinements of the same descriptors by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_photos import stored, write_photo

from resight.collection import Collection, Query
from resight.errors import InvalidInput
from resight.search import Diffusion, ExactIndex, rerank_reciprocal, rerank_super_global


@pytest.fixture
def index(collection):
    """The collection's descriptors under its row numbers, and the path of each."""
    table = stored(collection).to_table(columns=["path", "descriptor"], with_row_id=True)
    rows = table["descriptor"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    made = ExactIndex(rows.shape[1], fingerprint="a")
    ids = table["_rowid"].to_numpy().astype(np.int64)
    made.add(ids, rows)
    return made, dict(zip(ids.tolist(), table["path"].to_pylist(), strict=True))


@pytest.mark.parametrize("refine", ["diffusion", "reciprocal", "superglobal"])
def test_refined_answers_are_those_of_the_refinement(collection, photos, model, index, refine):
    made, paths = index
    query = model.describe([photos / "a" / "p02.png"])
    plain = made.search(query, 12)
    expected = {
        "diffusion": lambda: Diffusion.of_index(made).rank(query, 12),
        "reciprocal": lambda: rerank_reciprocal(plain, query, made.descriptors, top=100),
        "superglobal": lambda: rerank_super_global(plain, query, made.descriptors, top=400),
    }[refine]()
    hits = collection.search(photos / "a" / "p02.png", top=12, refine=refine, verify=0)
    assert [hit.path for hit in hits] == [str(photos / paths[one]) for one in expected.ids[0].tolist()]
    np.testing.assert_allclose([hit.score for hit in hits], expected.scores[0], atol=1e-6)
    first = collection.search(photos / "a" / "p02.png", top=3, refine=refine, verify=0)
    assert [hit.path for hit in first] == [hit.path for hit in hits[:3]]


def test_refined_answers_can_be_verified(collection, photos):
    refined = collection.search(photos / "a" / "p02.png", top=12, refine="diffusion", verify=0)
    hits = collection.search(photos / "a" / "p02.png", top=12, refine="diffusion", verify=8)
    assert sum(hit.inliers is not None for hit in hits) == 8
    assert {hit.path for hit in hits[:8]} == {hit.path for hit in refined[:8]}
    assert [hit.path for hit in hits[8:]] == [hit.path for hit in refined[8:]]
    beyond = [max(0.0, hit.inliers - 1.25 * hit.match.expected) for hit in hits[:8]]
    order = [hit.similarity + 2 * math.log(1 + each) for hit, each in zip(hits, beyond, strict=False)]
    assert order == sorted(order, reverse=True)


def test_the_graph_is_built_once_a_version(collection, photos, monkeypatch):
    built = []
    real = Diffusion.of_index
    monkeypatch.setattr(
        "resight.search.diffusion.Diffusion.of_index",
        lambda index: built.append(len(index)) or real(index),
    )
    query = photos / "a" / "p02.png"
    for _ in range(2):
        collection.search(query, refine="diffusion")
        collection.search(query, refine="reciprocal")
    assert built == [12]
    collection.add(write_photo(photos / "b" / "new.png", 99))
    found = collection.search(photos / "b" / "new.png", top=13, refine="diffusion")
    assert built == [12, 13]
    assert any(hit.path.endswith("new.png") for hit in found)
    assert len(found) == 13


def test_a_filter_confines_what_is_re_ranked(collection, photos):
    values = {str(path): {"year": 2000 + number} for number, path in enumerate(sorted(photos.rglob("*.png")))}
    collection.add(photos, metadata=values)
    for refine in ("reciprocal", "superglobal"):
        query = Query(photos / "a" / "p00.png", where="year >= 2010", refine=refine, expand=2)
        answer = collection.answer(query)
        assert answer.searched == 2
        assert {hit.path for hit in answer.hits} == {
            str(photos / "b" / "p10.png"),
            str(photos / "b" / "p11.png"),
        }
        assert collection.search(photos / "a" / "p00.png", where="year > 3000", refine=refine) == []


def test_an_empty_collection_has_no_answers(tmp_path, photos, model):
    empty = Collection.create(tmp_path / "c", model=model)
    for refine in ("diffusion", "reciprocal", "superglobal"):
        assert empty.search(photos / "a" / "p00.png", refine=refine) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"refine": "magic"}, "refine is one of diffusion, reciprocal, superglobal, not 'magic'"),
        ({"refine": "diffusion", "where": "width > 0"}, "cannot be confined by a filter"),
        ({"refine": "diffusion", "expand": 3}, "either diffusion or query expansion"),
    ],
)
def test_what_does_not_go_together_is_refused(collection, photos, arguments, words):
    with pytest.raises(InvalidInput, match=words):
        collection.search(photos / "a" / "p00.png", **arguments)
