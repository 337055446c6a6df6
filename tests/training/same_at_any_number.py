"""Ten steps of several objectives in as many processes as torchrun starts; the first writes the outcome."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from resight.training import Processes, Recipe, train
from resight.training import checkpoint as checkpoints

OBJECTIVES = {
    "pair": [{"name": "ranking", "loss": {"kind": "multi_similarity"}}],
    "proxy": [{"name": "ranking", "loss": {"kind": "proxy_anchor"}}],
    "memory": [
        {
            "name": "ranking",
            "loss": {"kind": "cross_batch_memory", "size": 30, "loss": {"kind": "contrastive"}},
        }
    ],
    "cgd": [
        {"name": "ranking", "output": "branches", "loss": {"kind": "batch_hard_triplet"}},
        {"name": "auxiliary", "output": "logits", "loss": {"kind": "classification"}},
    ],
}


def main(recipe: Path, out: Path) -> None:
    """Writes losses and weights of every objective in both precisions."""
    torch.set_num_threads(1)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    found = {}
    for name, parts in OBJECTIVES.items():
        for precision in ("fp32", "fp64"):
            kind = ["model.kind=cgd", "model.configuration=SG"] if name == "cgd" else []
            settings = Recipe.from_yaml(
                recipe, [f"objective={parts}", f"training.precision={precision}", *kind]
            )
            run = out / f"{world}-{name}-{precision}"
            train(settings, run, processes=Processes(world))
            state = checkpoints.read(run / "checkpoints" / "last.pt")
            lines = (run / "log.jsonl").read_text().splitlines()
            found[f"{name} {precision}"] = (
                lines,
                {**state.model, **{f"objective.{key}": value for key, value in state.objective.items()}},
            )
    if os.environ.get("RANK", "0") == "0":
        torch.save(found, out / f"{world}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
