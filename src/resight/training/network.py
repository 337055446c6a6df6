"""A network as the loop calls it: pixels in, exactly the outputs that the objective needs out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Int, UInt8
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.files import JSON
from resight.images.augment import LongSide
from resight.models.architectures import GlobalNet
from resight.models.bundle import Bundle
from resight.models.delg_describer import DELGDescriber
from resight.models.foreign_bundle import check_trunk
from resight.models.model import Model
from resight.models.network_describer import NetworkDescriber, check_scales
from resight.models.preprocess import normalised
from resight.networks.cgd import CGD
from resight.networks.delg import DELG
from resight.networks.gem import GeMNet, signed_pooling
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.receptive_field import receptive_field
from resight.training.checkpoint import Best
from resight.training.objective import Objective, OutputName, Part
from resight.training.recipe import Recipe
from resight.training.start import Start

__all__ = ["Network", "build_model", "build_objective", "check_size", "settled_pooling"]


@final
class Network(nn.Module):
    """A model behind its normalisation.

    Attributes:
        model: The model.
        outputs: Names of what it returns.
        mean: Subtracted from channels of 0..1, in the model's order of channels.
        std: Divides them then.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: GlobalNet, outputs: Sequence[OutputName]) -> None:
        """Takes a model and the names of the outputs to return."""
        super().__init__()
        self.model = model
        self.outputs = tuple(outputs)
        trunk = model.trunk
        self._channel_order = trunk.channel_order
        self.register_buffer("mean", torch.tensor(trunk.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(trunk.std).view(3, 1, 1), persistent=False)

    def forward(
        self, groups: Sequence[UInt8[Tensor, "images height width 3"]], order: Int[Tensor, " batch"] | None
    ) -> dict[str, tuple[Tensor, ...]]:
        """Returns the outputs by name, one row an image.

        Args:
            groups: RGB pixels; images of one size are together, for they go through the network together.
            order: Which row of the joined groups each image of the batch is; ``None`` if they are in order.

        Raises:
            InvalidInput: The model lacks an output.
        """
        parts = [self._outputs(self.model(self._normalised(pixels))) for pixels in groups]
        if order is None and len(parts) == 1:
            return parts[0]
        joined: dict[str, tuple[Tensor, ...]] = {
            name: tuple(torch.cat(tensors) for tensors in zip(*(each[name] for each in parts), strict=True))
            for name in self.outputs
        }
        if order is None:
            return joined
        return {name: tuple(tensor[order] for tensor in tensors) for name, tensors in joined.items()}

    def freeze_unreached(self, rows: int, columns: int) -> None:
        """Stops learning of the parameters on which no output depends.

        Such as the attention of a DELG without its loss. Processes that train together would wait for their
        gradients for ever.

        Args:
            rows: Of an image that the network takes.
            columns: Of that image.
        """
        training = self.training
        self.eval()
        outputs = self([torch.zeros(1, rows, columns, 3, dtype=torch.uint8)], None)
        self.train(training)
        learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        total = torch.stack([tensor.sum() for tensors in outputs.values() for tensor in tensors]).sum()
        for parameter, gradient in zip(
            learned, torch.autograd.grad(total, learned, allow_unused=True), strict=True
        ):
            parameter.requires_grad_(gradient is not None)

    def describe(
        self, groups: Sequence[Tensor], order: Tensor | None, *, scales: Sequence[float] = (1.0,)
    ) -> Tensor:
        """Returns the descriptors alone, float32 ``(batch, dim)`` of unit norm, without gradient.

        They are those of the finished model: joined over the scales, and an image without any response gets
        the direction without a preference.
        """
        with torch.no_grad():
            described = torch.cat(
                [
                    self.model.describe_at(self._normalised(pixels), scales).descriptor.float()
                    for pixels in groups
                ]
            )
        described = described if order is None else described[order]
        dead = ~described.any(dim=1, keepdim=True)
        return torch.where(dead, described.shape[1] ** -0.5, described)

    def to_bundle(self, recipe: Recipe, best: Best | None, *, chosen_on: str, start: Start | None) -> Bundle:
        """Returns the model as it is now, for use; what serves training alone is left out.

        Args:
            recipe: That of the run.
            best: Where the weights come from; ``None`` for the last ones.
            chosen_on: The images by which they were chosen, in words for every protocol card.
            start: What the network started from; ``None`` for random or published weights.
        """
        return self.to_model(recipe, best, chosen_on=chosen_on, start=start).to_bundle()

    def to_model(
        self, recipe: Recipe, best: Best | None = None, *, chosen_on: str = "", start: Start | None = None
    ) -> Model:
        """Returns the model as it is now, in eval mode and float32; it shares weights that are float32.

        Args:
            recipe: That of the run.
            best: Where the weights come from; ``None`` for the last ones.
            chosen_on: The images by which they were chosen.
            start: What the network started from.
        """
        provenance = f"trained by the recipe {recipe.name} (fingerprint {recipe.fingerprint[:16]})"
        if best is not None:
            provenance += f", {best.metric} {best.value:.4f} on {best.on} after {best.epoch} epochs"
        if start is not None:
            provenance += f", started from {Path(start.path).name} (fingerprint {start.fingerprint[:16]})"
        max_side = recipe.use.max_side or recipe.data.test_transform.make().size
        double = next(self.model.parameters()).dtype == torch.float64
        net = copy.deepcopy(self.model).float() if double else self.model
        device, scales = str(self.mean.device), recipe.use.scales
        describer = (
            DELGDescriber(net, max_side=max_side, scales=scales, keypoints=recipe.use.local, device=device)
            if isinstance(net, DELG)
            else NetworkDescriber(net, max_side=max_side, scales=scales, device=device)
        )
        transform: JSON = recipe.data.test_transform.model_dump(mode="json")
        return Model(
            describer,
            name=recipe.name,
            licence=recipe.use.licence,
            provenance=provenance,
            training={
                "transform": transform,
                "selection": _chosen(best, chosen_on),
                "precision": recipe.training.precision,
                **({} if start is None else {"start": start.fingerprint}),
            },
        )

    def _normalised(self, pixels: Tensor) -> Tensor:
        return normalised(pixels, self.mean, self.std, channel_order=self._channel_order)

    def _outputs(self, output: object) -> dict[str, tuple[Tensor, ...]]:
        return {name: _output(output, name) for name in self.outputs}


def build_model(recipe: Recipe, *, classes: int) -> GlobalNet:
    """Returns the network of a recipe, with a classifier where a part of the objective needs one.

    Args:
        recipe: Names network and trunk.
        classes: Number of training classes, for the classifier.

    Raises:
        UnknownModel: There is no such trunk.
        InvalidInput: The trunk does not fit the network, or the receptive field of its map is unknown.
        WeightsUnavailable: The trunk's weights are not here and cannot be fetched.
    """
    choice: Any = recipe.model
    # A start takes the place of the trunk's published weights.
    config = choice.trunk if choice.start is None else replace(choice.trunk, pretrained=False, weights=None)
    trunk = config.build(maps=choice.part.maps)
    # Before any photo is looked at: what the training ends with must be readable.
    check_trunk(trunk.trunk, trunk.options)
    choice = _with_pooling(choice, trunk)
    model: GlobalNet = choice.make(trunk=trunk, classes=classes if recipe.needs_classifier else None)
    if isinstance(model, DELG):
        # Keypoints need the receptive field: a trunk without one is refused before the training, not after.
        receptive_field(model.trunk, 0)
    return model


def settled_pooling(recipe: Recipe, model: GlobalNet) -> Recipe:
    """Returns the recipe with the pooling that a network built from it has."""
    pooling = getattr(model.config, "pooling", None)
    if pooling is None or pooling == getattr(recipe.model, "pooling", None):
        return recipe
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"pooling": pooling})})


