"""A benchmark end to end: what the card says, what a result holds, and its file."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from labelled_photos import grid_model, made_benchmark

from resight.errors import InvalidInput, UnreadableImage
from resight.evaluation import (
    compare,
    describe_set,
    evaluate_benchmark,
    evaluate_labels,
    first_answers,
    measure_set,
    read_result,
    write_result,
)
from resight.features import Box


@pytest.fixture
def benchmark(tmp_path):
    return made_benchmark(tmp_path)


@pytest.fixture
def result(benchmark):
    return evaluate_benchmark(grid_model(), benchmark, selection="validation classes", seed=3)


def test_the_card_says_how_it_was_measured(result, benchmark, tmp_path):
    card = result.card
    assert (card.benchmark, card.folder, card.split) == ("made", tmp_path.name, "test")
    assert (card.images, card.classes, card.queries, card.gallery) == (20, 4, 20, 20)
    assert (card.model, card.model_fingerprint, card.dim, card.max_side) == ("grid", "9" * 16, 27, 64)
    assert (card.boxes, card.scales, card.selection, card.seed) == (False, (1.0,), "validation classes", 3)
    assert card.data_fingerprint == benchmark.test.fingerprint
    versions = {version.name: version.version for version in card.versions}
    assert versions["numpy"] == np.__version__
    assert "left out of its own answers by its index" in " ".join(card.conventions)


def test_the_card_counts_queries_scales_and_boxes(tmp_path):
    queries = [number % 3 == 0 for number in range(20)]
    flags = {"queries": queries, "gallery": [not flag for flag in queries]}
    result = evaluate_benchmark(
        grid_model(scales=(1.0, 0.5)), made_benchmark(tmp_path, boxes=[Box(0, 0, 24, 30)] * 20, **flags)
    )
    card = result.card
    assert (card.queries, card.gallery, card.boxes, card.scales) == (7, 13, True, (1.0, 0.5))
    assert len(result.queries) == 7
    assert {answer.photo.box for row in result.rows for answer in row.answers} == {(0, 0, 24, 30)}
    galleries = {
        path for path, query in zip(made_benchmark(tmp_path).test.paths, queries, strict=True) if not query
    }
    assert {answer.photo.path for row in result.rows for answer in row.answers} <= galleries


def test_a_box_is_what_the_model_sees(tmp_path):
    boxes = [Box(0, 0, 24, 30)] + [None] * 19
    cropped = describe_set(grid_model(), made_benchmark(tmp_path, boxes=boxes).test)
    whole = describe_set(grid_model(), made_benchmark(tmp_path).test)
    assert np.abs(cropped[0] - whole[0]).max() > 0.05
    assert cropped[1:].tolist() == whole[1:].tolist()


def test_measures_are_the_means_of_the_columns(result, benchmark):
    descriptors = grid_model().describe([benchmark.test.root / path for path in benchmark.test.paths])
    expected = evaluate_labels(descriptors, benchmark.test.labels, ks=(1, 2, 4))
    values = {measure.name: measure.value for measure in result.measures}
    assert list(values) == ["R@1", "R@2", "R@4", "MAP@R", "R-precision", "NMI", "AMI"]
    assert values["R@2"] == expected.recall[1][1]
    assert values["MAP@R"] == pytest.approx(expected.map_at_r)
    assert 0.3 < expected.map_at_r < 1
    for measure, column in zip(result.measures, result.columns, strict=False):
        assert measure.value == pytest.approx(np.nanmean(column.array))
        assert measure.low <= measure.value <= measure.high
    assert result.queries == benchmark.test.paths


def test_rows_show_the_worst_and_the_median_queries(result):
    values = result.columns[3].values
    place = {path: number for number, path in enumerate(result.queries)}
    worst = [row for row in result.rows if row.kind == "worst"]
    shown = [values[place[row.query.path]] for row in worst]
    assert shown == sorted(shown) == [row.value for row in worst]
    assert shown[0] == min(values)
    assert len({row.query.label for row in worst}) == 4
    assert {row.kind for row in result.rows} == {"worst", "median"}
    for row in result.rows:
        assert row.query.path not in [answer.photo.path for answer in row.answers]
        assert [answer.score for answer in row.answers] == sorted(
            (a.score for a in row.answers), reverse=True
        )
        assert [answer.right for answer in row.answers] == [
            answer.photo.label == row.query.label for answer in row.answers
        ]
        assert row.positives == 4


def test_first_answers_are_ordered_by_index_where_scores_are_equal():
    descriptors = np.array([[1, 0], [0.6, 0.8], [1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)
    indices, scores = first_answers(descriptors, [0], 10).row(0)
    assert indices.tolist() == [2, 1, 3, 4]
    assert scores == pytest.approx([1, 0.6, 0.6, 0])
    gallery = np.array([True, True, False, True, True])
    assert first_answers(descriptors, [0], 2, gallery=gallery).ids.tolist() == [[1, 3]]


def test_progress_counts_photos(benchmark):
    told = []
    describe_set(grid_model(), benchmark.test, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (20, 20)
    assert told == sorted(told)


def test_a_missing_photo_stops_it_by_name(benchmark):
    (benchmark.test.root / benchmark.test.paths[7]).unlink()
    with pytest.raises(UnreadableImage, match=r"2\.jpg"):
        evaluate_benchmark(grid_model(), benchmark)


def test_descriptors_must_be_as_many_as_images(benchmark):
    with pytest.raises(InvalidInput, match="3 descriptors were given for 20 test images"):
        measure_set(grid_model(), benchmark, np.eye(3, dtype=np.float32))


def test_a_result_survives_its_file(result, tmp_path):
    write_result(result, tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == result
    assert [path.name for path in tmp_path.glob("*partial*")] == []


def test_a_file_of_the_first_version_is_still_read(result, tmp_path):
    path = tmp_path / "result.json"
    write_result(result, path)
    content = json.loads(path.read_text(encoding="utf-8"))
    # Version 1 had none of these: it knew labelled sets alone.
    content["version"] = 1
    del content["main"], content["card"]["facts"]
    for entry in (*content["measures"], *content["columns"]):
        del entry["quantity"]
    for row in content["rows"]:
        row["map_at_r"] = row.pop("value")
        del row["quantity"], row["missed"]
        for answer in row["answers"]:
            del answer["rank"], answer["ignored"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_result(path) == replace(result, card=replace(result.card, facts=()))
    assert not any(measure.test.better for measure in compare(read_result(path), result).measures)


def test_a_set_without_positives_has_a_result_and_a_file(tmp_path):
    queries = [number < 5 for number in range(20)]
    benchmark = made_benchmark(tmp_path, queries=queries, gallery=[number >= 5 for number in range(20)])
    result = evaluate_benchmark(grid_model(), benchmark, clusters=False)
    values = {measure.name: measure.value for measure in result.measures}
    assert values == {"R@1": 0, "R@2": 0, "R@4": 0, "MAP@R": None, "R-precision": None}
    assert result.rows == ()
    write_result(result, tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == result


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[: len(text) // 2], "or a truncated one"),
        (lambda text: "[]", "is no result of resight evaluate"),
        (lambda text: text.replace('"version": 4,', '"version": 5,', 1), "version 5 and this Resight reads"),
        (lambda text: text.replace('"version": 4,', '"version": 2,', 1), "damaged result"),
        (lambda text: text.replace('"dim": 27', '"dim": 28', 1), "it was changed after it was written"),
        (
            lambda text: text.replace('"fingerprint": "', '"fingerprint": "0', 1),
            "it was changed after it was",
        ),
        (lambda text: text.replace('"kind": "NMI"', '"kind": "NMY"', 1), "Quantity.kind cannot be 'NMY'"),
        (lambda text: text.replace('"k": 1,', '"k": null,', 1), "take a k and nothing else does"),
        (lambda text: text.replace('"seed"', '"sed"', 1), "damaged result"),
        (lambda text: text.replace('"dim": 27', '"dim": "27"'), "ProtocolCard.dim cannot be '27'"),
        (
            lambda text: text.replace('"kind": "worst"', '"kind": "best"', 1),
            "PictureRow.kind cannot be 'best'",
        ),
    ],
)
def test_a_foreign_or_damaged_file_is_refused(result, tmp_path, change, words):
    path = tmp_path / "result.json"
    write_result(result, path)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        read_result(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"cannot read the result .*none\.json: No such file"):
        read_result(tmp_path / "none.json")


def test_columns_as_long_as_queries(result):
    with pytest.raises(InvalidInput, match="20 values for 19 queries"):
        replace(result, queries=result.queries[1:])


def test_two_results_are_compared_query_by_query(result, benchmark, tmp_path):
    coarse = evaluate_benchmark(grid_model(side=1), benchmark, clusters=False)
    outcome = compare(coarse, result, changed=3)
    assert [measure.name for measure in outcome.measures] == ["R@1", "R@2", "R@4", "MAP@R", "R-precision"]
    chosen = outcome.measures[3]
    left, right = coarse.columns[3].array, result.columns[3].array
    assert chosen.first == pytest.approx(left.mean())
    assert chosen.test.difference.mean == pytest.approx((right - left).mean())
    sizes = [abs(query.second - query.first) for query in outcome.changed]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == pytest.approx(np.abs(right - left).max())
    assert "dimension: 3 and 27" in outcome.differences
    assert "selection: not stated and validation classes" in outcome.differences


def test_results_of_one_name_over_other_descriptors_are_told_apart(result):
    other = replace(result, card=replace(result.card, model_fingerprint="0" * 64))
    words = f"descriptors: {result.card.model_fingerprint[:12]} and 000000000000"
    assert words in compare(result, other).differences
    assert not any(each.startswith("descriptors") for each in compare(result, result).differences)


def test_results_of_other_queries_are_not_compared(result):
    other = replace(result, queries=result.queries[::-1])
    with pytest.raises(InvalidInput, match="different queries"):
        compare(result, other)
    with pytest.raises(InvalidInput, match="no measure in common"):
        compare(result, replace(result, columns=()))


def test_nothing_in_a_file_is_nan(result, tmp_path):
    write_result(result, tmp_path / "result.json")
    json.loads(
        (tmp_path / "result.json").read_text(encoding="utf-8"),
        parse_constant=lambda word: pytest.fail(f"{word} is no JSON"),
    )
    assert not any(math.isnan(measure.value) for measure in result.measures)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.05, 0.0])
def test_a_collapsed_model_does_not_pass_for_a_perfect_one(benchmark, share):
    """Descriptors of which a share is one and the same: their order is that of the list."""
    count = len(benchmark.test)
    rows = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[: round(share * count)] = np.eye(8, dtype=np.float32)[0]
    result = measure_set(grid_model(), benchmark, rows, clusters=False)
    texts = [fact.text for fact in result.card.facts if fact.name == "ties"]
    assert len(texts) == (share > 0.1)
    assert all("have equal scores among their first 10 answers" in text for text in texts)
