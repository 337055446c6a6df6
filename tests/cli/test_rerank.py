"""``resight rerank`` on made rankings, and ``resight search --refine`` on rendered places."""

from __future__ import annotations

import json
import shutil
from functools import partial

import numpy as np
import pytest

from resight import search


@pytest.fixture(scope="module")
def points():
    """Forty points around four centres, and two queries; unit length."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, 1, 8))
    rows = (centres + 0.6 * rng.standard_normal((4, 11, 8))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows[:, 1:].reshape(-1, 8), rows[:2, 0]


@pytest.fixture(scope="module")
def topk(points, tmp_path_factory):
    """Their first 30 answers, as a vector database gives them: ids are texts, the matrix lies beside."""
    database, queries = points
    folder = tmp_path_factory.mktemp("topk")
    np.save(folder / "database.npy", database)
    listed = []
    for number, query in enumerate(queries):
        scores = database @ query
        order = np.argsort(-scores, kind="stable")[:30]
        listed.append(
            {
                "id": f"q{number}",
                "descriptor": query.tolist(),
                "ids": [f"p{one}" for one in order.tolist()],
                "scores": scores[order].tolist(),
            }
        )
    shared = {"ids": [f"p{one}" for one in range(40)], "descriptors": "database.npy"}
    path = folder / "topk.json"
    path.write_text(json.dumps({"queries": listed, "database": shared}))
    return path


METHODS = {
    "alpha-qe": search.rerank_expanded,
    "reciprocal": search.rerank_reciprocal,
    "superglobal": search.rerank_super_global,
    "diffusion": search.rerank_diffusion,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("top", [None, 12])
def test_a_ranking_is_refined_as_the_function_does(run, topk, points, method, top):
    database, queries = points
    code, out, err = run(
        "rerank", "--from", topk, "--method", method, "--json", *(["--top", top] if top else [])
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    ranking = search.Ranking(
        np.argsort(-(queries @ database.T), axis=1, kind="stable")[:, :30],
        -np.sort(-(queries @ database.T), axis=1)[:, :30],
    )
    again = partial(METHODS[method], top=top) if top else METHODS[method]
    expected = again(ranking, queries, lambda ids: database[ids])
    assert (expected.ids != ranking.ids).any()
    assert [query["id"] for query in found["queries"]] == ["q0", "q1"]
    for row, query in enumerate(found["queries"]):
        answers = query["answers"]
        assert [one["id"] for one in answers] == [f"p{one}" for one in expected.ids[row]]
        np.testing.assert_allclose([one["score"] for one in answers], expected.scores[row], atol=1e-5)
        assert [one["rank"] for one in answers] == list(range(1, 31))
        for one in answers:
            assert ranking.ids[row, one["old_rank"] - 1] == int(one["id"][1:])
            assert one["old_score"] == pytest.approx(ranking.scores[row, one["old_rank"] - 1], abs=1e-6)


def test_the_table_shows_old_and_new_ranks_and_the_file_holds_all(run, topk, tmp_path):
    code, out, _ = run("rerank", "--from", topk, "--method", "superglobal")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["q0:", "30", "answers"]
    assert lines[1] == ["rank", "was", "score", "answer"]
    assert [line[0] for line in lines[2:12]] == [str(rank) for rank in range(1, 11)]
    assert "and 20 more: --json or --out has them all" in out
    target = tmp_path / "better.json"
    code, out, err = run("rerank", "--from", topk, "--method", "superglobal", "--out", target)
    assert (code, out) == (0, "")
    assert "The new ranking is in" in err
    _, out, _ = run("rerank", "--from", topk, "--method", "superglobal", "--json")
    assert json.loads(target.read_text()) == json.loads(out)


def test_a_name_with_a_line_break_stays_on_one_line(run, topk, tmp_path):
    shutil.copy(topk.with_name("database.npy"), tmp_path)
    renamed = tmp_path / "named.json"
    renamed.write_text(topk.read_text().replace('"q0"', '"a\\nquery\\tname"'))
    _, out, _ = run("rerank", "--from", renamed, "--method", "superglobal")
    assert out.splitlines()[0] == r"a\nquery\tname: 30 answers"


@pytest.fixture
def with_photos(rendered, tmp_path):
    """A ranking of rendered photos in which the right places come last."""
    ids = [f"place_00{place}_view_{view}.jpg" for place in (2, 1, 0) for view in (1, 2)]
    made = {
        "photo": str(rendered / "place_000_view_0.jpg"),
        "ids": ids,
        "scores": [-10.0 * rank for rank in range(6)],
        "photos": [str(rendered / name) for name in ids],
    }
    path = tmp_path / "photos.json"
    path.write_text(json.dumps({"queries": [made]}))
    return path, ids


def test_photos_are_verified_by_geometry(run, with_photos):
    path, ids = with_photos
    code, out, _ = run("rerank", "--from", path, "--method", "verify", "--json")
    assert code == 0
    answers = json.loads(out)["queries"][0]["answers"]
    assert {one["id"] for one in answers[:2]} == set(ids[4:])
    inliers = [one["inliers"] for one in answers]
    assert inliers[:2] == sorted(inliers[:2], reverse=True)
    assert inliers[1] >= 20 > max(inliers[2:])
    # No more than chance gives: these keep the order they came in, whatever the scale of the scores.
    assert [one["id"] for one in answers[2:]] == ids[:4]
    code, out, _ = run("rerank", "--from", path, "--method", "verify", "--top", "3")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()[5:8]] == ids[3:]
    assert "inliers" in out


def test_photos_are_described_by_a_model(run, with_photos):
    path, ids = with_photos
    code, out, _ = run("rerank", "--from", path, "--model", "sift", "--json")
    assert code == 0
    answers = json.loads(out)["queries"][0]["answers"]
    assert {one["id"] for one in answers[:2]} == set(ids[4:])


@pytest.mark.parametrize(
    ("changes", "line", "words"),
    [
        ({"descriptors": [[1, 0], None]}, [], "answer 'b' has no descriptor"),
        (
            {"descriptor": None},
            [],
            "query 'q' has no descriptor: give one to every query and answer, or photos",
        ),
        ({}, ["--method", "verify"], "query 'q' has no photo"),
        ({"photo": "q.jpg", "photos": ["a.jpg", None]}, ["--model", "sift"], "answer 'b' has no photo"),
        ({"photo": "q.jpg", "photos": ["a.jpg", "b.jpg"]}, ["--model", "sift"], "cannot read"),
        ({"photo": "q.jpg", "photos": ["a.jpg", "b.jpg"]}, ["--method", "verify"], "cannot read"),
        ({"photo": "q.jpg", "photos": ["a.jpg", "b.jpg"]}, ["--model", "shift"], "did you mean sift"),
        ({"ids": ["a", "a"]}, [], "lists id 'a' twice"),
        ({"scores": [1, 2]}, [], "scores of query 'q' increase at rank 2"),
        ({"descriptors": [[1, 0], [1, 0, 0]]}, [], "has 3 numbers, others have 2"),
        ({"descriptors": [[1, 0], [float("nan"), 0]]}, [], "holds NaN"),
    ],
)
def test_what_cannot_be_refined_is_one_sentence(run, tmp_path, changes, line, words):
    made = {"id": "q", "descriptor": [1, 0], "ids": ["a", "b"], "descriptors": [[1, 0], [0, 1]], **changes}
    path = tmp_path / "topk.json"
    path.write_text(json.dumps({"queries": [made]}))
    code, out, err = run("rerank", "--from", path, *line)
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_truncated_file_is_one_sentence(run, topk, tmp_path):
    cut = tmp_path / "cut.json"
    cut.write_bytes(topk.read_bytes()[:-20])
    code, out, err = run("rerank", "--from", cut)
    assert (code, out) == (1, "")
    assert "cut.json is no JSON or is cut off" in err
    assert err.count("\n") == 1


def test_a_wrong_line_is_code_two(run, topk):
    for line, words in (
        ([], "--from"),
        (["--from", topk, "--method", "magic"], "magic"),
        (["--from", topk, "--top", "-1"], "--top"),
    ):
        code, out, err = run("rerank", *line)
        assert (code, out) == (2, "")
        assert words in err


def test_help_says_how_the_file_looks(run):
    code, out, _ = run("rerank", "--help")
    assert code == 0
    flat = " ".join(out.split())
    assert '"ids": ["a", "b"]' in flat
    assert "resight rerank --from topk.json --method superglobal" in flat


def test_the_example_of_the_help_works(run, tmp_path):
    from resight.cli.rerank import EXAMPLE

    text = EXAMPLE[EXAMPLE.index('{"queries"') : EXAMPLE.index("}]}") + 3]
    path = tmp_path / "topk.json"
    path.write_text(text)
    code, out, _ = run("rerank", "--from", path, "--method", "superglobal", "--json")
    assert code == 0
    assert [one["id"] for one in json.loads(out)["queries"][0]["answers"]] == ["a", "b"]


@pytest.mark.parametrize("refine", ["diffusion", "reciprocal", "superglobal"])
def test_a_search_is_refined(run, made, rendered, refine):
    query = rendered / "place_001_view_0.jpg"
    code, out, _ = run("search", made, query, "--refine", refine, "--verify", "0", "--json")
    assert code == 0
    hits = json.loads(out)["hits"]
    _, out, _ = run("search", made, query, "--verify", "0", "--json")
    plain = json.loads(out)["hits"]
    assert len(hits) == len(plain) == 10
    assert [hit["score"] for hit in hits] != [hit["score"] for hit in plain]


def test_diffusion_and_a_filter_are_refused_in_one_sentence(run, made, rendered):
    query = rendered / "place_001_view_0.jpg"
    code, out, err = run("search", made, query, "--refine", "diffusion", "--where", "year > 1990")
    assert (code, out) == (1, "")
    assert "cannot be confined by a filter" in err
    assert err.count("\n") == 1
    assert run("search", made, query, "--refine", "magic")[0] == 2


@pytest.mark.parametrize("form", [["--json"], ["--each", "--json"], ["--json-lines"]])
def test_answers_of_a_search_are_read_as_they_are(run, made, rendered, tmp_path, monkeypatch, form):
    monkeypatch.chdir(rendered)
    code, out, _ = run("search", made, "place_001_view_0.jpg", "--verify", 0, *form)
    (tmp_path / "answers.json").write_text(out)
    model = ["--model", "sift"] if form == ["--json-lines"] else []
    for method in (["--method", "verify"], ["--method", "alpha-qe", *model]):
        code, out, err = run("rerank", "--from", tmp_path / "answers.json", *method, "--json")
        assert (code, err) == (0, "")
        (query,) = json.loads(out)["queries"]
        assert query["id"] == str(rendered / "place_001_view_0.jpg")
        assert query["answers"][0]["id"] == str(rendered / "place_001_view_0.jpg")
        assert len(query["answers"]) == 10


@pytest.mark.parametrize("form", ["--json", "--json-lines"])
def test_similarities_of_a_search_are_kept(run, made, rendered, tmp_path, form):
    line = ("search", made, rendered / "place_000_view_0.jpg", "--top", 8)
    hits = json.loads(run(*line, "--json")[1])["hits"]
    (tmp_path / "topk.json").write_text(run(*line, form)[1])
    _, out, _ = run("rerank", "--from", tmp_path / "topk.json", "--method", "verify", "--json")
    answers = json.loads(out)["queries"][0]["answers"]
    assert [one["id"] for one in answers] == [hit["path"] for hit in hits]
    for number, (one, hit) in enumerate(zip(answers, hits, strict=True), 1):
        assert one["score"] == one["old_score"] == pytest.approx(hit["similarity"], abs=1e-6)
        assert one["old_rank"] == number


def test_similarities_that_are_none_are_refused(run, tmp_path, with_photos):
    path, _ = with_photos
    content = json.loads(path.read_text())
    content["queries"][0]["similarities"] = [0.9, "high", 0.2, 0.1, 0.1, 0.1]
    path.write_text(json.dumps(content))
    code, _, err = run("rerank", "--from", path, "--method", "verify")
    assert code == 1
    assert "similarity 2 of query" in err
    assert "must be a finite number, not 'high'" in err


def test_the_box_of_a_search_is_kept(run, made, rendered, tmp_path):
    query = rendered / "place_001_view_0.jpg"
    line = ("search", made, query, "--top", 3, "--json")
    inliers = []
    for box in ([], ["--box", "20,20,250,200"]):
        (tmp_path / "answers.json").write_text(run(*line, *box)[1])
        _, out, _ = run("rerank", "--from", tmp_path / "answers.json", "--method", "verify", "--json")
        inliers.append(json.loads(out)["queries"][0]["answers"][0]["inliers"])
    assert 0 < inliers[1] < inliers[0]


def test_an_answer_to_several_photos_is_refused(run, made, rendered, tmp_path):
    photos = rendered / "place_001_view_0.jpg", rendered / "place_001_view_1.jpg"
    (tmp_path / "answers.json").write_text(run("search", made, *photos, "--json")[1])
    code, _, err = run("rerank", "--from", tmp_path / "answers.json")
    assert code == 1
    assert "search with one photo, or with --each" in err
