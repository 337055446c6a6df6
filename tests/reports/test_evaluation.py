"""The report page, read back as a browser would read it."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace

import pytest
from html_reader import read
from labelled_photos import grid_model, made_benchmark
from PIL import Image

from resight.evaluation import evaluate_benchmark, read_result, write_result
from resight.evaluation.result import fingerprint_of
from resight.features import Box
from resight.reports import write_report


@pytest.fixture
def result(tmp_path):
    return evaluate_benchmark(grid_model(), made_benchmark(tmp_path))


@pytest.fixture
def report(result, tmp_path):
    write_report(result, tmp_path / "report.html", root=tmp_path)
    return read(tmp_path / "report.html")


def test_every_measure_stands_with_its_interval(report, result):
    for measure in result.measures:
        assert f"{measure.name} {measure.value:.4f}" in report.words
        if measure.low is not None:
            assert f"{measure.low:.4f} – {measure.high:.4f}" in report.words
    assert len(report.all("svg", "bar")) == len(result.measures)


def test_the_card_and_the_conventions_are_there(report, result, tmp_path):
    for words in ("made in " + tmp_path.name, "photos are whole", "long side at most 64 px", "not stated"):
        assert words in report.words
    assert result.card.data_fingerprint[:16] in report.words
    assert "the best of 10 starts" in report.words
    for sentence in result.card.conventions:
        assert sentence in report.words


def test_a_page_and_a_file_of_two_runs_are_told_apart(report, result, tmp_path):
    write_result(result, tmp_path / "r.json")
    fingerprint = json.loads((tmp_path / "r.json").read_text())["fingerprint"]
    assert f"result’s fingerprint {fingerprint[:16]}" in report.words
    assert fingerprint == fingerprint_of(read_result(tmp_path / "r.json"))
    other = replace(result, queries=tuple(reversed(result.queries)))
    write_report(other, tmp_path / "other.html", root=tmp_path)
    assert fingerprint[:16] not in read(tmp_path / "other.html").words


def test_each_row_shows_its_query_and_framed_answers(report, result):
    assert len(report.all("li", "ask")) == len(result.rows)
    right = sum(answer.right for row in result.rows for answer in row.answers)
    wrong = sum(not answer.right for row in result.rows for answer in row.answers)
    assert right > 0
    assert wrong > 0
    assert len(report.all("li", "right")) == report.words.count("✓") == right
    assert len(report.all("li", "wrong")) == report.words.count("✗") == wrong
    pictures = report.all("img")
    assert len(pictures) == right + wrong + len(result.rows)
    for picture in pictures:
        data = picture["src"].removeprefix("data:image/jpeg;base64,")
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (48, 60)
        assert re.match(
            r"(Query|Answer \d, (right|wrong)): class & \d, classes/class & \d/\d\.jpg", picture["alt"]
        )


def test_nothing_is_requested_from_anywhere(report, result, tmp_path):
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "://" not in text
    assert not [tag for tag, _ in report.tags if tag in ("link", "script", "iframe", "a")]
    policy = [attributes.get("content", "") for attributes in report.all("meta")]
    assert any(content.startswith("default-src 'none'") for content in policy)
    assert "prefers-color-scheme: dark" in text


def test_what_the_user_named_cannot_become_markup(result, tmp_path):
    evil = '"><script>alert(1)</script>'
    row = result.rows[0]
    answer = replace(row.answers[0], photo=replace(row.query, label=evil))
    shown = replace(row, query=replace(row.query, label=evil, path=f"{evil}.jpg"), answers=(answer,))
    card = replace(result.card, model=evil, folder=evil, selection=evil)
    write_report(replace(result, card=card, rows=(shown,)), tmp_path / "evil.html", root=tmp_path)
    assert not read(tmp_path / "evil.html").all("script")


def test_what_cannot_be_seen_in_a_name_is_shown(result, tmp_path):
    evil = "a\x1b[2J\u202egpj\u200b\x9b"
    row = replace(result.rows[0], query=replace(result.rows[0].query, label=evil, path=f"{evil}.jpg"))
    card = replace(result.card, model=evil, folder=evil, selection=evil)
    write_report(replace(result, card=card, rows=(row,)), tmp_path / "evil.html", root=tmp_path)
    text = (tmp_path / "evil.html").read_text(encoding="utf-8")
    assert not set(evil) & set(text) - set("a[2Jgpj")
    assert r"a\x1b[2J\u202egpj\u200b\x9b.jpg" in text


@pytest.mark.parametrize("way", ["absolute", "climbing", "through"])
def test_a_photo_outside_of_the_benchmark_is_not_in_the_page(result, tmp_path, way):
    named = result.rows[0].query.path
    folder = tmp_path / "benchmark"
    folder.mkdir()
    path = {"absolute": tmp_path / named, "climbing": f"../{named}", "through": f"a/../../{named}"}[way]
    row = replace(result.rows[0], query=replace(result.rows[0].query, path=str(path)), answers=())
    write_report(replace(result, rows=(row,)), tmp_path / "report.html", root=folder)
    assert "lies outside of the benchmark" in read(tmp_path / "report.html").words
    write_report(replace(result, rows=(row,)), tmp_path / "report.html", root=tmp_path)
    assert ("lies outside" in read(tmp_path / "report.html").words) == (way != "absolute")


def test_a_photo_that_is_gone_leaves_an_empty_frame(result, tmp_path):
    gone = result.rows[0].query.path
    (tmp_path / gone).unlink()
    write_report(result, tmp_path / "report.html", root=tmp_path)
    report = read(tmp_path / "report.html")
    assert "no photo to show" in report.words
    assert gone in " ".join(frame["aria-label"] for frame in report.all("div", "gone"))


def test_a_box_is_shown_as_it_was_described(tmp_path):
    benchmark = made_benchmark(tmp_path, boxes=[Box(0, 0, 24, 30)] * 20)
    write_report(evaluate_benchmark(grid_model(), benchmark), tmp_path / "report.html", root=tmp_path)
    report = read(tmp_path / "report.html")
    assert "photos are cropped to them" in report.words
    for picture in report.all("img"):
        data = picture["src"].removeprefix("data:image/jpeg;base64,")
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (24, 30)


def test_a_result_without_positives_has_a_report(tmp_path):
    queries = [number < 5 for number in range(20)]
    benchmark = made_benchmark(tmp_path, queries=queries, gallery=[not query for query in queries])
    result = evaluate_benchmark(grid_model(), benchmark, clusters=False)
    write_report(result, tmp_path / "report.html", root=tmp_path)
    report = read(tmp_path / "report.html")
    assert "MAP@R –" in report.words
    assert "not asked for" in report.words
    assert not report.all("img")
