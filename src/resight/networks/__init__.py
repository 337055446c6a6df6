"""Networks: ordinary torch modules that turn images into descriptors and local features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight.networks.trunks._timm import TORCH

if TYPE_CHECKING:
    from resight.networks.cgd import CGD, CGDConfig, CGDOutput
    from resight.networks.delg import DELG, DELGConfig, DELGOutput
    from resight.networks.dolg import DOLG, DOLGConfig
    from resight.networks.embedding import Embedding, EmbeddingConfig
    from resight.networks.gem import GeMNet, GeMNetConfig
    from resight.networks.global_net import GlobalOutput
    from resight.networks.pooling import (
        MAC,
        POOLINGS,
        RMAC,
        AverageMax,
        ClassToken,
        GeM,
        SignedGeM,
        SPoC,
        TrunkAndGeM,
        TrunkPooling,
    )
    from resight.networks.trunks.backbone import Backbone
    from resight.networks.trunks.named import TrunkConfig

__all__ = [
    "CGD",
    "DELG",
    "DOLG",
    "MAC",
    "POOLINGS",
    "RMAC",
    "AverageMax",
    "Backbone",
    "CGDConfig",
    "CGDOutput",
    "ClassToken",
    "DELGConfig",
    "DELGOutput",
    "DOLGConfig",
    "Embedding",
    "EmbeddingConfig",
    "GeM",
    "GeMNet",
    "GeMNetConfig",
    "GlobalOutput",
    "SPoC",
    "SignedGeM",
    "TrunkAndGeM",
    "TrunkConfig",
    "TrunkPooling",
]

_HOMES = {
    "AverageMax": "pooling",
    "Backbone": "trunks.backbone",
    "CGD": "cgd",
    "CGDConfig": "cgd",
    "CGDOutput": "cgd",
    "ClassToken": "pooling",
    "DELG": "delg",
    "DELGConfig": "delg",
    "DELGOutput": "delg",
    "DOLG": "dolg",
    "DOLGConfig": "dolg",
    "Embedding": "embedding",
    "EmbeddingConfig": "embedding",
    "GeM": "pooling",
    "GeMNet": "gem",
    "GeMNetConfig": "gem",
    "GlobalOutput": "global_net",
    "MAC": "pooling",
    "POOLINGS": "pooling",
    "RMAC": "pooling",
    "SPoC": "pooling",
    "SignedGeM": "pooling",
    "TrunkAndGeM": "pooling",
    "TrunkConfig": "trunks.named",
    "TrunkPooling": "pooling",
}

# So that torch is imported only with what needs it.
__getattr__, __dir__ = face(__name__, __all__, _HOMES, extra="torch", modules=TORCH)
