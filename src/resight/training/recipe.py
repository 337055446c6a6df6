"""A recipe: everything that decides a training run, typed and checked before anything starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from resight.errors import InvalidInput
from resight.files import why_no_name
from resight.losses.family import LOSSES
from resight.models.foreign_bundle import check_trunk
from resight.models.keypoints import KeypointConfig
from resight.networks.family import NETWORKS
from resight.networks.trunks.named import TrunkConfig
from resight.settings.choice import MAY_IMPORT, Choice, Section, Settings
from resight.settings.marks import ADDED_LATER, MOST_SEED
from resight.settings.sentences import sentence_of, tuples
from resight.training.engine import TrainingSettings
from resight.training.groups import OPTIMISERS, GroupRule, Optimiser
from resight.training.images import DataSettings, SelectionSettings
from resight.training.loggers import LOGGERS, LoggerSettings
from resight.training.objective import OutputName
from resight.training.recipe_file import Values, read_values
from resight.training.samplers import SAMPLERS
from resight.training.schedule import SCHEDULES, Constant, Schedule

__all__ = ["LogSettings", "PartSettings", "Recipe", "UseSettings", "WhitenSettings"]

# What may change between a run and its resumption: it changes no weight. The photos have their own.
_NOT_IN_FINGERPRINT: dict[str, Any] = {
    "log": True,
    "training": {"workers", "device"},
    "data": {"root": True, "packed": {"file"}},
    "selection": {"landmarks": {"root"}},
}

_SOURCE = ":"
"""In the name of a trunk: it comes from a folder, a hub, a module or torchvision."""

_SHOWN = 60
"""Characters of a refused name that the message repeats."""


def _one_name(text: str) -> str:
    reason = why_no_name(text)
    if reason is not None:
        raise PydanticCustomError(
            "unfit", "{name} is no name for a run: {reason}", {"name": repr(text[:_SHOWN]), "reason": reason}
        )
    return text


class PartSettings(Settings):
    """One loss on one output of the model.

    Attributes:
        name: What the log calls it: a word.
        loss: Which, with its settings.
        output: ``descriptor``; ``branches`` of CGD, a loss of its own for each, summed; ``logits`` of the
            classifier of CGD and DELG, which exists only if a part asks for it; or ``reconstruction`` of
            DELG's autoencoder.
        weight: By what its value is multiplied.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
    loss: Annotated[Choice, LOSSES]
    output: OutputName = "descriptor"
    weight: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _fit(self) -> PartSettings:
        taken = getattr(self.loss.part, "takes", ("descriptor", "branches"))
        if self.output not in taken:
            raise PydanticCustomError(
                "unfit",
                "the loss {kind} takes the output {taken}, not {output}",
                {"kind": self.loss.kind, "taken": " or ".join(taken), "output": self.output},
            )
        return self


class LogSettings(Settings):
    """What is written while a run goes.

    Attributes:
        every: Steps between two looks at the losses; on a GPU a look waits for it.
        tensorboard: Write curves for TensorBoard beside the JSON lines.
        loggers: Other loggers that get the curves, each with its ``kind``, ``package.module:Class``, and the
            arguments of its constructor beside it; ``lightning_fabric.loggers:CSVLogger`` for example. The
            run's folder is handed to a parameter ``folder``, ``root_dir`` or ``save_dir``.
        checkpoint_epochs: Epochs between checkpoints; 0 for one at the end only.
        checkpoint_steps: Optimiser steps between checkpoints within an epoch; 0 for none.
    """

    every: PositiveInt = 10
    tensorboard: bool = True
    loggers: tuple[Annotated[LoggerSettings, LOGGERS], ...] = ()
    checkpoint_epochs: NonNegativeInt = 1
    checkpoint_steps: NonNegativeInt = 0


class WhitenSettings(Settings):
    """A whitening that is learned after the last step, from the pairs of the training photos.

    Attributes:
        kind: ``learned`` from pairs of a query and its positive (Radenović, Tolias and Chum 2018, section 3),
            or ``pca`` from the photos alone.
        dim: Dimensions that are kept; ``null`` for all.
        shrinkage: 0 to 1, how far the covariance is drawn to a multiple of the identity.
        pairs: Pairs at most that it is learned from, drawn by the recipe's seed.
    """

    kind: Literal["learned", "pca"] = "learned"
    dim: PositiveInt | None = None
    shrinkage: Annotated[float, Field(ge=0, le=1)] = 0.0
    pairs: PositiveInt = 20000


class UseSettings(Settings):
    """How the finished model sees photos.

    Attributes:
        max_side: Long side in pixels; ``null`` for the size of the test transform.
        scales: Scales whose descriptors are joined into the one of a photo.
        local: Keypoints; of DELG alone. ``null`` for the authors' settings.
        licence: Of the finished weights.
        whitening: Learned from the training pairs and kept in the bundle; ``null`` for none.
    """

    max_side: PositiveInt | None = None
    scales: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1.0,)
    local: Annotated[KeypointConfig, Section()] | None = None
    licence: str = "unknown"
    whitening: Annotated[WhitenSettings | None, ADDED_LATER] = None

    @model_validator(mode="after")
    def _differ(self) -> UseSettings:
        if len(set(self.scales)) < len(self.scales):
            raise PydanticCustomError("unfit", "two scales are the same")
        return self


