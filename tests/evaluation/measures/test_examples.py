"""The example of every measure that the face shows gives what it says."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module

import pytest

from resight import evaluation

MODULES = ("clustering", "labels", "landmarks", "recognition", "retrieval", "separation")


def measures():
    """The functions of the face that are defined in these modules."""
    homes = {f"resight.evaluation.measures.{name}" for name in MODULES}
    public = (getattr(evaluation, name) for name in evaluation.__all__)
    return [value for value in public if inspect.isfunction(value) and value.__module__ in homes]


@pytest.mark.parametrize("measure", measures(), ids=lambda measure: measure.__name__)
def test_every_measure_has_an_example_that_runs(measure):
    (test,) = doctest.DocTestFinder(recurse=False).find(
        measure, globs=dict(vars(import_module(measure.__module__)))
    )
    assert test.examples
    outcome = doctest.DocTestRunner().run(test)
    assert (outcome.failed, outcome.attempted) == (0, len(test.examples))


def test_every_pure_function_is_in_the_face():
    public = {measure.__name__ for measure in measures()}
    for name in ("retrieval", "recognition", "labels", "separation"):
        module = import_module(f"resight.evaluation.measures.{name}")
        functions = {each for each in module.__all__ if inspect.isfunction(getattr(module, each))}
        assert functions <= public
