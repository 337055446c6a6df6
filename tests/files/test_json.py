"""Dataclasses go to JSON and come back, and nothing else comes back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pytest

from resight.files import from_json, parse_json, to_json


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    kind: Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class Whole:
    count: int
    share: float
    box: tuple[float, float] | None
    parts: tuple[Part, ...]
    mixed: tuple[str, int]
    is_new: bool = False


WHOLE = Whole(3, 0.5, (1.0, 2.0), (Part("x", "a"), Part("y", "b")), ("n", 4), is_new=True)


def test_round_trip():
    assert from_json(Whole, json.loads(json.dumps(to_json(WHOLE)))) == WHOLE
    bare = {"count": 1, "share": 2, "box": None, "parts": [], "mixed": ["n", 1]}
    back = from_json(Whole, bare)
    assert back == Whole(1, 2.0, None, (), ("n", 1))
    assert type(back.share) is float


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": True}, "Whole.count cannot be 'True'"),
        ({"count": 1.0}, "Whole.count cannot be '1.0'"),
        ({"share": "1"}, "Whole.share cannot be"),
        ({"is_new": 1}, "Whole.is_new cannot be"),
        ({"box": [1.0]}, "Whole.box needs 2 values, not 1"),
        ({"mixed": [1, "n"]}, "Whole.mixed cannot be '1'"),
        ({"parts": [{"name": "x", "kind": "c"}]}, "Part.kind cannot be 'c'"),
        ({"parts": [{"name": "x"}]}, "a Part needs exactly name, kind"),
        ({"parts": 3}, "Whole.parts cannot be"),
        ({"other": 1}, "a Whole needs exactly count"),
    ],
)
def test_another_shape_is_refused(change, words):
    content = json.loads(json.dumps(to_json(WHOLE))) | change
    with pytest.raises(ValueError, match=words):
        from_json(Whole, content)


def test_no_json_is_refused():
    assert parse_json(b'{"a": [1, null]}') == {"a": [1, None]}
    for text in ("{", b"\xff", "[" * 100_000):
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)