def check_size(recipe: Recipe, trunk: Backbone) -> None:
    """Returns if a recipe shows a trunk photos of the only size it takes; any other trunk takes all.

    Raises:
        InvalidInput: A transform gives another size, or several, or the finished model has several scales.
    """
    if trunk.image_size is None:
        return
    rows, columns = trunk.image_size
    for key in ("train_transform", "test_transform"):
        transform = getattr(recipe.data, key).make()
        if isinstance(transform, LongSide) or {transform.size} != {rows, columns}:
            kind = "stretch" if isinstance(transform, LongSide) else getattr(recipe.data, key).kind
            raise InvalidInput(
                f"the trunk {trunk.trunk} takes photos of {rows} x {columns} pixels only: "
                f"data.{key}='{{kind: {kind}, size: {rows}}}' and what else that transform needs"
            )
    check_scales(trunk, recipe.use.scales)


def _with_pooling(choice: Any, trunk: Backbone) -> Any:
    """Returns the choice of a network, with a signed pooling where none is set and the trunk wants one."""
    default = getattr(choice, "pooling", None)
    if default is None or "pooling" in choice.model_fields_set:
        return choice
    pooling = signed_pooling(trunk, default, token=choice.part is GeMNet)
    return choice if pooling is default else choice.model_copy(update={"pooling": pooling})


def build_objective(recipe: Recipe, model: GlobalNet, *, classes: int, tuple_size: int = 0) -> Objective:
    """Returns the objective of a recipe for a model: every loss with parameters of the right size.

    Args:
        recipe: Names the losses.
        model: Gives the dimension.
        classes: Number of training classes.
        tuple_size: Photos of each tuple of a batch; 0 where batches are no tuples.

    Raises:
        InvalidInput: A loss does not fit the number of classes or the dimension.
    """
    cgd = model.config if isinstance(model, CGD) else None
    parts = []
    for number, settings in enumerate(recipe.objective):
        count, dim = 1, model.dim
        if cgd is not None and settings.output == "branches":
            count, dim = len(cgd.configuration), model.dim // cgd.shares
        seeds = [_seed(recipe.seed, number, branch) for branch in range(count)]
        losses = [
            settings.loss.make(
                classes=classes, dim=dim, seed=seed, generator=torch.Generator().manual_seed(seed)
            )
            for seed in seeds
        ]
        parts.append(Part(settings.name, tuple(losses), settings.output, settings.weight))
    return Objective(parts, tuple_size=tuple_size)


def _chosen(best: Best | None, on: str) -> str:
    """Returns how the weights of a run were chosen, for every protocol card of the model."""
    if best is None:
        return "the last epoch"
    figure = f", {best.value:.4f} after {best.epoch} epochs" if best.on == "landmarks" else ""
    return f"{on}: the best epoch by {best.metric}{figure}"


def _seed(seed: int, part: int, branch: int) -> int:
    """Returns a seed for one loss: those of two parts and of two branches differ."""
    return (seed << 16) + (part << 8) + branch


def _output(output: object, name: OutputName) -> tuple[Tensor, ...]:
    value = getattr(output, "reconstruction_error" if name == "reconstruction" else name, None)
    if value is None:
        raise InvalidInput(f"a {type(output).__name__} has no output {name!r}: take a loss on the descriptor")
    return value if isinstance(value, tuple) else (value,)
