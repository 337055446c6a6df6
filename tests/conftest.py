"""What all tests share: shapes checked at run time in the inner packages, and where real photos are."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# The outermost public functions stay out of the hook, or it raises before our own errors do.
install_import_hook(
    [
        "resight.evaluation.measures.landmarks",
        "resight.evaluation.measures.recognition",
        "resight.evaluation.measures.retrieval",
        "resight.evaluation.revisited",
        "resight.images.photo",
        "resight.losses.associations",
        "resight.losses.centre_spread",
        "resight.losses.chunked",
        "resight.losses.margins",
        "resight.losses.softplus",
        "resight.networks.pooling",
        "resight.search.geometry.fitting",
        "resight.search.geometry.hypotheses",
        "resight.search.geometry.matching",
        "resight.search.reciprocal",
        "resight.search.exact.order",
        "resight.search.exact.rows",
        "resight.search.super_global",
    ],
    "beartype.beartype",
)

# What a shell starts in the background ignores Ctrl-C, and so would every command that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real photos; tests that need it are skipped where it is absent."""
    folder = os.environ.get("RESIGHT_TEST_DATA", "")
    if not folder or not Path(folder, "README.md").is_file():
        pytest.skip(f"no real photos at {folder!r}: run make test DATA=DIR")
    return Path(folder)


@pytest.fixture(scope="package")
def one_thread():
    """Keeps torch to one thread, and the other rooms' tests of the same process as they were."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
