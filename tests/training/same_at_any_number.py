"""Ten steps of several objectives in as many processes as torchrun starts; the first writes the outcome."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
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
    "classes": [
        {"name": "ranking", "loss": {"kind": "arcface", "learn_scale": True, "scale": 8}},
        {"name": "centres", "loss": {"kind": "soft_triple", "centres": 2}},
    ],
    "cgd": [
        {"name": "ranking", "output": "branches", "loss": {"kind": "batch_hard_triplet"}},
        {"name": "auxiliary", "output": "logits", "loss": {"kind": "classification"}},
    ],
    # Without the losses of its attention and its autoencoder.
    "delg": [{"name": "ranking", "loss": {"kind": "contrastive"}}],
    "attention": [
        {"name": "ranking", "loss": {"kind": "contrastive"}},
        {"name": "attention", "output": "logits", "loss": {"kind": "classification"}},
        {"name": "reconstruction", "output": "reconstruction", "loss": {"kind": "mean"}},
    ],
    "dolg": [{"name": "ranking", "loss": {"kind": "contrastive"}}],
}
MODELS = {
    "cgd": ["model.kind=cgd", "model.configuration=SG"],
    "delg": ["model.kind=delg", "model.local_dim=8"],
    "attention": ["model.kind=delg", "model.local_dim=8", "model.attention_dim=8"],
    "dolg": ["model.kind=dolg", "model.dilations=[1, 2]"],
}


def main(recipe: Path, out: Path, names: Sequence[str]) -> None:
    """Writes losses and weights of these objectives in both precisions."""
    torch.set_num_threads(1)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    found: dict[str, object] = {}
    for name in names:
        parts = OBJECTIVES[name]
        for precision in ("fp32", "fp64"):
            kind = MODELS.get(name, [])
            if name == "classes" and world > 1:
                kind = ["training.classes=sharded"]
            settings = Recipe.from_yaml(
                recipe, [f"objective={json.dumps(parts)}", f"training.precision={precision}", *kind]
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
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
