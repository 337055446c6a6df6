"""Intervals by landmark, and hashes of what was measured, on the cards and in comparisons."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from labelled_photos import grid_model, made_benchmark

from resight.datasets import read_landmark_truth
from resight.datasets.google_landmarks import read_solution
from resight.errors import InvalidInput
from resight.evaluation import bootstrap, compare, evaluate_benchmark, paired, read_result, write_result
from resight.evaluation.card import Source
from resight.evaluation.landmark_description import LandmarkDescriptors
from resight.evaluation.landmarks import measure_descriptors
from resight.evaluation.measures.recognition import micro_average_precision_interval
from resight.evaluation.recognition import measure_predictions
from resight.pipelines.evaluate import Computed, Protocol, evaluate_files

SOURCE = Source("theirs.npy", "f" * 64, 2, 0, (), "unknown", "not known", "gnd.pkl")
LANDMARKS, EACH = 6, 4


def facts(result):
    return {fact.name: fact.text for fact in result.card.facts}


def written(root, *, landmarks=LANDMARKS):
    """Writes six landmarks of four queries and three positives each; returns the ground truth's path."""
    queries = [f"l{landmark}-{query}" for landmark in range(landmarks) for query in range(EACH)]
    gnd = [
        {
            "bbx": [0, 0, 1, 1],
            "easy": [3 * landmark, 3 * landmark + 1],
            "hard": [3 * landmark + 2],
            "junk": [],
        }
        for landmark in range(landmarks)
        for _ in range(EACH)
    ]
    names = [f"i{number}" for number in range(3 * landmarks)]
    path = root / "gnd_made.json"
    path.write_text(json.dumps({"imlist": names, "qimlist": queries, "gnd": gnd}))
    return path


