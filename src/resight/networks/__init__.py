"""Networks: ordinary torch modules that turn images into descriptors and local features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight.networks.trunks._timm import TORCH

if TYPE_CHECKING:
    from resight.networks.cgd import CGD, CGDOutput
    from resight.networks.delg import DELG, DELGOutput
    from resight.networks.dolg import DOLG
    from resight.networks.embedding import Embedding
    from resight.networks.gem import GeMNet
    from resight.networks.global_net import GlobalOutput
    from resight.networks.pooling import MAC, RMAC, AverageMax, GeM, SPoC
    from resight.networks.trunks.backbone import Backbone

__all__ = [
    "CGD",
    "DELG",
    "DOLG",
    "MAC",
    "RMAC",
    "AverageMax",
    "Backbone",
    "CGDOutput",
    "DELGOutput",
    "Embedding",
    "GeM",
    "GeMNet",
    "GlobalOutput",
    "SPoC",
]

_HOMES = {
    "AverageMax": "pooling",
    "Backbone": "trunks.backbone",
    "CGD": "cgd",
    "CGDOutput": "cgd",
    "DELG": "delg",
    "DELGOutput": "delg",
    "DOLG": "dolg",
    "Embedding": "embedding",
    "GeM": "pooling",
    "GeMNet": "gem",
    "GlobalOutput": "global_net",
    "MAC": "pooling",
    "RMAC": "pooling",
    "SPoC": "pooling",
}

# So that torch is imported only with what needs it.
__getattr__, __dir__ = face(__name__, __all__, _HOMES, extra="torch", modules=TORCH)
