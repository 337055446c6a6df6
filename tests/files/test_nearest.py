"""Typos are answered with the word that was meant."""

from __future__ import annotations

from resight.files import did_you_mean, nearest


def test_the_nearest_words():
    known = ["sift", "gem-resnet50", "gem-resnet101", "CGD"]
    assert nearest("shift", known) == ["sift"]
    assert nearest("gem-resnet5", known, most=3) == ["gem-resnet50", "gem-resnet101"]
    assert nearest("cgd", known) == ["CGD"]
    assert nearest("zebra", known) == []
    assert (did_you_mean("sitf", known), did_you_mean("zebra", known)) == (", did you mean sift", "")
