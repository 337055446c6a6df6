"""What all tests share: shapes checked at run time in the inner packages, and where real photos are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# The outermost public functions stay out of the hook, or it raises before our own errors do.
install_import_hook(
    [
        "resight.evaluation.average_precision",
        "resight.evaluation.landmark_measures",
        "resight.evaluation.landmarks",
        "resight.evaluation.recall",
        "resight.evaluation.revisited",
        "resight.images.photo",
        "resight.losses.associations",
        "resight.losses.centre_spread",
        "resight.losses.chunked",
        "resight.losses.margins",
        "resight.losses.softplus",
        "resight.models.pooling",
        "resight.search.fitting",
        "resight.search.hypotheses",
        "resight.search.matching",
        "resight.search.ranking",
        "resight.search.reciprocal",
        "resight.search.rows",
        "resight.search.super_global",
    ],
    "beartype.beartype",
)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real photos; tests that need it are skipped where it is absent."""
    folder = os.environ.get("RESIGHT_TEST_DATA", "")
    if not folder or not Path(folder, "README.md").is_file():
        pytest.skip(f"no real photos at {folder!r}: run make test DATA=DIR")
    return Path(folder)
