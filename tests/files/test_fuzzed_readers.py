"""Every reader of a file from elsewhere, given damaged files: a right value or a sentence, nothing else.

A valid file of each kind (foreign_files.py) is damaged by flipped, inserted and cut-off bytes. `make fuzz`
tries many more.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resight.errors import ResightError

sys.path.insert(0, str(Path(__file__).parent))

from foreign_files import READERS as FILES
from foreign_places import PLACES

READERS = FILES | PLACES

# CI tries few files a reader; `make fuzz` sets more.
TRIES = int(os.environ.get("RESIGHT_FUZZ", "40"))
SLOW = {".mat": 20, ".settings": 20, ".h5": 20, ".parquet": 20}
"""By how many times fewer are tried: some files take a process, a network's settings a network."""


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """Draws a file with some bytes changed, taken out or put in, or cut off."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["flip", "set", "cut", "drop", "insert"])):
            case "flip" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "set":
                data[place : place + 4] = draw(st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"]))
            case "cut":
                del data[place:]
            case "drop":
                del data[place : place + draw(st.integers(1, 9))]
            case "insert":
                data[place:place] = draw(st.binary(max_size=9))
    return bytes(data)


@pytest.mark.parametrize("name", READERS)
def test_a_valid_file_is_read(name, tmp_path):
    suffix, content, read = READERS[name]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    read(path)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_a_sentence_or_a_value(name, tmp_path):
    suffix, content, read = READERS[name]
    path = tmp_path / f"file{suffix}"
    tries = max(1, TRIES // SLOW.get(suffix, 1))

    @settings(
        max_examples=tries,
        deadline=20_000,
        derandomize="RESIGHT_FUZZ" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(content))
    def try_one(data: bytes) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        with contextlib.suppress(ResightError):
            read(path)

    try_one()


@pytest.mark.parametrize("flip", range(0, 1200, 7))
def test_a_flipped_bit_of_a_checkpoint_is_noticed_or_without_effect(flip, tmp_path):
    _, content, read = READERS["checkpoint"]
    data = bytearray(content)
    data[flip * 8 % len(data)] ^= 1 << flip % 8
    path = tmp_path / "best.pt"
    path.write_bytes(data)
    try:
        weights = read(path)
    except ResightError:
        return
    assert torch.equal(weights["a"], torch.arange(9.0))
