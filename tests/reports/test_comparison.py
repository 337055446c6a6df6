"""The pages of two results side by side and of a waterfall, read back as a browser would read them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from html_reader import read
from labelled_photos import grid_model
from landmark_photos import write_landmarks

from resight.datasets import open_landmarks
from resight.evaluation import compare, evaluate_landmarks, evaluate_waterfall
from resight.reports import write_comparison, write_waterfall


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("landmarks")
    write_landmarks(root)
    return open_landmarks("revisited", root)


@pytest.fixture(scope="module")
def results(folder):
    return evaluate_landmarks(grid_model(), folder, crop=False), evaluate_landmarks(grid_model(), folder)


def page_of(results, path, **options):
    write_comparison(compare(*results), *results, path, **options)
    return read(path)


def test_differences_stand_with_intervals_and_tests(results, folder, tmp_path):
    page = page_of(results, tmp_path / "c.html", root=folder.root, names=("whole.json", "cropped.json"))
    outcome = compare(*results)
    for one in outcome.measures:
        test = one.test
        assert f"{one.first:.4f} → {one.second:.4f}" in page.words
        assert (
            f"{test.difference.mean:+.4f} [{test.difference.low:+.4f}, {test.difference.high:+.4f}], "
            f"p {test.p_value:.4f}" in page.words
        )
    assert len(page.all("svg", "whiskers")) == len(outcome.measures)
    assert "cropped.json against whole.json on made" in page.words
    assert "Drawn for intervals and tests: landmarks, each with all of its queries" in page.words
    assert all(warning in page.words for warning in outcome.warnings)
    assert len(page.all("tr", "differs")) >= 1


def test_the_queries_that_changed_most_have_their_photos(results, folder, tmp_path):
    page = page_of(results, tmp_path / "c.html", root=folder.root)
    test = next(one.test for one in compare(*results).measures if one.name == "mAP medium")
    assert test.better >= 3
    assert test.worse == 0
    photos = [tag["src"] for tag in page.all("img")]
    assert len(photos) == test.better
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in photos)
    assert len(page.all("circle", "gained")) == test.better
    assert "No query lost." in page.words
    turned = page_of(results[::-1], tmp_path / "c.html", root=folder.root)
    assert len(turned.all("circle", "lost")) == test.better
    assert "No query gained." in turned.words


def test_photos_that_are_not_at_hand_leave_names(results, tmp_path):
    for root in (None, tmp_path / "gone"):
        page = page_of(results, tmp_path / "c.html", root=root)
        assert page.all("img") == []
        assert "queries/query" in page.words


def test_names_are_escaped(results, tmp_path):
    wicked = "<script>alert(1)</script>"
    first, second = (replace(one, queries=(wicked, *one.queries[1:])) for one in results)
    page = page_of((first, second), tmp_path / "c.html", names=("a&b", wicked))
    assert page.all("script") == []
    assert wicked in page.words


def test_many_queries_are_thinned_and_that_is_said(results, tmp_path):
    first, second = (
        replace(
            one,
            queries=tuple(map(str, range(4400))),
            columns=tuple(replace(each, values=each.values * 1100) for each in one.columns),
            classes=(),
        )
        for one in results
    )
    page = page_of((first, second), tmp_path / "c.html")
    assert "1,467 of 4,400 queries are drawn" in page.words
    assert len([tag for tag in page.all("circle") if "cx" in tag and tag.get("r") == "1.1"]) == 1467


def test_a_waterfall_has_a_bar_and_an_interval_for_each_step(folder, tmp_path):
    found = evaluate_waterfall(grid_model(), folder)
    write_waterfall(found, tmp_path / "w.html")
    page = read(tmp_path / "w.html")
    tasks, steps = len(found.stages[0].measures), len(found.stages)
    assert len(page.all("svg", "step")) == tasks * steps
    assert len(page.all("rect", "whisker")) == tasks * steps
    for stage in found.stages:
        assert stage.name in page.words
        for measure, change in zip(stage.measures, stage.changes, strict=True):
            assert f"{measure.value:.4f} [{measure.low:.4f}, {measure.high:.4f}]" in page.words
            if change is not None:
                assert f"{change.difference.mean:+.4f} [{change.difference.low:+.4f}" in page.words
    for bar in page.all("rect", "moved"):
        assert 0 <= float(bar["x"]) < float(bar["x"]) + float(bar["width"]) <= 100.01
