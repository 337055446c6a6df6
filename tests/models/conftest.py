"""One thread: on maps as small as these, threads wait for each other longer than they work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Beside this file lies a network that several tests share.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Restored afterwards for the other rooms' tests of the same process."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