def described(seed=0, *, hard=0.9):
    """Queries of a landmark fail together: the even ones are near their photos, the odd ones are not."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(LANDMARKS, 8))
    database = np.repeat(centres, 3, axis=0) + 0.1 * generator.normal(size=(3 * LANDMARKS, 8))
    noise = np.where(np.arange(LANDMARKS) % 2, 8 * hard, 0.1)[:, None, None]
    queries = centres[:, None] + noise * generator.normal(size=(LANDMARKS, EACH, 8))
    return LandmarkDescriptors(
        database.astype(np.float32), queries.reshape(-1, 8).astype(np.float32), (), (), ()
    )


@pytest.fixture
def truth(tmp_path):
    return read_landmark_truth(written(tmp_path))


def test_landmarks_are_drawn_with_all_their_queries(truth, tmp_path):
    result = measure_descriptors(truth, described(), SOURCE)
    by_query = measure_descriptors(truth, described(), SOURCE, intervals="queries")
    assert result.classes == tuple(np.repeat(range(LANDMARKS), EACH).tolist())
    for measure, column, other in zip(result.measures, result.columns, by_query.measures, strict=True):
        expected = bootstrap(column.array, classes=np.array(result.classes))
        assert (measure.low, measure.high) == (expected.low, expected.high)
        assert measure.value == other.value
    assert (by_query.measures[0].low, by_query.measures[0].high) == (
        bootstrap(by_query.columns[0].array).low,
        bootstrap(by_query.columns[0].array).high,
    )
    width, narrow = ((one.measures[0].high - one.measures[0].low) for one in (result, by_query))
    assert width > 1.4 * narrow
    assert facts(result)["intervals"].startswith("6 landmarks of 24 queries that count were drawn; known:")
    assert "over landmarks, 1000 draws" in result.card.conventions[-1]
    assert facts(by_query)["intervals"].startswith("queries were drawn, as asked for")
    assert "over queries, 1000 draws" in by_query.card.conventions[-1]
    assert by_query.classes == ()
    write_result(result, tmp_path / "r.json")
    assert read_result(tmp_path / "r.json") == result


def test_what_is_not_known_is_not_drawn(tmp_path, truth):
    lone = read_landmark_truth(written(tmp_path, landmarks=1))
    one = LandmarkDescriptors(np.eye(3, dtype=np.float32), np.eye(4, 3, dtype=np.float32), (), (), ())
    result = measure_descriptors(lone, one, SOURCE)
    assert facts(result)["intervals"] == (
        "queries were drawn: those that count show fewer than two landmarks"
    )
    assert result.classes == ()
    recall = measure_descriptors(replace(truth, formula="recall"), described(), SOURCE)
    assert facts(recall)["intervals"] == (
        "queries were drawn: the ground truth does not tell which show one landmark"
    )
    with pytest.raises(InvalidInput, match="made has landmarks, not classes: intervals draw landmarks or"):
        measure_descriptors(truth, described(), SOURCE, intervals="classes")
    with pytest.raises(InvalidInput, match="made has classes, not landmarks: intervals draw classes or"):
        evaluate_benchmark(grid_model(), made_benchmark(tmp_path), clusters=False, intervals="landmarks")


def test_comparisons_draw_landmarks_paired(truth):
    first, second = (measure_descriptors(truth, described(hard=hard), SOURCE) for hard in (0.9, 0.2))
    outcome = compare(first, second)
    assert outcome.unit == "landmarks"
    expected = paired(first.columns[0].array, second.columns[0].array, classes=np.array(first.classes))
    assert outcome.measures[0].test == expected
    queries = compare(first, second, intervals="queries")
    assert queries.unit == "queries"
    assert queries.measures[0].test.p_value < outcome.measures[0].test.p_value
    older = replace(second, classes=())
    assert compare(first, older).unit == "landmarks"
    assert compare(replace(first, classes=()), older).unit == "queries"
    with pytest.raises(InvalidInput, match="do not say the landmarks of their queries: evaluate again"):
        compare(replace(first, classes=()), older, intervals="landmarks")
    with pytest.raises(InvalidInput, match="do not say the classes of their queries: draw landmarks or"):
        compare(first, second, intervals="classes")


def test_predictions_draw_test_images_of_one_landmark_together(tmp_path):
    (tmp_path / "s.csv").write_text(
        "id,landmarks,Usage\na,1,Public\nb,1 2,Public\nc,3,Public\nd,,Public\ne,,Public\n"
    )
    (tmp_path / "p.csv").write_text("id,landmarks\na,1 0.9\nb,1 0.7\nc,1 0.8\nd,9 1.0\n")
    result = measure_predictions(tmp_path / "p.csv", read_solution(tmp_path / "s.csv"), name="s.csv")
    assert result.classes == (0, 0, 1, 2, 3)
    assert "4 landmarks of 5 queries" in facts(result)["intervals"]
    answers = {"a": "1", "b": "1 2", "c": "3", "d": "", "e": ""}
    truth = {image: frozenset(names.split()) for image, names in answers.items()}
    known = (list("abcd"), ["1", "1", "1", "9"], np.array([0.9, 0.7, 0.8, 1.0]), truth)
    expected = micro_average_precision_interval(*known, drawn_with=[0, 0, 1, 2, 3])
    assert (result.measures[0].low, result.measures[0].high) == (expected.low, expected.high)
    assert micro_average_precision_interval(*known, drawn_with=range(5)) == (
        micro_average_precision_interval(*known)
    )


@pytest.fixture
def files(tmp_path):
    given = described()
    rows = np.concatenate([given.database, given.queries])
    truth = written(tmp_path)
    content = json.loads(truth.read_text())
    np.save(tmp_path / "d.npy", rows)
    (tmp_path / "names.txt").write_text("\n".join([*content["imlist"], *content["qimlist"]]) + "\n")
    return Computed("descriptors", tmp_path / "d.npy", truth, tmp_path / "names.txt")


def measured(files):
    return evaluate_files(files, Protocol()).result


def test_the_card_shows_the_hash_of_the_ground_truths_bytes(files):
    before = measured(files)
    digest = hashlib.sha256(files.truth.read_bytes()).hexdigest()[:16]
    assert facts(before)["ground truth"] == f"gnd_made.json, SHA-256 {digest}"
    assert compare(before, measured(files)).warnings == ()
    # The same said in other bytes.
    files.truth.write_text(json.dumps(json.loads(files.truth.read_text()), indent=1))
    (warning,) = compare(before, measured(files)).warnings
    assert warning.startswith(
        "The ground truths say the same and are files of different bytes (first gnd_made"
    )
    assert digest in warning
    # Other answers.
    content = json.loads(files.truth.read_text())
    content["gnd"][0]["easy"].pop()
    files.truth.write_text(json.dumps(content))
    (warning,) = compare(before, measured(files)).warnings
    assert warning.startswith("The results are by different ground truths (first gnd_made.json, SHA-256")


def test_descriptors_of_other_bytes_are_told_apart(files):
    before = measured(files)
    rows = np.load(files.path)
    rows[0, 0] = np.nextafter(rows[0, 0], 9)
    np.save(files.path, rows)
    after = measured(files)
    assert facts(before)["bytes of descriptors"] != facts(after)["bytes of descriptors"]
    (warning,) = compare(before, after).warnings
    assert warning.startswith("Both results are of d.npy, and their descriptors or models are of different")
    # The order of the names decides which row is whose.
    names = files.names.read_text().split("\n")
    files.names.write_text("\n".join([names[1], names[0], *names[2:]]))
    assert compare(after, measured(files)).warnings


def test_one_model_over_other_photos_is_told(tmp_path):
    first = evaluate_benchmark(grid_model(), made_benchmark(tmp_path), clusters=False)
    assert facts(first)["ground truth"].startswith("no file: the folders")
    changed = replace(
        first.card, facts=(*first.card.facts[:-1], replace(first.card.facts[-1], text="SHA-256 0"))
    )
    (warning,) = compare(first, replace(first, card=changed)).warnings
    assert warning.startswith("One model gave different descriptors (first SHA-256")
