"""What a number measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from resight.errors import InvalidInput

__all__ = ["WHOLE", "Kind", "Quantity"]

Kind = Literal["R", "MAP@R", "R-precision", "NMI", "AMI", "mAP", "mP", "mAP@100", "µAP", "accuracy"]
"""The formula, as the field writes it; ``R`` is recall and ``mP`` mean precision at k."""

WHOLE = "all"
"""The task of a benchmark that has but one."""

_AT_K = ("R", "mP")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A formula, its k and the part of the benchmark that it is taken over.

    Attributes:
        kind: The formula.
        k: How many answers it looks at; None for a formula without k.
        task: ``easy``, ``medium``, ``hard``, ``public``, ``private``; ``all`` where there is but one.

    Raises:
        InvalidInput: Recall or mean precision comes without k, or another formula with one.
    """

    kind: Kind
    k: int | None = None
    task: str = WHOLE

    def __post_init__(self) -> None:
        if (self.k is not None) != (self.kind in _AT_K):
            raise InvalidInput(
                f"{' and '.join(_AT_K)} take a k and nothing else does, not {self.kind} {self.k}"
            )

    @property
    def formula(self) -> str:
        """The formula with its k: ``R@1``, ``mAP``."""
        return self.kind if self.k is None else f"{self.kind}@{self.k}"

    @property
    def name(self) -> str:
        """For people: ``R@1``, ``MAP@R``, ``mAP medium``, ``mP@5 hard``."""
        return self.formula if self.task == WHOLE else f"{self.formula} {self.task}"
