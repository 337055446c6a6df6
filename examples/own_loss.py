"""A loss of your own in a recipe: its learned margin is saved, resumed and described with the rest.

python examples/own_loss.py PHOTOS        # a folder with train/CLASS/*.jpg and test/CLASS/*.jpg
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from resight.settings.bounds import Positive, checked
from resight.training import Recipe, train


class LearnedMargin(nn.Module):
    """Pulls images of a class together and pushes others apart up to a margin that is learned."""

    @checked
    def __init__(self, *, margin: Positive = 0.5, pull: Positive = 1.0) -> None:
        super().__init__()
        self.margin = nn.Parameter(torch.tensor(float(margin)))
        self.pull = pull

    def forward(self, descriptors: Tensor, labels: Tensor) -> Tensor:
        """Returns a scalar for unit descriptors ``(batch, dim)`` and labels ``(batch,)``."""
        similarities, same = descriptors @ descriptors.T, labels[:, None] == labels
        repulsion = (similarities - self.margin).clamp(min=0)
        loss = torch.where(same, self.pull * (1 - similarities), repulsion).mean()
        return loss + (self.margin - 0.3).square()


if __name__ == "__main__":
    small = "model={kind: gem, trunk: {name: test_resnet, pretrained: false}, dim: 16}"
    own = "objective=[{name: own, loss: {kind: 'own_loss:LearnedMargin', margin: 0.4}}]"
    quick = ["training={epochs: 2, device: cpu}", "sampler={kind: m_per_class, batch: 12, per_class: 3}"]
    data = [f"data.root={sys.argv[1]}", "data.benchmark=folder", "data.packed=null"]
    recipe = Recipe.from_yaml("small-gem", [small, own, *quick, *data, "selection.on=last"])
    print("The model is in", train(recipe, Path("runs/own-loss")).bundle)