class Recipe(Settings):
    """What to train, on what, and how; the parts say what their keys mean.

    Attributes:
        name: What logs, results and the run's folder are called: one name, no path.
        seed: Of the network's and the losses' first weights, of the batches and of the augmentation.
        data: Photos and transforms.
        sampler: What makes up a batch.
        model: The network.
        objective: Losses on its outputs, summed.
        optimiser: Which, with its rates.
        groups: Parameters with other rates; the first rule that fits decides.
        schedule: How the rates change.
        training: How long and how exactly.
        selection: Which weights are kept.
        use: How the finished model sees photos.
        log: What is written down.
    """

    name: Annotated[str, AfterValidator(_one_name)]
    seed: Annotated[int, Field(ge=0, le=MOST_SEED)] = 0
    data: DataSettings
    sampler: Annotated[Choice, SAMPLERS]
    model: Annotated[Choice, NETWORKS]
    objective: Annotated[tuple[PartSettings, ...], Field(min_length=1)]
    optimiser: Annotated[Optimiser, OPTIMISERS]
    groups: tuple[GroupRule, ...] = ()
    schedule: Annotated[Schedule, SCHEDULES] = Constant()
    training: TrainingSettings
    selection: SelectionSettings = SelectionSettings()
    use: UseSettings = UseSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _hold_trunk(self) -> Recipe:
        trunk = getattr(self.model, "trunk", None)
        # What a folder or a hub calls its trunk is known when it is built, and asked then.
        if isinstance(trunk, TrunkConfig) and trunk.options and _SOURCE not in trunk.backbone:
            try:
                check_trunk(trunk.backbone, trunk.options)
            except InvalidInput as error:
                text = str(error)
                raise PydanticCustomError(
                    "unfit", "a bundle could not hold the trunk: {text}", {"text": text}
                ) from None
        return self

    @model_validator(mode="after")
    def _fit(self) -> Recipe:
        names = [part.name for part in self.objective]
        if len(set(names)) < len(names):
            raise PydanticCustomError("unfit", "two parts of the objective have one name")
        in_tuples = getattr(self.sampler.part, "lays_tuples", False)
        for part in self.objective:
            if getattr(part.loss.part, "takes_tuples", False) and not in_tuples:
                raise PydanticCustomError(
                    "unfit",
                    "the loss {kind} takes tuples, and the sampler {sampler} lays out none: take tuples",
                    {"kind": part.loss.kind, "sampler": self.sampler.kind},
                )
        outputs = getattr(self.model.part, "outputs", ("descriptor",))
        for part in self.objective:
            if part.output not in outputs:
                raise PydanticCustomError(
                    "unfit",
                    "the model {kind} has no output {output}: it has {outputs}",
                    {"kind": self.model.kind, "output": part.output, "outputs": ", ".join(outputs)},
                )
        if self.use.local is not None and self.model.kind != "delg":
            raise PydanticCustomError(
                "unfit", "the model {kind} has no keypoints: leave out use.local", {"kind": self.model.kind}
            )
        return self

    @classmethod
    def from_yaml(cls, path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
        """Returns the recipe of a YAML file with overrides ``key.sub=value``.

        Raises:
            InvalidInput: The file cannot be read, or something in it or in an override cannot be right; keys
                that do not exist are answered with the nearest that does.
        """
        try:
            return cls.from_values(read_values(path, overrides), source=f"the recipe {path}")
        except InvalidInput as error:
            kinds = [key for key in (each.partition("=")[0] for each in overrides) if key.endswith(".kind")]
            if not kinds:
                raise
            place, kind = kinds[0].removesuffix(".kind"), "{kind: NAME}"
            raise InvalidInput(
                f"{error} (the override {kinds[0]} keeps the other settings there: "
                f"{place}='{kind}' replaces them all)"
            ) from None

    @classmethod
    def from_values(cls, values: Values, *, source: str = "the recipe") -> Recipe:
        """Returns the recipe of nested mappings and lists.

        Raises:
            InvalidInput: Something in it cannot be right.
        """
        try:
            return cls.model_validate(tuples(values), context={MAY_IMPORT: True})
        except ValidationError as error:
            raise InvalidInput(f"{source} cannot be used: {sentence_of(error)}") from None

    def changed_keys(self, other: Recipe) -> tuple[str, ...]:
        """Returns the keys, joined by dots, of what differs and could change the weights."""
        mine, others = (
            _flat(each.model_dump(mode="json", exclude=_NOT_IN_FINGERPRINT)) for each in (self, other)
        )
        return tuple(key for key in mine | others if mine.get(key) != others.get(key))

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with everything that could change the weights.

        A precision that the machine is to choose counts as fp32; a run's own recipe says what was chosen.
        """
        values = self.model_dump(mode="json", exclude=_NOT_IN_FINGERPRINT)
        if values["training"]["precision"] == "auto":
            values["training"]["precision"] = "fp32"
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @property
    def needs_classifier(self) -> bool:
        """Whether a part of the objective takes logits."""
        return any(part.output == "logits" for part in self.objective)


def _flat(values: Values, above: str = "") -> Values:
    """Returns nested values by their keys joined by dots; lists count as values."""
    flat: Values = {}
    for key, value in values.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return flat
