"""A model with a convolutional network, described as SuperGlobal does."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from resight.errors import InvalidInput
from resight.models.model import Model
from resight.models.network_describer import NetworkDescriber
from resight.networks.super_global import SuperGlobalConfig

__all__ = ["PAPER_SCALES", "with_super_global"]

PAPER_SCALES = (2**-0.5, 1.0, 2**0.5)
"""Scales of a photo in the paper."""


def with_super_global(
    model: Model, config: SuperGlobalConfig | None = None, *, scales: Sequence[float] = PAPER_SCALES
) -> Model:
    """Returns a model with the same weights that describes as SuperGlobal does.

    Args:
        model: A model with a convolutional network and no whitening: one was learned for other descriptors.
        config: The settings; the authors' by default.
        scales: Scales of a photo.

    Raises:
        InvalidInput: The model has another kind of network, or a whitening.
    """
    describer = model.describer
    if not isinstance(describer, NetworkDescriber) or model.whitenings:
        raise InvalidInput(
            f"SuperGlobal describes with a network without whitening, and {model.name} is none: take a model "
            "of the kinds gem or embedding"
        )
    changed = NetworkDescriber(
        copy.deepcopy(describer.net),
        max_side=model.max_side,
        scales=scales,
        super_global=SuperGlobalConfig() if config is None else config,
    )
    return Model(
        changed,
        name=f"SuperGlobal of {model.name}",
        licence=model.licence,
        provenance=model.provenance,
        training=model.training,
    )
