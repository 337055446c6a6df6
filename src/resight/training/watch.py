"""The values of the last steps, left on the device until somebody looks: looking makes a GPU wait."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from resight.errors import ResightError
from resight.training.objective import ObjectiveValue

__all__ = ["StepValues", "TrainingDiverged", "Watch"]


class TrainingDiverged(ResightError):
    """A loss or a gradient is no longer finite.

    Attributes:
        step: The first step at which it was not, counted from 1.
        parts: Each part's value at that step.
    """

    def __init__(self, step: int, total: float, parts: dict[str, float], norm: float) -> None:
        self.step = step
        self.parts = parts
        shown = ", ".join(f"{name} {value:g}" for name, value in parts.items())
        super().__init__(
            f"training diverged at step {step}: the objective is {total:g} ({shown}) and the norm of its "
            f"gradient {norm:g}: lower the learning rate, clip gradients or warm up; the checkpoints hold "
            "the run before it"
        )


@dataclass(frozen=True, slots=True)
class StepValues:
    """What one optimiser step showed.

    Attributes:
        step: Counted from 1.
        epoch: Counted from 0.
        total: The objective, the mean over accumulated batches.
        parts: Each part before its weight.
        norm: L2 norm of the network's and the losses' gradients before clipping.
        rates: Learning rate of each group by name.
    """

    step: int
    epoch: int
    total: float
    parts: dict[str, float]
    norm: float
    rates: dict[str, float]


@final
class Watch:
    """Holds the values of steps, and gives them back checked."""

    def __init__(self, *, scaled: bool) -> None:
        """Holds nothing yet.

        Args:
            scaled: Losses are scaled for fp16: gradients may overflow, such a step is skipped and the scale
                lowered, so only the objective itself is checked.
        """
        self._scaled = scaled
        self._names: tuple[str, ...] = ()
        self._values: list[Tensor] = []
        self._steps: list[tuple[int, int, dict[str, float]]] = []

    def add(
        self, step: int, epoch: int, batches: list[ObjectiveValue], norm: Tensor, rates: dict[str, float]
    ) -> None:
        """Notes one step: the objective of each of its batches, the norm of its gradient and the rates."""
        self._names = tuple(batches[0].parts)
        rows = [torch.stack([each.total.detach(), *each.parts.values()]) for each in batches]
        self._values.append(
            torch.cat([torch.stack(rows).mean(0).double(), norm.detach().double().reshape(1)])
        )
        self._steps.append((step, epoch, rates))

    def take(self) -> list[StepValues]:
        """Returns the steps noted since the last call.

        Raises:
            TrainingDiverged: A value is NaN or infinite; the first such step is named.
        """
        rows = torch.stack(self._values).tolist() if self._values else []
        steps, self._values, self._steps = self._steps, [], []
        taken = []
        for (step, epoch, rates), (total, *values, norm) in zip(steps, rows, strict=True):
            parts = dict(zip(self._names, values, strict=True))
            if not math.isfinite(total) or not (self._scaled or math.isfinite(norm)):
                raise TrainingDiverged(step, total, parts, norm)
            taken.append(StepValues(step, epoch, total, parts, norm, rates))
        return taken
