"""The example in every loss's docstring gives what it says; and the face gives functions, not modules."""

import doctest
import importlib
import inspect

import pytest
import torch

from resight import losses

FUNCTIONS = [name for name in losses.__all__ if inspect.isfunction(getattr(losses, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_loss_runs(name):
    function = getattr(losses, name)
    (example,) = doctest.DocTestFinder(recurse=False).find(
        function, name, globs={"torch": torch, name: function}
    )
    assert example.examples, f"{name} has no example"
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
    assert result.failed == 0
    assert "``" in function.__doc__


def test_every_loss_is_there_as_a_module_and_as_a_function():
    assert {"soft_triple", "arcface", "contrastive", "contrastive_tuples", "margin_loss"} <= set(FUNCTIONS)
    for module in {function.__module__ for function in (getattr(losses, name) for name in FUNCTIONS)}:
        importlib.import_module(module)
    # Importing a submodule sets it as an attribute of the package: none may have the name of a function.
    assert all(inspect.isfunction(getattr(losses, name)) for name in FUNCTIONS)
