"""One thread: on maps as small as these, threads wait for each other longer than they work."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="package")
def _one_thread(one_thread):
    pass
