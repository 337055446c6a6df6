"""What a collection learns of its own photos, how it is kept, and who reads it."""

from __future__ import annotations

import csv
import json
import re
import shutil

import numpy as np
import pytest

from resight.cli import main
from resight.collection import Collection
from resight.collection.header import HEADER_KEY, Header
from resight.collection.store import Store
from resight.errors import InvalidInput
from resight.pipelines.calibrate import Pair, calibrate, edited, held_out
from resight.reports import nothing_words, probability_words
from resight.scenes import write_collection


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Photos of ten places and the collection of them, labelled by place; not to be changed."""
    folder = tmp_path_factory.mktemp("calibrated")
    write_collection(folder / "photos", places=7, views=3, distractors=3, side=200)
    photos = sorted((folder / "photos").glob("*.jpg"))
    values = {str(path): {"place": path.stem[:9] if "place" in path.stem else ""} for path in photos}
    Collection.create(folder / "photos.resight", model="sift").add(photos, metadata=values)
    return folder


@pytest.fixture
def own(made, tmp_path):
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made"


def test_labels_teach_and_a_search_then_says_how_likely(own, capsys):
    collection = Collection.open(own / "photos.resight")
    query = own / "photos" / "place_000_view_0.jpg"
    assert [hit.probability for hit in collection.search(query)] == [None] * 10
    before = collection.answer(query)
    assert before.is_found
    learned = calibrate(collection, label="place", queries=10).probability
    assert learned.source == "label place"
    assert 0 < learned.same < learned.pairs
    assert learned.brier < 0.1
    assert collection.info().probability == learned
    answer = collection.answer(query)
    for hit in answer:
        assert hit.probability == learned.of(hit.similarity, hit.match)
    assert answer[0].probability > 0.9
    assert answer[-1].probability < 0.3
    assert answer.is_found
    # Similarities that are none with the query say nothing.
    assert collection.search(query, expand=2)[0].probability is None
    assert collection.search(query, refine="reciprocal")[0].probability is None
    # Without geometry another regression speaks.
    (hit,) = collection.search(query, top=1, verify=0)
    assert hit.probability == learned.of(hit.similarity, None)
    assert main(["search", str(own / "photos.resight"), str(query), "--html", str(own / "a.html")]) == 0
    assert "likely" in capsys.readouterr().out
    assert "<dt>likely</dt>" in (own / "a.html").read_text(encoding="utf-8")
    assert main(["search", str(own / "photos.resight"), str(query), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"][0]["probability"] == answer[0].probability


def test_a_thing_that_is_not_there_is_said_not_to_be(own, tmp_path, capsys):
    collection = Collection.open(own / "photos.resight")
    calibrate(collection, label="place", queries=8)
    write_collection(tmp_path / "strange", places=1, views=1, distractors=0, side=240, seed=4242)
    (strange,) = (tmp_path / "strange").glob("*.jpg")
    answer = collection.answer(strange)
    assert answer.is_found is False
    sentence = nothing_words(answer)
    best = probability_words(max(hit.probability for hit in answer))
    assert sentence == f"Probably nothing here shows this: the likeliest answer is {best} likely to."
    line = ["search", str(own / "photos.resight"), str(strange)]
    assert main([*line, "--html", str(own / "a.html")]) == 0
    assert sentence in capsys.readouterr().out
    assert sentence in (own / "a.html").read_text(encoding="utf-8")
    assert sentence in answer._repr_html_()
    assert main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"] is False
    photo = own / "photos" / "place_000_view_0.jpg"
    assert main(["search", str(own / "photos.resight"), str(photo), "--csv", str(own / "a.csv")]) == 0
    assert "nothing here" not in capsys.readouterr().out
    with (own / "a.csv").open(encoding="utf-8") as file:
        said = [float(row["probability"]) for row in csv.DictReader(file)]
    hits = collection.search(photo)
    assert said == pytest.approx([hit.probability for hit in hits], abs=1e-4)


def test_geometry_teaches_where_there_are_no_labels(own):
    outcome = calibrate(Collection.open(own / "photos.resight"), queries=6)
    assert outcome.probability.source == "geometry"
    assert outcome.queries == 6
    assert sum(number for _, _, number in outcome.reliability) == outcome.probability.pairs


def test_pairs_teach(own):
    photos = sorted((own / "photos").glob("place*.jpg"))
    lines = ["query,answer,same"]
    for query in photos[::3]:
        lines += [
            f"{query},photos/{answer.name},{int(answer.stem[:9] == query.stem[:9])}" for answer in photos
        ]
    (own / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    outcome = calibrate(Collection.open(own / "photos.resight"), pairs=own / "pairs.csv")
    assert (outcome.probability.pairs, outcome.probability.same) == (7 * 21, 21)
    assert outcome.probability.source == "pairs"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{0},{0},yes", "line 2 of .*: same is 1 or 0"),
        ("{0},/elsewhere.jpg,1", "line 2 of .*elsewhere.jpg is not in"),
    ],
)
def test_a_table_that_is_none_is_told(own, line, words):
    photo = own / "photos" / "place_000_view_0.jpg"
    (own / "pairs.csv").write_text(f"query,answer,same\n{line.format(photo)}\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=words):
        calibrate(Collection.open(own / "photos.resight"), pairs=own / "pairs.csv")


def test_what_cannot_teach_is_told(own, capsys):
    collection = Collection.open(own / "photos.resight")
    with pytest.raises(InvalidInput, match="have no 'year'"):
        calibrate(collection, label="year")
    with pytest.raises(InvalidInput, match="name one of them"):
        calibrate(collection, label="place", pairs=own / "pairs.csv")
    assert main(["calibrate", str(own / "nothing.resight")]) == 1
    assert "there is no collection" in capsys.readouterr().err


def test_the_command_says_what_was_learned(own, capsys):
    line = ["calibrate", str(own / "photos.resight"), "--label", "place", "--queries", "6"]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "(label place)" in out
    assert "Brier score of held-out queries" in out
    assert (
        main(["calibrate", str(own / "photos.resight"), "--label", "place", "--queries", "6", "--json"]) == 0
    )
    printed = json.loads(capsys.readouterr().out)
    learned = printed["probability"]
    assert learned["source"] == "label place"
    assert printed["brier"] == learned["brier"]
    share = learned["same"] / learned["pairs"]
    assert printed["uninformed"] == pytest.approx(share * (1 - share))
    assert sum(number for _, _, number in printed["reliability"]) == learned["pairs"]


def test_the_command_draws_what_it_learned(own, capsys):
    line = ["calibrate", str(own / "photos.resight"), "--label", "place", "--queries", "6", "--html"]
    assert main([*line, str(own / "r.html"), "--json"]) == 0
    bins = json.loads(capsys.readouterr().out)["reliability"]
    page = (own / "r.html").read_text(encoding="utf-8")
    drawn = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="[\d.]+"/>\n', page)
    assert drawn == [(f"{100 * said:.1f}", f"{100 - 100 * share:.1f}") for said, share, _ in bins]
    header = Store.open(own / "photos.resight").header
    # Refused before the search, and nothing is learned then.
    assert main([*line, str(own / "nowhere" / "r.html"), "--queries", "7"]) == 2
    assert "there is no folder" in capsys.readouterr().err
    (own / "pairs.csv").write_text("query,answer,same\n", encoding="utf-8")
    replacing = ["calibrate", str(own / "photos.resight"), "--pairs", str(own / "pairs.csv")]
    assert main([*replacing, "--html", str(own / "pairs.csv")]) == 2
    assert "would replace the table of pairs" in capsys.readouterr().err
    assert Store.open(own / "photos.resight").header == header


def test_a_version_that_does_not_know_it_reads_the_header_and_one_that_does_reads_older_ones(own):
    collection = Collection.open(own / "photos.resight")
    calibrate(collection, label="place", queries=6)
    header = Store.open(own / "photos.resight").header
    text = header.to_metadata()[HEADER_KEY]
    assert Header.from_metadata({HEADER_KEY.encode(): text.encode()}, own) == header
    values = json.loads(text)
    # An optional key: nothing else of the header has changed, and the format is the same.
    assert values.pop("probability")["source"] == "label place"
    older = Header.from_metadata({HEADER_KEY.encode(): json.dumps(values).encode()}, own)
    assert older.probability is None
    assert older.to_metadata()[HEADER_KEY] == json.dumps(values)
    # It lives as long as the collection: photos come and go.
    collection.remove(own / "photos" / "place_000_view_0.jpg")
    assert Store.open(own / "photos.resight").header.probability == header.probability


def test_held_out_pairs_are_judged_by_what_has_not_seen_their_query():
    rng = np.random.default_rng(0)
    pairs = []
    for query in range(20):
        for _ in range(10):
            is_same = bool(rng.random() < 0.4)
            pairs.append(Pair(query, float(rng.normal(0.8 if is_same else 0.2, 0.1)), None, is_same))
    probabilities = held_out(pairs, "pairs")
    # A query with other truth changes what is said of the others, and not of itself.
    liar = [Pair(p.query, p.similarity, None, not p.same) if p.query == 0 else p for p in pairs]
    changed = np.array(held_out(liar, "pairs")) != np.array(probabilities)
    assert not changed[:10].any()
    assert changed[10:20].all()


def test_an_edited_view_shows_the_same_photo_otherwise():
    rng = np.random.default_rng(3)
    photo = rng.integers(0, 256, (120, 200, 3), dtype=np.uint8)
    first, second = edited(photo, rng), edited(photo, rng)
    assert first.dtype == np.uint8
    assert first.shape != second.shape
    assert min(*first.shape[:2], *second.shape[:2]) >= 32
