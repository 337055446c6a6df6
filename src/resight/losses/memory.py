"""Cross-batch memory: descriptors of past batches as further references of a pair loss."""

from __future__ import annotations

from typing import Annotated, ClassVar, final

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.losses.family import PAIR_LOSSES
from resight.losses.inputs import integer_labels
from resight.losses.pairs import PairLoss, References, precise
from resight.settings.bounds import Count, NotNegative, Number, checked

__all__ = ["CrossBatchMemory", "queue_rows"]


def queue_rows(enqueued: int, count: int, size: int) -> Int[Tensor, " count"]:
    """Returns the rows of a queue of the given size that the next items take, the oldest first to go.

    Args:
        enqueued: How many items were ever put into the queue.
        count: How many come now, at most ``size``.
        size: Rows of the queue.
    """
    return torch.arange(enqueued, enqueued + count) % size


@final
class CrossBatchMemory(nn.Module):
    """A pair loss of the batch against the last ``size`` descriptors, the batch's own included.

    Wang, Zhang, Huang and Scott 2020 (Cross-batch memory for embedding learning), algorithm 1: the batch is
    put into a queue without its gradient, the oldest leave it, and the loss compares the batch with all of
    the queue. No descriptor is paired with its own copy. Called with the global batch, it holds the same
    items on every process. In evaluation mode the queue is neither used nor changed: the loss is that of the
    batch alone.

    Attributes:
        loss: The pair loss.
        size: Rows of the queue.
        warm_up: Calls at the start that compare the batch with itself and leave the queue empty, while the
            descriptors still move too fast to be worth remembering.
        batch_weight: Weight of the loss of the batch with itself, added to the loss against the queue.
        descriptors: ``(size, dim)``, a buffer.
        labels: int64 ``(size,)``, a buffer.
        enqueued: int64, how many descriptors were ever put into the queue, a buffer.
        calls: int64, how often the module was called while training, a buffer.
    """

    kind: ClassVar = "cross_batch_memory"
    descriptors: Tensor
    labels: Tensor
    enqueued: Tensor
    calls: Tensor

    @checked
    def __init__(
        self,
        loss: Annotated[PairLoss, PAIR_LOSSES],
        size: Count,
        dim: Count,
        *,
        warm_up: Number = 0,
        batch_weight: NotNegative = 0.0,
    ) -> None:
        """Makes an empty queue in float32; ``.double()`` makes it float64.

        Args:
            loss: The pair loss, with settings of its own.
            size: Descriptors that the queue holds.
            dim: Length of a descriptor.
            warm_up: Calls at the start that compare the batch with itself alone.
            batch_weight: Weight of the loss of the batch with itself, added to that against the queue.

        Raises:
            InvalidInput: The loss is no pair loss, or a setting is outside of its range.
        """
        super().__init__()
        if not isinstance(loss, PairLoss):
            raise InvalidInput(f"a cross-batch memory needs a pair loss, not {type(loss).__name__}")
        self.loss = loss
        self.size = size
        self.warm_up = warm_up
        self.batch_weight = batch_weight
        self.register_buffer("descriptors", torch.zeros(size, dim))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("enqueued", torch.zeros((), dtype=torch.int64))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(
        self, descriptors: Float[Tensor, "batch dim"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of the batch against the queue that now holds it, plus its own, weighted.

        Args:
            descriptors: Of any length, see the pair loss's ``normalise``; the global batch where there are
                several processes.
            labels: Their labels.

        Raises:
            InvalidInput: The batch is larger than the queue, or its shape does not fit.
        """
        if not self.training:
            return self._of_batch(descriptors, labels)
        self.calls += 1
        if int(self.calls) <= self.warm_up:
            return self._of_batch(descriptors, labels)
        against_queue: Tensor = self.loss(descriptors, labels, self._enqueue(descriptors, labels))
        if self.batch_weight == 0:
            return against_queue
        return against_queue + self.batch_weight * self._of_batch(descriptors, labels)

    def _of_batch(self, descriptors: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = self.loss(descriptors, labels)
        return loss

    def _enqueue(self, descriptors: Tensor, labels: Tensor) -> References:
        """Puts the batch into the queue and returns all that is in it."""
        dim = self.descriptors.shape[1]
        if descriptors.ndim != 2 or descriptors.shape[1] != dim or not 1 <= len(descriptors) <= self.size:
            raise InvalidInput(
                f"a cross-batch memory of {self.size} descriptors of {dim} dimensions takes batches of 1 to "
                f"{self.size} of them, got {tuple(descriptors.shape)}"
            )
        if labels.shape != descriptors.shape[:1]:
            raise InvalidInput(f"{len(descriptors)} descriptors need a label each, got {tuple(labels.shape)}")
        labels, before = integer_labels(labels, len(descriptors)), int(self.enqueued)
        rows = queue_rows(before, len(labels), self.size).to(self.descriptors.device)
        # New tensors, not writes in place: an earlier call's graph may still need the queue as it was.
        items = precise(descriptors.detach()).to(self.descriptors.dtype)
        self.descriptors = self.descriptors.index_copy(0, rows, items)
        self.labels = self.labels.index_copy(0, rows, labels)
        self.enqueued += len(labels)
        held = min(before + len(labels), self.size)
        return References(self.descriptors[:held], self.labels[:held], own=rows)
