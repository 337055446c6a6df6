"""Optimisers, and which parameters get which learning rate and weight decay."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat
from torch import nn

from resight.errors import InvalidInput
from resight.files.nearest import suggestion
from resight.networks.pooling import GeM
from resight.settings.choice import Family, Settings

__all__ = [
    "LEAST_EXPONENT",
    "OPTIMISERS",
    "SGD",
    "Adam",
    "AdamW",
    "Group",
    "GroupRule",
    "Optimiser",
    "bound_exponents",
    "build_optimiser",
    "group_parameters",
]

_Key: TypeAlias = tuple[str, float, float, int]

_GEM_RATE = 10.0
_GEM_PER_CHANNEL_RATE = 100.0
LEAST_EXPONENT = 0.1
"""What exponents of GeM are kept at or above while they are learned; 1 is the mean."""


class _Rates(Settings):
    """What every optimiser has.

    Attributes:
        learning_rate: The rate of groups whose rule does not change it.
        weight_decay: Factor of the weights that is taken off at each step.
        decay: Which parameters decay: ``matrices`` (those of two and more axes: no biases, no scales of
            normalisation layers) or ``all``.
    """

    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat = 0.0
    decay: Literal["matrices", "all"] = "matrices"


class Adam(_Rates):
    """Kingma and Ba 2015; weight decay is added to the gradient.

    Attributes:
        betas: β1 and β2, decays of the means of the gradient and of its square.
        epsilon: ε, added to the root that divides.
    """

    kind: Literal["adam"] = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: PositiveFloat = 1e-8


class AdamW(_Rates):
    """Loshchilov and Hutter 2019: Adam with weight decay apart from the gradient.

    Attributes:
        betas: β1 and β2, decays of the means of the gradient and of its square.
        epsilon: ε, added to the root that divides.
    """

    kind: Literal["adamw"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: PositiveFloat = 1e-8


class SGD(_Rates):
    """Stochastic gradient descent with momentum.

    Attributes:
        momentum: Share of the last step that is added to the next.
        nesterov: Look ahead by the momentum (Nesterov).
    """

    kind: Literal["sgd"] = "sgd"
    momentum: NonNegativeFloat = 0.9
    nesterov: bool = False


Optimiser: TypeAlias = Adam | AdamW | SGD
"""Which optimiser, with the rates of parameters for which no rule says otherwise."""

OPTIMISERS = Family("optimiser", lambda: {"adam": Adam, "adamw": AdamW, "sgd": SGD})
"""The optimisers a recipe can name."""


class GroupRule(Settings):
    """What is different for the parameters whose name fits a pattern.

    Attributes:
        pattern: Shell wildcards for the whole name, such as ``model.trunk.*``, ``*.bias`` or
            ``objective.losses.ranking.*``; the names are ``model.`` or ``objective.`` and torch's name of the
            parameter.
        rate: The learning rate is the optimiser's times this.
        weight_decay: Instead of the optimiser's, for all that fits; ``None`` for the optimiser's.
        frozen_epochs: During so many epochs from the first, the parameters stay as they are.
    """

    pattern: str
    rate: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat | None = None
    frozen_epochs: NonNegativeInt = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share their rates.

    Attributes:
        name: The pattern that chose them, or ``model``, ``objective``, ``GeM p``.
        rate: Multiple of the optimiser's learning rate.
        weight_decay: Of these parameters.
        frozen_epochs: Epochs from the first in which they stay as they are.
        parameters: By name.
    """

    name: str
    rate: float
    weight_decay: float
    frozen_epochs: int
    parameters: tuple[tuple[str, nn.Parameter], ...]


