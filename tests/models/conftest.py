"""One thread: on maps as small as these, threads wait for each other longer than they work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Beside this file lies a network that several tests share.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="package")
def _one_thread(one_thread):
    pass
