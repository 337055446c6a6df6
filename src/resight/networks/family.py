"""The networks a recipe and a bundle can name, by their kinds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from resight.networks.cgd import CGD
from resight.networks.delg import DELG
from resight.networks.dolg import DOLG
from resight.networks.embedding import Embedding
from resight.networks.gem import GeMNet
from resight.networks.trunks.named import TrunkConfig
from resight.settings.choice import Family, Section
from resight.settings.marks import ADDED_LATER

__all__ = ["NETWORKS"]

_START = Annotated[
    str | None,
    ADDED_LATER,
    Field(
        description="Weights to begin with, as far as they fit: a bundle, or a file of tensors by name "
        "(.pth, .pt, .safetensors) for this trunk or network. The trunk's published weights are not loaded "
        "then."
    ),
]

NETWORKS = Family(
    "network",
    lambda: {each.kind: each for each in (CGD, DELG, DOLG, Embedding, GeMNet)},
    frozenset({"trunk", "classes", "generator"}),
    {"trunk": (Annotated[TrunkConfig, Section()], ...), "start": (_START, None)},
)
"""The networks of this package; in a recipe trunk and start stand beside a network's own settings."""
