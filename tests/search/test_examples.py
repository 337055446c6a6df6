"""The examples in the docstrings of the search and of its measures."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

MODULES = (
    "resight.evaluation.measures.retrieval",
    "resight.search.exact.order",
    "resight.search.exact.ranks",
    "resight.search.expansion",
    "resight.search.geometry.chance",
    "resight.search.grouping",
    "resight.search.recognition",
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_give_what_they_show(module):
    result = doctest.testmod(import_module(module))
    assert result.attempted > 0
    assert result.failed == 0
