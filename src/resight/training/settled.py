"""What a recipe leaves to the machine, decided when a run starts and kept when it goes on."""

from __future__ import annotations

import logging
from typing import Literal

from resight.training.engine import build_fabric, device_of
from resight.training.parallel import Processes
from resight.training.precision import ChosenPrecision, choose_precision, has_bfloat16_units
from resight.training.recipe import Recipe
from resight.training.run_folder import RunFolder

__all__ = ["settled"]

_LOG = logging.getLogger(__name__)


def settled(recipe: Recipe, folder: RunFolder, processes: Processes) -> Recipe:
    """Returns the recipe with a precision: its own, that of the run it goes on with, or the machine's.

    Args:
        recipe: What to train.
        folder: Of the run.
        processes: How many train together; the first one's machine decides for all.

    Raises:
        InvalidInput: The recipe asks for a GPU where there is none.
    """
    device = device_of(recipe.training)
    if recipe.training.precision == "auto":
        before = folder.stored_recipe() if folder.last.exists() else None
        if before is not None and before.training.precision != "auto":
            _LOG.info("precision %s, as the run began", before.training.precision)
            return _with(recipe, before.training.precision)
        chosen = _chosen(recipe, device, processes)
        _LOG.info(chosen.reason)
        return _with(recipe, chosen.precision)
    if recipe.training.precision == "bf16" and not has_bfloat16_units(device):
        _LOG.warning(
            "training.precision=bf16 on a %s without units for bfloat16: a step takes several times as long "
            "as in float32, which training.precision=auto takes here",
            "GPU" if device == "cuda" else "processor",
        )
    return recipe


def _chosen(recipe: Recipe, device: Literal["cpu", "cuda"], processes: Processes) -> ChosenPrecision:
    if processes.all == 1:
        return choose_precision(device)
    fabric = build_fabric(recipe.training, processes)
    # Only the first one's is taken; the others need not measure.
    own = choose_precision(device) if fabric.is_global_zero else ChosenPrecision("fp32", "")
    return fabric.broadcast(own)


def _with(recipe: Recipe, precision: str) -> Recipe:
    training = recipe.training.model_copy(update={"precision": precision})
    return recipe.model_copy(update={"training": training})
