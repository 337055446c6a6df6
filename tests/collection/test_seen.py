"""Photos of earlier queries are described once, and their answers are the same."""

from __future__ import annotations

import numpy as np
import pytest

from resight.collection import Query
from resight.collection.seen import SeenPhotos
from resight.errors import InvalidInput, UnreadableImage


@pytest.fixture
def described(collection, monkeypatch) -> list[int]:
    """Numbers of photos that the model is shown at once, one after the other."""
    counts: list[int] = []
    describer = type(collection.model.describer)
    extract = describer.extract

    def counted(self, photos):
        counts.append(len(photos))
        return extract(self, photos)

    monkeypatch.setattr(describer, "extract", counted)
    return counts


def same(one, other) -> bool:
    return [(hit.path, hit.score, hit.inliers) for hit in one] == [
        (hit.path, hit.score, hit.inliers) for hit in other
    ]


def test_the_next_page_and_another_filter_describe_nothing(collection, photos, described):
    content, other = ((photos / "a" / name).read_bytes() for name in ("p03.png", "p04.png"))
    searcher, remembered = collection.searcher, SeenPhotos(8)
    for query, count in (
        (Query(content), 1),
        (Query(content, top=3, verify=0), 1),
        (Query(content, where="width > 1", expand=2), 1),
        (Query([content, other]), 2),
        (Query(other, without=content), 2),
        (Query(content, box=(4, 4, 40, 40)), 3),
        (Query(content, box=(4, 4, 40, 40), verify=2), 3),
        (Query(content, box=(4, 4, 41, 40)), 4),
    ):
        before = len(described)
        (ranked,) = searcher.rank([searcher.describe(query, remembered=remembered)])
        answer = searcher.answer(ranked)
        assert sum(described[:before]) <= count == sum(described)
        now = len(described)
        assert same(answer, collection.answer(query))
        del described[now:]


def test_the_limit_on_pixels_holds_for_what_is_remembered(collection, photos):
    content, remembered = (photos / "a" / "p03.png").read_bytes(), SeenPhotos(8)
    collection.searcher.describe(Query(content), remembered=remembered)
    with pytest.raises(UnreadableImage, match="pixels"):
        collection.searcher.describe(Query(content, max_pixels=10), remembered=remembered)


def test_what_may_change_and_what_fails_is_not_remembered(collection, photos, described):
    searcher, remembered = collection.searcher, SeenPhotos(8)
    path = photos / "a" / "p03.png"
    for _ in range(2):
        searcher.describe(Query(path), remembered=remembered)
        with pytest.raises(InvalidInput, match="the box"):
            searcher.describe(Query(path.read_bytes(), box=(900, 900, 901, 901)), remembered=remembered)
    assert sum(described) == 2


def test_those_not_asked_for_the_longest_go(collection, photos, described):
    searcher, remembered = collection.searcher, SeenPhotos(2)
    contents = [(photos / "a" / f"p0{number}.png").read_bytes() for number in range(3)]
    for number in (0, 1, 0, 2, 0, 1):
        searcher.describe(Query(contents[number]), remembered=remembered)
    # The last one had gone for the third.
    assert sum(described) == 4
    none = SeenPhotos(0)
    seen = [searcher.describe(Query(contents[0]), remembered=none).descriptor for _ in range(2)]
    assert sum(described) == 6
    np.testing.assert_array_equal(*seen)
