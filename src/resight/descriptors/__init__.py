"""From files to descriptors, and what they go through."""

from resight.descriptors.extract import Content, Extraction, content_of, extract
from resight.descriptors.whitening import fit_learned, fit_pca, variance_kept
from resight.descriptors.whitening_pairs import groups_of_pairs, matching_pairs, non_matching_pairs

__all__ = [
    "Content",
    "Extraction",
    "content_of",
    "extract",
    "fit_learned",
    "fit_pca",
    "groups_of_pairs",
    "matching_pairs",
    "non_matching_pairs",
    "variance_kept",
]
