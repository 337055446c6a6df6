"""Landmark benchmarks end to end: made photos, and descriptors of the real ones with known values."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from labelled_photos import GridDescriber, grid_model
from landmark_photos import write_landmarks
from PIL import Image

from resight.datasets import open_landmarks, read_landmark_truth
from resight.datasets.google_landmarks import read_solution
from resight.datasets.landmark_truth import LandmarkTruth, Task
from resight.errors import InvalidInput, UnreadableImage
from resight.evaluation import Quantity, compare, read_result, write_result
from resight.evaluation.card import Source
from resight.evaluation.descriptor_files import open_matrix, read_descriptors
from resight.evaluation.landmark_description import LandmarkDescriptors, describe_landmarks
from resight.evaluation.landmarks import (
    evaluate_landmarks,
    measure_descriptors,
    measure_similarities,
)
from resight.evaluation.recognition import measure_predictions
from resight.evaluation.refinement import Refinement, expanded_queries
from resight.features import ImageFeatures, LocalFeatures
from resight.models import BinaryCodec, LocalSource
from resight.reports import write_report
from resight.search import Ranking
from resight.search.geometry.config import verification_config
from resight.search.geometry.verification import verify_answers

SOURCE = Source("theirs.npy", "f" * 64, 2, 0, (), "unknown", "not known", "gnd.pkl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("landmarks")
    write_landmarks(root)
    return open_landmarks("revisited", root)


@pytest.fixture(scope="module")
def result(folder):
    return evaluate_landmarks(grid_model(), folder, seed=3)


def values(result):
    return {measure.name: measure.value for measure in result.measures}


def facts(result):
    return {fact.name: fact.text for fact in result.card.facts}


def test_the_crop_is_what_the_model_sees(folder, result):
    cropped, whole = result, evaluate_landmarks(grid_model(), folder, crop=False)
    assert values(cropped)["mAP medium"] > 0.8 > values(whole)["mAP medium"]
    assert facts(cropped)["queries shown"].startswith("cropped to their boxes, at the pixel scale")
    assert facts(whole)["queries shown"] == "whole photos"
    assert (cropped.card.boxes, whole.card.boxes) == (True, False)


def test_a_crop_has_the_scale_of_the_database(folder):
    seen = []

    class Watching(GridDescriber):
        def extract(self, photos):
            seen.extend(photo.pixels.shape for photo in photos)
            return super().extract(photos)

    describe_landmarks(grid_model(Watching(max_side=90)), folder)
    # Queries are 180 pixels wide, shown at 90: a box of 60 pixels becomes 30, not 90. Others stay at 60.
    assert seen[:4] == [(30, 30, 3)] * 4
    assert set(seen[4:]) == {(60, 60, 3)}


def test_the_card_names_the_whole_protocol(result, folder):
    found = facts(result)
    for words in ("re-ranking", "distractors", "whitening", "ties", "ignored", "average precision", "scores"):
        assert found[words]
    assert found["average precision"].startswith("trapezoidal")
    card = result.card
    assert (card.images, card.queries, card.seed, card.model_fingerprint) == (16, 4, 3, "9" * 16)
    assert card.data_fingerprint == folder.truth.fingerprint
    assert card.split == "easy, medium, hard"


def test_every_measure_has_an_interval_and_every_query_a_value(result):
    assert [measure.name for measure in result.measures][:5] == [
        "mAP easy",
        "mP@1 easy",
        "mP@5 easy",
        "mP@10 easy",
        "mAP medium",
    ]
    for measure in result.measures:
        column = next(column for column in result.columns if column.name == measure.name)
        assert measure.value == pytest.approx(np.mean(column.values))
        assert measure.low <= measure.value <= measure.high
    assert result.main == Quantity("mAP", task="medium")


def test_distractors_come_into_the_ranking_and_are_wrong(folder, result, tmp_path):
    described = describe_landmarks(grid_model(), folder)
    np.save(tmp_path / "more.npy", described.queries.astype(np.float16))
    harder = evaluate_landmarks(grid_model(), folder, distractors=tmp_path / "more.npy")
    # The query itself comes first, four times in all: no positive is first any more.
    assert values(harder)["mP@1 easy"] == 0.0 < values(result)["mP@1 easy"]
    assert facts(harder)["distractors"].startswith("4 of more.npy (float16")
    assert "distractor" in harder.rows[0].answers[0].photo.path


def test_two_results_are_compared_by_their_main_measure(folder, result, tmp_path):
    other = evaluate_landmarks(grid_model(), folder, crop=False)
    for number, one in enumerate((result, other)):
        write_result(one, tmp_path / f"{number}.json")
    outcome = compare(*(read_result(tmp_path / f"{number}.json") for number in range(2)))
    assert read_result(tmp_path / "0.json") == result
    assert outcome.main == Quantity("mAP", task="medium")
    assert outcome.changed
    assert any("queries shown: cropped" in words for words in outcome.differences)


def test_a_file_of_version_2_is_read(result, tmp_path):
    write_result(result, tmp_path / "3.json")
    content = json.loads((tmp_path / "3.json").read_text(encoding="utf-8"))
    # Version 2 called everything by its name.
    content |= {"version": 2, "main": result.main.name}
    for entry in (*content["measures"], *content["columns"]):
        del entry["quantity"]
    for entry, row in zip(content["rows"], result.rows, strict=True):
        entry |= {"map_at_r": entry.pop("value"), "measure": row.quantity.name}
        del entry["quantity"]
    (tmp_path / "2.json").write_text(json.dumps(content), encoding="utf-8")
    assert read_result(tmp_path / "2.json") == result
    content["main"] = "mOP medium"
    (tmp_path / "2.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InvalidInput, match="there is no measure 'mOP medium'"):
        read_result(tmp_path / "2.json")


def test_rows_show_what_was_missed_and_what_is_ignored(folder, tmp_path):
    whole = evaluate_landmarks(grid_model(), folder, crop=False)
    missed = [answer for row in whole.rows for answer in row.missed]
    assert missed
    assert all(answer.right and answer.rank > 8 for answer in missed)
    assert any(answer.ignored for row in whole.rows for answer in row.answers)
    assert {row.quantity for row in whole.rows} == {Quantity("mAP", task="medium")}
    write_report(whole, tmp_path / "report.html", root=folder.root)
    text = (tmp_path / "report.html").read_text()
    assert "Missed: right answers and their ranks" in text
    assert "– ignored" in text
    write_report(evaluate_landmarks(grid_model(), folder), tmp_path / "report.html", root=folder.root)
    assert 'class="boxed"' in (tmp_path / "report.html").read_text()


class Local(GridDescriber):
    """Gives every photo the local features of its place, so that verification knows what is right."""

    def extract(self, photos):
        return [self._with_local(features) for features in super().extract(photos)]

    def _with_local(self, features):
        generator = np.random.default_rng(int(np.abs(features.descriptor[:12]).argmax()))
        positions = generator.uniform(0, 300, (40, 2)).astype(np.float32)
        ones = np.ones(40, dtype=np.float32)
        codes = generator.integers(0, 255, (40, 32), dtype=np.uint8)
        local = LocalFeatures(positions, ones, ones * 0, ones, codes)
        return ImageFeatures(features.descriptor, local)


def local_model(dtype="uint8", codec=None):
    return grid_model(Local(local=LocalSource("grid", 32, dtype)), codec=codec)


def test_verification_orders_each_tasks_own_head(folder):
    verified = evaluate_landmarks(local_model(), folder, refinement=Refinement(verify=5))
    assert "first 5, by evidence and score" in facts(verified)["re-ranking"]
    for row in verified.rows:
        assert not any(answer.ignored for answer in row.answers)
    with pytest.raises(InvalidInput, match="has no local features"):
        evaluate_landmarks(grid_model(), folder, refinement=Refinement(verify=5))


def test_verification_sees_what_a_collection_would_store(folder):
    codec = BinaryCodec(np.zeros(32, np.float32), np.eye(32, dtype=np.float32)[:8])
    described = describe_landmarks(local_model("float16", codec), folder, keep_local=True)
    for local in (*described.database_local, *described.query_local):
        assert local.metric == "hamming"
        assert local.descriptors.shape == (40, 1)


def test_a_protocol_by_name_decides_how_it_is_verified(folder, monkeypatch):
    used = []

    def watched(*arguments, config):
        used.append(config)
        return verify_answers(*arguments, config=config)

    monkeypatch.setattr("resight.search.geometry.verification.verify_answers", watched)
    found = evaluate_landmarks(local_model(), folder, refinement=Refinement(verify=5, protocol="delg"))
    assert set(used) == {verification_config("delg")}
    assert facts(found)["re-ranking"].endswith("protocol delg")
    with pytest.raises(InvalidInput, match="no verification protocol 'ours'"):
        Refinement(verify=5, protocol="ours")


@pytest.mark.parametrize("junk", [1, 12])
def test_junk_leaves_before_the_first_are_verified(junk):
    """With one place to verify, the junk in front must not take it, however much there is."""
    wrong, right = junk, junk + 1
    truth = LandmarkTruth(
        "made",
        tuple(f"image{row}" for row in range(junk + 2)),
        ("q",),
        (None,),
        (Task("all", (frozenset({right}),), (frozenset(range(junk)),)),),
        "trapezoidal",
        "",
    )
    database = np.array([[1, 0]] * junk + [[0.9, 0.1], [0.8, 0.2]], dtype=np.float32)
    generator = np.random.default_rng(0)
    positions = generator.uniform(0, 300, (60, 2)).astype(np.float32)
    ones, codes = np.ones(60, np.float32), generator.integers(0, 255, (60, 32), dtype=np.uint8)
    local = LocalFeatures(positions, ones, ones * 0, ones, codes)
    seen = tuple(None if row == wrong else local for row in range(junk + 2))
    described = LandmarkDescriptors(database, database[:1], seen, (local,), ())
    means = [
        values(measure_descriptors(truth, described, SOURCE, refinement=Refinement(verify=top)))["mAP"]
        for top in (0, 1, 2)
    ]
    # Second of two: (0/1 + 1/2) / 2; two verified places bring it to the front.
    assert means == pytest.approx([0.25, 0.25, 1.0])


def test_expansion_asks_with_the_neighbours_too(folder):
    expanded = evaluate_landmarks(grid_model(), folder, refinement=Refinement(expand=3))
    assert "alpha query expansion by 3 neighbours" in facts(expanded)["re-ranking"]
    # Neighbours of any length count by their direction: (1, 0) + 0.8**2 * (0.8, 0.6), and nothing of padding.
    parts = [np.array([[0, 3]], np.float32), np.array([[8, 6]], np.float16)]
    ranking = Ranking(np.array([[1, -1]]), np.array([[0.8, -np.inf]], np.float32))
    asked = expanded_queries(np.array([[5, 0]], np.float32), parts, ranking, alpha=2.0)
    expected = np.array([1 + 0.64 * 0.8, 0.64 * 0.6])
    np.testing.assert_allclose(asked[0], expected / np.linalg.norm(expected), rtol=1e-6)


def test_a_missing_a_broken_and_an_empty_photo(tmp_path):
    write_landmarks(tmp_path, places=2)
    folder = open_landmarks("revisited", tmp_path)
    path = tmp_path / "jpg/place1_1.jpg"
    Image.new("RGB", (60, 60), (128, 128, 128)).save(path)

    class Blind(GridDescriber):
        def _describe(self, photo):
            features = super()._describe(photo)
            return features if photo.pixels.std() > 1 else ImageFeatures(features.descriptor * 0)

    assert describe_landmarks(grid_model(Blind()), folder).nothing_in == ("jpg/place1_1.jpg",)
    assert "1 database image" in facts(evaluate_landmarks(grid_model(Blind()), folder))["without descriptor"]
    path.write_bytes(b"broken")
    with pytest.raises(UnreadableImage, match=r"place1_1\.jpg"):
        describe_landmarks(grid_model(), folder)
    path.unlink()
    with pytest.raises(InvalidInput, match=r"lacks jpg/place1_1\.jpg"):
        describe_landmarks(grid_model(), folder)


def test_queries_without_a_box_are_not_silently_whole(folder):
    boxes = (None, *folder.truth.boxes[1:])
    truth = replace(folder.truth, boxes=boxes)
    with pytest.raises(InvalidInput, match="some queries of made have no box"):
        evaluate_landmarks(grid_model(), replace(folder, truth=truth))


def test_a_matrix_of_scores_needs_the_benchmarks_shape(folder):
    with pytest.raises(InvalidInput, match="3 x 16; made needs a row for each of 4 queries"):
        measure_similarities(folder.truth, np.zeros((3, 16), np.float32), SOURCE)


def test_predictions_are_measured_for_each_usage(tmp_path):
    (tmp_path / "s.csv").write_text(
        "id,images,Usage\nq1,a b,Public\nq2,c,Private\nq3,None,Ignored\nq4,a,Public\n"
    )
    (tmp_path / "p.csv").write_text("id,images\nq1,a x b\nq2,x c\nq3,a\n")
    result = measure_predictions(tmp_path / "p.csv", read_solution(tmp_path / "s.csv"), name="s.csv")
    # q1: (1 + 2/3) / 2 and q4 without prediction 0; q2: 1/2; q3 is ignored.
    assert values(result) == pytest.approx({"mAP@100 public": (1 + 2 / 3) / 4, "mAP@100 private": 0.5})
    (tmp_path / "p.csv").write_text("id,images\nq9,a\n")
    with pytest.raises(InvalidInput, match=r"predicts q9, which is no test image of s\.csv"):
        measure_predictions(tmp_path / "p.csv", read_solution(tmp_path / "s.csv"), name="s.csv")


def test_recognition_is_measured_for_each_usage(tmp_path):
    (tmp_path / "s.csv").write_text(
        "id,landmarks,Usage\na,1,Private\nb,2 3,Private\nc,,Private\nd,1,Ignored\n"
    )
    (tmp_path / "p.csv").write_text("id,landmarks\na,1 0.9\nb,3 0.7\nc,1 0.8\nd,9 1.0\n")
    result = measure_predictions(tmp_path / "p.csv", read_solution(tmp_path / "s.csv"), name="s.csv")
    assert values(result) == pytest.approx({"µAP private": (1 + 2 / 3) / 2})
    assert result.columns[0].values == (1.0, 1.0, None)
    (tmp_path / "p.csv").write_text("id,landmarks\na,1\n")
    with pytest.raises(InvalidInput, match="a landmark and its score are expected"):
        measure_predictions(tmp_path / "p.csv", read_solution(tmp_path / "s.csv"), name="s.csv")


@pytest.fixture(scope="module")
def lopq(data):
    descriptors = data / "descriptors"

    def measure(ground_truth):
        truth = read_landmark_truth(data / "annotations" / ground_truth)
        names = descriptors / "oxford5k_lopq_names.txt"
        given = read_descriptors(
            descriptors / "oxford5k_lopq.npy", truth.database, truth.queries, names=names
        )
        return measure_descriptors(
            truth, LandmarkDescriptors(given.database, given.queries, (), (), ()), SOURCE
        )

    return measure


@pytest.mark.data
def test_revisited_oxford_is_reproduced(lopq, data):
    reference = json.loads((data / "descriptors/reference.json").read_text())["roxford5k"]
    found = {measure.name: measure for measure in lopq("gnd_roxford5k.pkl").measures}
    for task in ("easy", "medium", "hard"):
        expected = reference[task[0].upper()]
        assert found[f"mAP {task}"].value == pytest.approx(expected["mAP"], abs=5e-7)
        assert found[f"mAP {task}"].count == expected["queries_counted"]
        for k in (1, 5, 10):
            assert found[f"mP@{k} {task}"].value == pytest.approx(expected[f"mP@{k}"], abs=5e-7)


@pytest.mark.data
def test_original_oxford_is_reproduced_query_by_query(lopq, data):
    reference = json.loads((data / "descriptors/reference.json").read_text())["oxford5k_old"]
    result = lopq("gnd_oxford5k.mat")
    assert values(result)["mAP"] == pytest.approx(reference["mAP"], abs=5e-7)
    found = dict(zip(result.queries, result.columns[0].values, strict=True))
    assert found == pytest.approx(reference["AP"], abs=5e-6)


@pytest.mark.data
def test_place_recognition_is_reproduced(data):
    reference = json.loads((data / "descriptors/reference.json").read_text())["vpr_bench"]
    compared = 0
    for expected in reference.values():
        if not isinstance(expected, dict):
            continue
        path = data / "descriptors" / expected["file"]
        truth = read_landmark_truth(path.parent / f"vpr_{path.stem.split('_')[1]}_gt.json")
        found = values(measure_similarities(truth, open_matrix(path), SOURCE))
        for k in (1, 5, 10):
            assert found[f"R@{k}"] == pytest.approx(expected[f"R@{k}"], abs=5e-7), path.stem
        compared += 1
    assert compared == 12
