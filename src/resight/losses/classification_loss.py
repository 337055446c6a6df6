"""Cross-entropy of a classifier's logits with temperature and label smoothing."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn import functional

from resight.errors import InvalidInput
from resight.losses.inputs import check_labels
from resight.settings.bounds import Positive, Share, checked

__all__ = ["Classification", "classification"]


def classification(
    logits: Float[Tensor, "batch classes"],
    labels: Integer[Tensor, " batch"],
    *,
    temperature: float,
    smoothing: float,
) -> Float[Tensor, ""]:
    """Returns the mean cross-entropy of ``softmax(logits / temperature)`` with smoothed labels.

    The auxiliary loss of CGD (Jun et al. 2019). Smoothing ε puts ``1 - ε + ε/C`` on the own class and ``ε/C``
    on each other one of C (Szegedy et al., CVPR 2016, section 7). Computed in float32 at least.

    Raises:
        InvalidInput: Logits that are no matrix, or labels that do not fit it.

    Example:
        >>> logits, labels = 2 * torch.eye(3), torch.tensor([0, 1, 2])
        >>> classification(logits, labels, temperature=0.5, smoothing=0.1)
        tensor(0.3026)
    """
    if logits.ndim != 2 or logits.shape[0] == 0:
        raise InvalidInput(
            f"logits of shape {tuple(logits.shape)} cannot be classified: give (batch, classes)"
        )
    labels = check_labels(labels, *logits.shape)
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return functional.cross_entropy(precise / temperature, labels, label_smoothing=smoothing)


@final
class Classification(nn.Module):
    """`classification` as a module; it takes logits, not descriptors, and owns no parameters.

    Defaults are CGD's: temperature 0.5, smoothing 0.1.
    """

    kind: ClassVar = "classification"
    takes: ClassVar = ("logits",)

    @checked
    def __init__(self, *, temperature: Positive = 0.5, smoothing: Share = 0.1) -> None:
        """Takes the settings.

        Args:
            temperature: What logits are divided by.
            smoothing: ε, share of a label that is spread evenly over all classes.

        Raises:
            InvalidInput: A setting is outside of its range.
        """
        super().__init__()
        self.temperature = temperature
        self.smoothing = smoothing

    def forward(
        self, logits: Float[Tensor, "batch classes"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of a batch, a scalar."""
        return classification(logits, labels, temperature=self.temperature, smoothing=self.smoothing)
