"""A whitening learned from the training photos of a finished model, as GeM's is from its tuples."""

from __future__ import annotations

import numpy as np

from resight.errors import InvalidInput
from resight.models.model import Model
from resight.models.whitening_fit import fit_learned, fit_pca, matching_pairs
from resight.training.images import Images
from resight.training.recipe import WhitenSettings

__all__ = ["whitened"]


def whitened(model: Model, images: Images, settings: WhitenSettings, *, seed: int) -> Model:
    """Returns the model with a whitening of its descriptors of training photos behind it.

    Pairs are those of the set; where it has labels alone, photos of one class.

    Args:
        model: Finished.
        images: Those of the run.
        settings: How the whitening is learned.
        seed: Draws the pairs.

    Raises:
        InvalidInput: There are no pairs, or too few photos for the dimensions.
    """
    rng = np.random.default_rng(seed)
    pairs = images.pairs if images.pairs is not None else matching_pairs(images.train.labels, rng)
    if not len(pairs):
        raise InvalidInput("use.whitening needs photos that show the same, and no two training photos do")
    pairs = pairs[rng.permutation(len(pairs))[: settings.pairs]]
    rows, places = np.unique(pairs, return_inverse=True)
    train = images.train
    boxes = None if train.boxes is None else [train.boxes[row] for row in rows]
    descriptors = model.describe([train.root / train.paths[row] for row in rows], boxes=boxes)
    learned_from = f"{len(rows):,} training photos"
    if settings.kind == "pca":
        whitening = fit_pca(descriptors, settings.dim, shrinkage=settings.shrinkage, provenance=learned_from)
    else:
        whitening = fit_learned(
            descriptors,
            places.reshape(pairs.shape),
            settings.dim,
            shrinkage=settings.shrinkage,
            provenance=learned_from,
        )
    return model.whitened(whitening, name=model.name)
