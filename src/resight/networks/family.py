"""The networks a recipe and a bundle can name, by their kinds."""

from __future__ import annotations

from typing import Annotated

from resight.networks.cgd import CGD
from resight.networks.delg import DELG
from resight.networks.dolg import DOLG
from resight.networks.embedding import Embedding
from resight.networks.gem import GeMNet
from resight.networks.trunks.named import TrunkConfig
from resight.settings.choice import Family, Section

__all__ = ["NETWORKS"]

NETWORKS = Family(
    "network",
    lambda: {each.kind: each for each in (CGD, DELG, DOLG, Embedding, GeMNet)},
    frozenset({"trunk", "classes", "generator"}),
    {"trunk": Annotated[TrunkConfig, Section()]},
)
"""The networks of this package; in a recipe the settings of the trunk stand beside a network's own."""
