"""One linear layer over descriptors that stay as they are: the cheapest training there is.

The baseline of ILIAS (Kordopatis-Zilos et al., CVPR 2025) trains such a layer by a cosine softmax of
scale 16.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from torch import nn

from resight.errors import InvalidInput
from resight.evaluation.measures.labels import evaluate_labels
from resight.losses.family import LOSSES
from resight.models.whitening import Whitening
from resight.models.whitening_fit import fit_pca
from resight.settings.sentences import sentence_of

__all__ = ["LayerSettings", "fit_layer"]

_VALIDATED = 5
"""One of so many classes chooses the epoch and is not learned from."""

_LEAST_CLASSES = 6
_POWERS = (0.0, 0.25, 0.5)
_SHRINKAGE = 0.1


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """How a layer is learned.

    Attributes:
        dim: Length of a descriptor afterwards; at most what it was.
        loss: Kind of a loss with proxies; cosine softmax by default.
        scale: Of its logits, for the cosine softmax.
        epochs: Most passes over the descriptors; the best one on classes apart is kept.
        batch: Descriptors in a step.
        learning_rate: Of Adam.
        seed: Of batches and of the loss's proxies.

    Raises:
        InvalidInput: There is no such loss, it has no proxies, or the scale cannot be used.
    """

    dim: int = 512
    loss: str = "normalised_softmax"
    scale: float = 16.0
    epochs: int = 40
    batch: int = 64
    learning_rate: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        # Refused before any photo is described.
        _loss(self, classes=2, dim=2)


def fit_layer(
    descriptors: Float32[np.ndarray, "n inputs"],
    labels: Int64[np.ndarray, " n"],
    settings: LayerSettings,
    *,
    provenance: str,
) -> tuple[Whitening, int]:
    """Returns the layer, which is applied as a whitening is, and the epoch that was kept.

    It begins as the rotation onto the directions of largest variance, so that it starts where the frozen
    descriptors are, or as a whitening, whichever finds more. A fifth of the classes chooses start and epoch
    by MAP@R.

    Args:
        descriptors: Of unit norm.
        labels: Class of each.
        settings: How.
        provenance: What the descriptors are of.

    Raises:
        InvalidInput: There are fewer than six classes, or no loss with proxies of that kind.
    """
    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) < _LEAST_CLASSES:
        raise InvalidInput(f"a layer is learned from at least {_LEAST_CLASSES} classes, not {len(classes)}")
    # Two at least, or the first answer is always right.
    chosen = np.linspace(0, len(classes) - 1, max(2, round(len(classes) / _VALIDATED))).round()
    apart = np.isin(numbers, chosen)
    _, learned = np.unique(numbers[~apart], return_inverse=True)
    dim = min(settings.dim, descriptors.shape[1], int((~apart).sum()) - 1)
    starts = [fit_pca(descriptors[~apart], dim, power=power, shrinkage=_SHRINKAGE) for power in _POWERS]
    values = [_map_at_r(start.apply(descriptors[apart]), numbers[apart]) for start in starts]
    start = starts[int(np.argmax(values))]
    layer = nn.Linear(descriptors.shape[1], dim, bias=False)
    # Of the size that Adam's steps are made for: directions decide, not lengths.
    layer.weight.data.copy_(torch.tensor(start.matrix / np.abs(start.matrix).max()))
    loss = _loss(settings, classes=int(learned.max()) + 1, dim=dim)
    inputs = torch.from_numpy((descriptors - start.mean).astype(np.float32))
    known, targets = inputs[torch.from_numpy(~apart)], torch.from_numpy(learned)
    parameters = [*layer.parameters(), *loss.parameters()]
    optimiser = torch.optim.Adam(parameters, settings.learning_rate)
    generator = torch.Generator().manual_seed(settings.seed)
    best, best_epoch, kept = -1.0, 0, copy.deepcopy(layer.weight.data)
    for epoch in range(settings.epochs + 1):
        with torch.inference_mode():
            unseen = nn.functional.normalize(layer(inputs[torch.from_numpy(apart)]), dim=1).numpy()
        value = _map_at_r(unseen, numbers[apart])
        if value > best:
            best, best_epoch, kept = value, epoch, copy.deepcopy(layer.weight.data)
        order = torch.randperm(len(known), generator=generator)
        for first in range(0, len(order), settings.batch):
            rows = order[first : first + settings.batch]
            optimiser.zero_grad()
            described = nn.functional.normalize(layer(known[rows]), dim=1)
            loss(described, targets[rows]).backward()
            optimiser.step()
    text = f"linear layer, {settings.loss} over {int(learned.max()) + 1} classes, epoch {best_epoch}"
    matrix: Float64[np.ndarray, "dim inputs"] = kept.double().numpy()
    return Whitening(start.mean, matrix, "layer", len(known), f"{text}; {provenance}"), best_epoch


def _loss(settings: LayerSettings, *, classes: int, dim: int) -> nn.Module:
    values: dict[str, object] = {"kind": settings.loss}
    if settings.loss == "normalised_softmax":
        values["temperature"] = 1 / settings.scale
    generator = torch.Generator().manual_seed(settings.seed)
    try:
        loss: nn.Module = LOSSES.read(values).make(classes=classes, dim=dim, generator=generator)
    except (ValidationError, PydanticCustomError) as error:
        reason = sentence_of(error) if isinstance(error, ValidationError) else str(error)
        raise InvalidInput(f"no layer can be learned by the loss {settings.loss!r}: {reason}") from None
    if not list(loss.parameters()):
        raise InvalidInput(f"the loss {settings.loss} has no proxies to learn: take normalised_softmax")
    return loss


def _map_at_r(described: Float32[np.ndarray, "n dim"], labels: Int64[np.ndarray, " n"]) -> float:
    value = evaluate_labels(described, labels).map_at_r
    return -1.0 if np.isnan(value) else value
