"""The page of a calibration, read back as a browser would read it."""

from __future__ import annotations

import pytest
from html_reader import read

from resight.reports import write_calibration
from resight.search.probability import PairProbability

LEARNED = PairProbability((4.0, -2.0), None, "geometry", 110, 22, 0.0613)


@pytest.fixture
def page(tmp_path):
    bins = [(0.04, 0.0, 80), (0.52, 0.5, 20), (0.97, 1.0, 10)]
    write_calibration(LEARNED, bins, tmp_path / "r.html", queries=6, title="How likely is likely in <b>")
    return read(tmp_path / "r.html")


def test_every_bin_is_a_dot_with_its_interval_and_a_row(page):
    dots = [attributes for tag, attributes in page.tags if tag == "circle" and "cy" in attributes]
    dots = [dot for dot in dots if dot["cx"] in ("4.0", "52.0", "97.0")]
    assert [(dot["cx"], dot["cy"]) for dot in dots] == [("4.0", "100.0"), ("52.0", "50.0"), ("97.0", "0.0")]
    assert float(dots[0]["r"]) > float(dots[1]["r"]) > float(dots[2]["r"])
    lines = [attributes["d"] for tag, attributes in page.tags if attributes.get("class") == "interval"]
    assert len(lines) == 3
    assert [word in page.words for word in ("52.0 %", "50.0 %", "97.0 %", "100.0 %")] == [True] * 4


def test_intervals_are_those_of_the_formula(page):
    # Wilson of 10 of 20, worked by hand: (10 + 1.92) / 23.84 -+ 1.96 / 23.84 * sqrt(5 + .96).
    assert "29.9 – 70.1 %" in page.words
    assert "0.0 – 4.6 %" in page.words


def test_the_numbers_stand_beside_what_knows_nothing(page):
    assert "0.0613" in page.words
    assert "0.1600" in page.words
    assert "how likely geometry would agree" in page.words
    assert "in <b>" in page.words
