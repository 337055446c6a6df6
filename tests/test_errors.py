"""Messages quote at most 200 characters of what they were given."""

from __future__ import annotations

import pickle

import pytest

from resight.errors import InvalidInput, MissingExtra, ResightError, UnreadableImage


@pytest.mark.parametrize("value", ["x" * 999, "x y " * 300])
def test_a_quoted_value_is_cut(value):
    assert str(InvalidInput(f"the name is {value!r}: choose another")) == (
        f"the name is '{value[:199]}...': choose another"
    )


def test_200_characters_are_quoted_whole():
    message = f"the name is {'x y ' * 50!r}: choose another of {'y' * 200}"
    assert str(ResightError(message)) == message


def test_errors_keep_what_they_say_of_themselves():
    assert MissingExtra("torch", "this").extra == "torch"
    error = pickle.loads(pickle.dumps(UnreadableImage("a.jpg", "it is empty")))
    assert (error.path, str(error)) == ("a.jpg", "cannot read a.jpg: it is empty")
