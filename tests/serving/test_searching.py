"""Searches over the wire give what the library gives, in the form that programs rely on."""

from __future__ import annotations

import pytest

from resight import Query
from resight.collection import Collection


def test_health(live):
    answer = live.get("health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert live.get("ready").json() == {"ready": True, "photos": 15}


def test_a_search_has_the_form_that_programs_rely_on(live, query):
    answer = live.post("search", files={"photo": query}, data={"top": 3}).json()
    assert {"hits", "searched", "seconds"} <= answer.keys()
    assert answer["searched"] == 15
    assert isinstance(answer["seconds"], float)
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    for hit in answer["hits"]:
        assert {"id", "path", "rank", "score", "inliers", "verdict", "box"} <= hit.keys()
    assert answer["hits"][0]["verdict"] == "confirmed"
    assert len(answer["hits"][0]["box"]) == 4


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"verify": "0"}, {"verify": 0}),
        ({"verify": "4"}, {"verify": 4}),
        ({"box": "20,20,200,200"}, {"box": (20, 20, 200, 200)}),
        ({"where": "view > 0"}, {"where": "view > 0"}),
        ({"expand": "2", "verify": "0"}, {"expand": 2, "verify": 0}),
        ({"refine": "reciprocal"}, {"refine": "reciprocal"}),
        ({"top": "15"}, {"top": 15}),
    ],
)
def test_an_answer_over_the_wire_is_that_of_the_library(live, made, query, fields, options):
    ours = Collection.open(made / "photos.resight").search(query, **options)
    theirs = live.post("search", files={"photo": query}, data=fields).json()["hits"]
    assert [hit["path"] for hit in theirs] == [hit.path for hit in ours]
    assert [hit["inliers"] for hit in theirs] == [hit.inliers for hit in ours]
    assert [hit["score"] for hit in theirs] == pytest.approx([min(hit.score, 1.0) for hit in ours])
    assert [hit["id"] for hit in theirs] == [hit.id for hit in ours]


def test_photos_of_the_collection_are_queries_too(live, made, query):
    number = live.ids()["place_000_view_0.jpg"]
    by_id = live.post("search", files={"id": (None, str(number))}).json()
    uploaded = live.post("search", files={"photo": query}).json()
    assert by_id["hits"] == uploaded["hits"]
    assert (by_id["queries"][0]["id"], uploaded["queries"][0]["id"]) == (number, None)


def test_several_photos_and_what_must_not_be_shown(live, made, query):
    other = (made / "photos" / "place_000_view_1.jpg").read_bytes()
    ids = live.ids()
    form = [
        ("photo", query),
        ("photo", other),
        ("without_id", (None, str(ids["place_001_view_0.jpg"]))),
    ]
    answer = live.post("search", files=form, data={"top": "15"}).json()
    assert [photo["wanted"] for photo in answer["queries"]] == [True, True, False]
    asked = Query([query, other], without=[made / "photos" / "place_001_view_0.jpg"], top=15)
    ours = Collection.open(made / "photos.resight").answer(asked)
    assert [hit["path"] for hit in answer["hits"]] == [hit.path for hit in ours]


def test_pages_of_answers_are_the_whole_answer(live, query):
    whole = live.post("search", files={"photo": query}, data={"top": "15"}).json()
    assert not whole["more"]
    paged = []
    for offset in (0, 6, 12):
        page = live.post("search", files={"photo": query}, data={"top": "6", "offset": str(offset)}).json()
        assert page["more"] == (offset < 12)
        paged += page["hits"]
    assert paged == whole["hits"]


