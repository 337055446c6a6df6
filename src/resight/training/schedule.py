"""Learning rates over time: a factor for every step, computed from the step alone.

Nothing here has state, so a resumed run needs nothing but its step.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

from pydantic import NonNegativeFloat, PositiveFloat

from resight.settings.choice import Family, Settings
from resight.settings.marks import ADDED_LATER

__all__ = ["SCHEDULES", "Constant", "Cosine", "Exponential", "Linear", "Schedule", "Step", "factor"]


_PYCLS_START = 0.1
"""``OPTIM.WARMUP_FACTOR`` of pycls."""


class Constant(Settings):
    """The same rate throughout.

    Attributes:
        warm_up: Epochs, possibly broken, during which the rate rises in a straight line.
    """

    kind: Literal["constant"] = "constant"
    warm_up: NonNegativeFloat = 0.0


class Step(Settings):
    """The rate is multiplied by ``factor`` at the beginning of each epoch in ``at``.

    Attributes:
        at: Epochs, counted from 0.
        factor: By what the rate is multiplied.
        warm_up: Epochs, possibly broken, during which the rate rises in a straight line.
    """

    kind: Literal["step"] = "step"
    at: tuple[int, ...]
    factor: PositiveFloat = 0.1
    warm_up: NonNegativeFloat = 0.0


class Linear(Settings):
    """A straight line from the full rate after the warm-up to the share ``end`` of it after the last step.

    Attributes:
        end: Share of the full rate after the last step.
        warm_up: Epochs, possibly broken, during which the rate rises in a straight line.
    """

    kind: Literal["linear"] = "linear"
    end: NonNegativeFloat = 0.0
    warm_up: NonNegativeFloat = 0.0


class Cosine(Settings):
    """Half a cosine instead of the line: Loshchilov and Hutter 2017 (SGDR), equation 5, without restarts.

    Attributes:
        end: Share of the full rate after the last step.
        warm_up: Epochs, possibly broken, during which the rate rises in a straight line.
        rule: ``steps``: the rate changes with every step, the cosine begins after the warm-up, and the first
            step has the rate of one step. ``pycls``, as the code that DOLG is trained with: the rate changes
            once an epoch, the cosine is counted from epoch 0, and over the warm-up it is multiplied by a
            line from 0.1 to 1.
    """

    kind: Literal["cosine"] = "cosine"
    end: NonNegativeFloat = 0.0
    warm_up: NonNegativeFloat = 0.0
    rule: Annotated[Literal["steps", "pycls"], ADDED_LATER] = "steps"


class Exponential(Settings):
    """The rate is multiplied by ``factor`` at the end of every epoch.

    Attributes:
        factor: By what the rate is multiplied.
        warm_up: Epochs, possibly broken, during which the rate rises in a straight line.
    """

    kind: Literal["exponential"] = "exponential"
    factor: PositiveFloat
    warm_up: NonNegativeFloat = 0.0


Schedule: TypeAlias = Constant | Step | Linear | Cosine | Exponential
"""How the rate changes. ``warm_up`` is a number of epochs, possibly broken, during which the rate rises in a
straight line; its first step has the rate of one step, not zero."""

SCHEDULES = Family(
    "schedule",
    lambda: {
        "constant": Constant,
        "step": Step,
        "linear": Linear,
        "cosine": Cosine,
        "exponential": Exponential,
    },
)
"""The schedules a recipe can name."""


def factor(schedule: Schedule, *, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Returns what every group's learning rate is multiplied by at a step.

    Args:
        schedule: How the rate changes.
        step: Optimiser steps already done.
        steps_per_epoch: Optimiser steps of an epoch.
        epochs: Epochs of the whole run.
    """
    warm = round(schedule.warm_up * steps_per_epoch)
    rise = min(1.0, (step + 1) / warm) if warm else 1.0
    epoch = step // steps_per_epoch
    progress = min(1.0, max(0, step - warm) / max(1, epochs * steps_per_epoch - warm))
    match schedule:
        case Constant():
            return rise
        case Step():
            return rise * schedule.factor ** sum(epoch >= at for at in schedule.at)
        case Linear():
            return rise * (1 + (schedule.end - 1) * progress)
        case Cosine(rule="pycls"):
            line = min(1.0, _PYCLS_START + (1 - _PYCLS_START) * epoch / (schedule.warm_up or 1))
            cosine = (1 + math.cos(math.pi * epoch / epochs)) / 2
            return (line if schedule.warm_up else 1.0) * (schedule.end + (1 - schedule.end) * cosine)
        case Cosine():
            return rise * (schedule.end + (1 - schedule.end) * (1 + math.cos(math.pi * progress)) / 2)
        case Exponential():
            return rise * schedule.factor**epoch
