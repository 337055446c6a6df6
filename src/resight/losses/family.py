"""The losses a recipe can name, by their kinds."""

from __future__ import annotations

from collections.abc import Mapping

from resight.settings.choice import Family

__all__ = ["LOSSES", "PAIR_LOSSES"]


def _losses() -> Mapping[str, type]:
    from resight import losses

    parts = [getattr(losses, name) for name in losses.__all__]
    return {part.kind: part for part in parts if isinstance(part, type) and hasattr(part, "kind")}


def _pair_losses() -> Mapping[str, type]:
    from resight.losses.pairs import PairLoss

    return {kind: part for kind, part in _losses().items() if issubclass(part, PairLoss)}


_HANDED = frozenset({"classes", "dim", "seed", "generator"})

LOSSES = Family("loss", _losses, _HANDED)
"""Every loss of `resight.losses` that takes a batch with labels."""

PAIR_LOSSES = Family("pair loss", _pair_losses, _HANDED)
"""Those over pairs within a batch, which `resight.losses.CrossBatchMemory` can extend."""