def group_parameters(
    model: nn.Module, objective: nn.Module, optimiser: Optimiser, rules: Sequence[GroupRule]
) -> list[Group]:
    """Returns every parameter that learns in exactly one group; empty groups are left out.

    The first rule that fits decides. Where none does, the exponents of GeM learn ten times as fast, or a
    hundred times where each channel has its own, and without weight decay (Radenović, Tolias and Chum
    2018, the authors' code), the parameters of losses are one group and the rest of the model another;
    without the decay of ``matrices``, each of them is two.

    A rule that fits nothing is in order where the part it names is there and has nothing to learn:
    ``objective.*`` of losses without parameters, ``model.pooling.p`` of a pooling by the mean.

    Raises:
        InvalidInput: Any other rule fits no parameter.
    """
    exponents = _exponents(model)
    chosen: dict[_Key, list[tuple[str, nn.Parameter]]] = {}
    unused = {rule.pattern for rule in rules}
    owners = {"model": model, "objective": objective}
    named = [
        (f"{prefix}.{name}", parameter)
        for prefix, owner in owners.items()
        for name, parameter in owner.named_parameters()
    ]
    for name, parameter in named:
        fitting = [rule for rule in rules if fnmatch.fnmatchcase(name, rule.pattern)]
        unused -= {rule.pattern for rule in fitting}
        if not parameter.requires_grad:
            continue
        decay = optimiser.weight_decay if optimiser.decay == "all" or parameter.ndim > 1 else 0.0
        if fitting:
            rule = fitting[0]
            own_decay = decay if rule.weight_decay is None else rule.weight_decay
            key = (rule.pattern, rule.rate, own_decay, rule.frozen_epochs)
        elif id(parameter) in exponents:
            key = ("GeM p", exponents[id(parameter)], 0.0, 0)
        else:
            key = (name.partition(".")[0], 1.0, decay, 0)
        chosen.setdefault(key, []).append((name, parameter))
    for pattern in sorted(unused):
        if not _names_part_without_parameters(pattern, owners):
            meant = suggestion(pattern, [name for name, _ in named])
            raise InvalidInput(f"the group {pattern!r} of the recipe fits no parameter: {meant}")
    return [Group(*key, parameters=tuple(parameters)) for key, parameters in chosen.items()]


def _exponents(model: nn.Module) -> dict[int, float]:
    """Returns by what the rate of GeM's exponents is multiplied, by their identity."""
    return {
        id(module.p): _GEM_RATE if len(module.p) == 1 else _GEM_PER_CHANNEL_RATE
        for module in model.modules()
        if isinstance(module, GeM) and isinstance(module.p, nn.Parameter)
    }


def bound_exponents(model: nn.Module) -> None:
    """Sets exponents of GeM that a step has taken below `LEAST_EXPONENT` to it, in place.

    At 0 the mean does not exist, and no bundle takes an exponent below. The authors' code has no bound.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, GeM) and isinstance(module.p, nn.Parameter):
                module.p.clamp_(min=LEAST_EXPONENT)


def _names_part_without_parameters(pattern: str, owners: Mapping[str, nn.Module]) -> bool:
    """Returns whether what a pattern names, without its last word or wildcard, has nothing to learn."""
    before_wildcard = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    first, *ways = before_wildcard.split(".")[:-1] or [""]
    part: object = owners.get(first)
    for way in ways:
        # A part may also be None, as the whitening of a network without one.
        if not hasattr(part, way):
            return False
        part = getattr(part, way)
    if part is None:
        return bool(ways)
    return isinstance(part, nn.Module) and not any(True for _ in part.parameters())


def build_optimiser(settings: Optimiser, groups: Sequence[Group]) -> torch.optim.Optimizer:
    """Returns the optimiser of these groups, in their order."""
    described = [
        {
            "params": [parameter for _, parameter in group.parameters],
            "lr": settings.learning_rate * group.rate,
            "weight_decay": group.weight_decay,
        }
        for group in groups
    ]
    rate = settings.learning_rate
    match settings:
        case Adam():
            return torch.optim.Adam(described, lr=rate, betas=settings.betas, eps=settings.epsilon)
        case AdamW():
            return torch.optim.AdamW(described, lr=rate, betas=settings.betas, eps=settings.epsilon)
        case SGD():
            return torch.optim.SGD(described, lr=rate, momentum=settings.momentum, nesterov=settings.nesterov)
