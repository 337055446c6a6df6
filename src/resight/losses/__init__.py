"""Losses over descriptors and labels: one file a loss, a pure function and a module in each.

Every module is called as ``loss(descriptors, labels)`` with descriptors of unit length and returns a scalar.
Tuple losses take anchors, positives and negatives. Under several processes a loss is called with the global
batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face

if TYPE_CHECKING:
    from resight.losses.arcface import ArcFace, SubCentreArcFace
    from resight.losses.batch_hard import BatchHardTriplet
    from resight.losses.classification import Classification
    from resight.losses.contrastive import Contrastive, TupleContrastive
    from resight.losses.curricular import CurricularFace
    from resight.losses.hard_triple import HardTriple
    from resight.losses.margin import MarginLoss
    from resight.losses.mean import Mean
    from resight.losses.memory import CrossBatchMemory
    from resight.losses.multi_similarity import MultiSimilarity
    from resight.losses.normalised_softmax import NormalisedSoftmax
    from resight.losses.pairs import PairLoss, References
    from resight.losses.proxy_anchor import ProxyAnchor
    from resight.losses.proxy_nca import ProxyNCA
    from resight.losses.smooth_ap import SmoothAP
    from resight.losses.soft_triple import SoftTriple
    from resight.losses.triplet import Triplet, TupleTriplet

__all__ = [
    "ArcFace",
    "BatchHardTriplet",
    "Classification",
    "Contrastive",
    "CrossBatchMemory",
    "CurricularFace",
    "HardTriple",
    "MarginLoss",
    "Mean",
    "MultiSimilarity",
    "NormalisedSoftmax",
    "PairLoss",
    "ProxyAnchor",
    "ProxyNCA",
    "References",
    "SmoothAP",
    "SoftTriple",
    "SubCentreArcFace",
    "Triplet",
    "TupleContrastive",
    "TupleTriplet",
]

_HOMES = {
    "ArcFace": "arcface",
    "BatchHardTriplet": "batch_hard",
    "Classification": "classification",
    "Contrastive": "contrastive",
    "CrossBatchMemory": "memory",
    "CurricularFace": "curricular",
    "HardTriple": "hard_triple",
    "MarginLoss": "margin",
    "Mean": "mean",
    "MultiSimilarity": "multi_similarity",
    "NormalisedSoftmax": "normalised_softmax",
    "PairLoss": "pairs",
    "ProxyAnchor": "proxy_anchor",
    "ProxyNCA": "proxy_nca",
    "References": "pairs",
    "SmoothAP": "smooth_ap",
    "SoftTriple": "soft_triple",
    "SubCentreArcFace": "arcface",
    "Triplet": "triplet",
    "TupleContrastive": "contrastive",
    "TupleTriplet": "triplet",
}

# So that torch is imported only with what needs it.
__getattr__, __dir__ = face(__name__, __all__, _HOMES, extra="train", modules=["torch"])
