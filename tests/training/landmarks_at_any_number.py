"""Two epochs chosen on landmarks, in as many processes as torchrun starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from resight.training import Processes, Recipe, train

if __name__ == "__main__":
    torch.set_num_threads(1)
    recipe, run, *settings = sys.argv[1:]
    train(
        Recipe.from_yaml(Path(recipe), settings),
        Path(run),
        processes=Processes(int(os.environ.get("WORLD_SIZE", "1"))),
    )