def test_matches_of_two_photos_are_those_of_the_search(live, query):
    ids = live.ids()
    first, second = ids["place_000_view_0.jpg"], ids["place_000_view_1.jpg"]
    by_ids = live.get("matches", params={"query": first, "answer": second}).json()
    uploaded = live.post("matches", files={"photo": query}, data={"answer": str(second)}).json()
    hits = live.post("search", files={"photo": query}).json()["hits"]
    (hit,) = [hit for hit in hits if hit["id"] == second]
    assert by_ids["inliers"] == uploaded["inliers"] == hit["inliers"] == len(by_ids["points"])
    assert by_ids["points"] == uploaded["points"]
    assert by_ids["box"] == hit["box"]
    # The transform carries the points of the query to those of the answer.
    x, y, u, v = by_ids["points"][0]
    (a, b, c), (d, e, f), (g, h, i) = by_ids["transform"]
    scale = g * x + h * y + i
    assert ((a * x + b * y + c) / scale, (d * x + e * y + f) / scale) == pytest.approx((u, v), abs=20)


def test_a_photo_is_classified_by_its_neighbours(live, query):
    said = live.post("classify", files={"photo": query}).json()
    assert said["label"] == said["best"] == "place_000"
    assert {vote["label"] for vote in said["votes"]} == {"place_000"}
    number = live.ids()["place_003_view_2.jpg"]
    assert live.post("classify", files={"id": (None, str(number))}).json()["label"] == "place_003"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"top": "0"}, 422, "top is a whole number from 1 to 1000"),
        ({"top": "1e3"}, 422, "top is a whole number"),
        ({"top": "１２"}, 422, "top is a whole number"),
        ({"top": "9" * 30}, 422, "top is a whole number"),
        ({"top": "600", "offset": "600"}, 422, "1000 at most together"),
        ({"verify": "201"}, 422, "verify is a whole number from 0 to 200"),
        ({"verify": "-1"}, 422, "verify is a whole number"),
        ({"box": "1,2,3"}, 422, "a box is four numbers"),
        ({"box": "5,5,5,5"}, 422, "is empty"),
        ({"box": "nan,0,1,1"}, 422, "finite"),
        ({"box": "9000,9000,9001,9001"}, 422, "lies outside the photo"),
        ({"where": "no_such = 1"}, 422, "no_such"),
        ({"where": "view = 1; DROP TABLE photos"}, 422, "filter"),
        ({"expand": "101"}, 422, "expand"),
        ({"refine": "magic"}, 422, "refine is one of"),
        ({"refine": "diffusion", "where": "view = 1"}, 422, "diffusion"),
        ({"id": "1.5"}, 422, "id is a whole number"),
        ({"id": "4611686018427387904"}, 422, "id is a whole number"),
        ({"id": "999999"}, 404, "no photo 999999"),
        ({"tpo": "3"}, 422, "there is no field 'tpo'"),
    ],
)
def test_a_value_that_cannot_be_right_is_told_in_a_sentence(live, query, fields, status, words):
    answer = live.post("search", files={"photo": query}, data=fields)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    "content", [b"", b"no photo", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff"]
)
def test_an_upload_that_is_no_photo_is_422(live, content):
    answer = live.post("search", files={"photo": content})
    assert answer.status_code == 422
    assert "cannot read the given bytes" in answer.json()["detail"]


def test_a_photo_of_one_colour_is_told(live):
    ppm = b"P6 64 64 255\n" + bytes(64 * 64 * 3)
    answer = live.post("search", files={"photo": ppm})
    assert (answer.status_code, "one colour" in answer.json()["detail"]) == (422, True)


def test_a_search_without_a_photo_is_told(live):
    assert live.post("search", files={"top": (None, "3")}).status_code == 422
    assert live.post("search", json={"photo": "x"}).status_code == 415


def test_a_photo_is_described_once_for_all_that_is_asked_of_it(own, query, monkeypatch):
    describer = type(own.service.collection.model.describer)
    shown, extract = [], describer.extract
    monkeypatch.setattr(describer, "extract", lambda self, photos: shown.append(1) or extract(self, photos))
    answers = [
        own.post("search", files={"photo": query}, data=fields).json()["hits"]
        for fields in ({"top": "4"}, {"top": "2", "offset": "2"}, {"verify": "0"})
    ]
    assert len(shown) == 1
    assert answers[0][2:] == answers[1]
    own.post("matches", files={"photo": query}, data={"answer": answers[0][1]["id"]}).raise_for_status()
    assert len(shown) == 1
