"""Losses over descriptors and labels: one file a loss, a pure function and a module in each.

Every module is called as ``loss(descriptors, labels)`` with descriptors of unit length and returns a
scalar; its settings are the arguments of its constructor. The function of the same name is the formula alone:
it takes descriptors, labels, what the module learns, and every setting; it has no defaults. Tuple losses take
anchors, positives and negatives. Under several processes a loss is called with the global batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face

if TYPE_CHECKING:
    from resight.losses.arcface_loss import ArcFace, SubCentreArcFace, arcface
    from resight.losses.batch_hard import BatchHardTriplet, batch_hard_triplet
    from resight.losses.classification_loss import Classification, classification
    from resight.losses.contrastive_loss import Contrastive, TupleContrastive, contrastive, contrastive_tuples
    from resight.losses.curricular import CurricularFace, curricular_face
    from resight.losses.hard_triple_loss import HardTriple, hard_triple
    from resight.losses.margin import MarginLoss, margin_loss
    from resight.losses.mean import Mean
    from resight.losses.memory import CrossBatchMemory
    from resight.losses.multi_similarity_loss import MultiSimilarity, multi_similarity
    from resight.losses.normalised_softmax_loss import NormalisedSoftmax, normalised_softmax
    from resight.losses.pairs import PairLoss, References
    from resight.losses.proxy_anchor_loss import ProxyAnchor, proxy_anchor
    from resight.losses.proxy_nca_loss import ProxyNCA, proxy_nca
    from resight.losses.smooth_ap_loss import SmoothAP, smooth_ap
    from resight.losses.soft_triple_loss import SoftTriple, soft_triple
    from resight.losses.triplet_loss import Triplet, TupleTriplet, triplet, triplet_tuples

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
    "arcface",
    "batch_hard_triplet",
    "classification",
    "contrastive",
    "contrastive_tuples",
    "curricular_face",
    "hard_triple",
    "margin_loss",
    "multi_similarity",
    "normalised_softmax",
    "proxy_anchor",
    "proxy_nca",
    "smooth_ap",
    "soft_triple",
    "triplet",
    "triplet_tuples",
]

_HOMES = {
    "ArcFace": "arcface_loss",
    "BatchHardTriplet": "batch_hard",
    "Classification": "classification_loss",
    "Contrastive": "contrastive_loss",
    "CrossBatchMemory": "memory",
    "CurricularFace": "curricular",
    "HardTriple": "hard_triple_loss",
    "MarginLoss": "margin",
    "Mean": "mean",
    "MultiSimilarity": "multi_similarity_loss",
    "NormalisedSoftmax": "normalised_softmax_loss",
    "PairLoss": "pairs",
    "ProxyAnchor": "proxy_anchor_loss",
    "ProxyNCA": "proxy_nca_loss",
    "References": "pairs",
    "SmoothAP": "smooth_ap_loss",
    "SoftTriple": "soft_triple_loss",
    "SubCentreArcFace": "arcface_loss",
    "Triplet": "triplet_loss",
    "TupleContrastive": "contrastive_loss",
    "TupleTriplet": "triplet_loss",
    "arcface": "arcface_loss",
    "batch_hard_triplet": "batch_hard",
    "classification": "classification_loss",
    "contrastive": "contrastive_loss",
    "contrastive_tuples": "contrastive_loss",
    "curricular_face": "curricular",
    "hard_triple": "hard_triple_loss",
    "margin_loss": "margin",
    "multi_similarity": "multi_similarity_loss",
    "normalised_softmax": "normalised_softmax_loss",
    "proxy_anchor": "proxy_anchor_loss",
    "proxy_nca": "proxy_nca_loss",
    "smooth_ap": "smooth_ap_loss",
    "soft_triple": "soft_triple_loss",
    "triplet": "triplet_loss",
    "triplet_tuples": "triplet_loss",
}

# So that torch is imported only with what needs it.
__getattr__, __dir__ = face(__name__, __all__, _HOMES, extra="torch", modules=["torch", "pydantic"])
