"""What a recipe trains: losses on named outputs of a model, weighted and summed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.losses.soft_triple_loss import TripleLoss

__all__ = ["Objective", "ObjectiveValue", "OutputName", "Outputs", "Part"]

OutputName: TypeAlias = Literal["descriptor", "branches", "logits", "reconstruction"]
"""What a loss takes: the descriptor, each branch's descriptor, a classifier's logits, or the error of each
image's reconstruction."""

Outputs: TypeAlias = Mapping[str, tuple[Tensor, ...]]
"""A model's outputs of a batch by name; the branches are several tensors, the others one."""


@dataclass(frozen=True, slots=True)
class Part:
    """One loss on one output.

    Attributes:
        name: What the log calls it.
        losses: One module, or for the branches one each: a loss's proxies belong to one space.
        output: The output of the model that it takes.
        weight: By what its value is multiplied.
    """

    name: str
    losses: tuple[nn.Module, ...]
    output: OutputName
    weight: float


@dataclass(frozen=True, slots=True)
class ObjectiveValue:
    """An objective of one batch.

    Attributes:
        total: Weighted sum, with gradient.
        parts: Each part before its weight, detached; of branches the sum over them.
    """

    total: Float[Tensor, ""]
    parts: Mapping[str, Float[Tensor, ""]]


@final
class Objective(nn.Module):
    """The weighted sum of its parts; what the losses own is among its parameters and in its state.

    Attributes:
        parts: In the order of the recipe.
        outputs: Names of the outputs it needs.
    """

    def __init__(self, parts: Sequence[Part], *, tuple_size: int = 0) -> None:
        """Joins the parts.

        Args:
            parts: In order.
            tuple_size: Photos of each tuple, which stand together in a batch as query, positive, negatives;
                0 where batches are no tuples.

        Raises:
            InvalidInput: There is none, two have one name, or a name is no Python word.
        """
        super().__init__()
        names = [part.name for part in parts]
        if not parts or len(set(names)) < len(names):
            raise InvalidInput(f"an objective needs one part or more, each with its own name, not {names}")
        for name in names:
            if not name.isidentifier():
                raise InvalidInput(
                    f"a part of the objective is called by letters, digits and underscores, not {name!r}"
                )
        self.parts = tuple(parts)
        self._tuple_size = tuple_size
        self.outputs: tuple[OutputName, ...] = tuple(sorted({part.output for part in parts}))
        # One loss lies directly under its part's name, so that its parameters are called part.proxies.
        self.losses = nn.ModuleDict(
            {
                part.name: part.losses[0] if len(part.losses) == 1 else nn.ModuleList(part.losses)
                for part in parts
            }
        )

    def distinct_centres(self) -> dict[str, tuple[int, ...]]:
        """Returns for each part with several centres a class how many classes have 1, 2, ... of them left.

        Those closer than 0.1 count as one (`resight.losses.SoftTriple.distinct_centres`); of branches the
        classes of all are added up.
        """
        counts: dict[str, tuple[int, ...]] = {}
        for part in self.parts:
            triples = [loss for loss in part.losses if isinstance(loss, TripleLoss)]
            if triples:
                left = torch.cat([loss.distinct_centres() for loss in triples])
                many = torch.bincount(left, minlength=triples[0].centres.shape[1] + 1)[1:]
                shard = triples[0].shard
                counts[part.name] = tuple((many if shard is None else shard.total(many)).tolist())
        return counts

    def forward(self, outputs: Outputs, labels: Int[Tensor, " batch"]) -> ObjectiveValue:
        """Returns the objective of a batch.

        Args:
            outputs: What the model gave, by name, ``(batch, dim or classes)`` each, of the reconstruction
                ``(batch,)``; half precision is widened to float32 first.
            labels: 0 to classes - 1.

        Raises:
            InvalidInput: The model does not give an output that a part needs.
        """
        total = torch.zeros((), device=labels.device)
        values: dict[str, Tensor] = {}
        for part in self.parts:
            tensors = outputs.get(part.output, ())
            if len(tensors) != len(part.losses):
                raise InvalidInput(
                    f"the part {part.name!r} of the objective needs the output {part.output!r}, and the "
                    f"model gives {', '.join(name for name, each in outputs.items() if each)}"
                )
            value = torch.stack(
                [
                    self._value(loss, _wide(tensor), labels)
                    for loss, tensor in zip(part.losses, tensors, strict=True)
                ]
            ).sum()
            values[part.name] = value.detach()
            total = total + part.weight * value
        return ObjectiveValue(total, values)

    def _value(self, loss: nn.Module, tensor: Tensor, labels: Tensor) -> Tensor:
        if not getattr(loss, "takes_tuples", False):
            value: Tensor = loss(tensor, labels)
            return value
        tuples = tensor.view(-1, self._tuple_size, tensor.shape[1])
        of_tuples: Tensor = loss(tuples[:, 0], tuples[:, 1], tuples[:, 2:])
        return of_tuples


def _wide(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
