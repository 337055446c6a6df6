"""Any timm trunk as feature maps that keep what they declare."""

from __future__ import annotations

import contextlib
import difflib
import json
import logging
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, final

import safetensors
import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput, UnknownModel
from resight.models._hub import check_hub, check_url, unavailable
from resight.models._timm import import_timm
from resight.models.bundle import JSON

__all__ = ["Backbone"]

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
# What timm raises where a trunk has no feature maps, or not with these options.
_BUILD_ERRORS = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


@final
class Backbone(nn.Module):
    """A trunk of timm: images to feature maps, shallow to deep.

    A map has ``channels[i]`` channels, and rows and columns of about the image's divided by ``strides[i]``
    (rounded up or down; trunks without padding lose a few more). In eval mode it is deterministic.

    Attributes:
        trunk: timm's name of the trunk without its source, ``resnet50.tv_in1k`` for example.
        options: timm's further arguments to build the trunk, JSON values.
        output_stride: The stride asked for at the deepest map, ``None`` for the trunk's own.
        channels: Channels of each map.
        strides: Pixels of the image per cell of each map.
        mean: What timm's configuration subtracts from each of R, G, B in 0..1.
        std: What it then divides by.
        licence: Licence of timm's weights of that name; ``unknown`` where timm names none.
        image_size: Rows and columns of the only size it takes; ``None`` where it takes any.
    """

    def __init__(
        self,
        name: str,
        *,
        pretrained: bool = False,
        out_indices: Sequence[int] | None = None,
        output_stride: int | None = None,
        options: Mapping[str, JSON] | None = None,
    ) -> None:
        """Builds the trunk, with random weights or with timm's.

        Args:
            name: A name in timm, possibly with a tag, or ``hf-hub:OWNER/NAME``, or ``local-dir:PATH`` for a
                folder with ``config.json`` and weights.
            pretrained: Load timm's weights for that name, through timm's own code.
            out_indices: Which maps; negative ones count from the deepest; ``None`` for all.
            output_stride: Stride of the deepest map, where the trunk can dilate its convolutions.
            options: Further arguments of timm to build the trunk.

        Raises:
            UnknownModel: timm has no trunk of that name.
            InvalidInput: The trunk gives no feature maps, or not with these indices, stride or options.
            WeightsUnavailable: The weights are not here and cannot be fetched, or do not fit.
            MissingExtra: timm is not installed.
        """
        super().__init__()
        timm = import_timm(f"the backbone {name}")
        self.trunk, found = _resolve(timm, name)
        self.options: dict[str, JSON] = {**found, **(options or {})}
        self.output_stride = output_stride
        self.image_size: tuple[int, int] | None = None
        self._whole_cells = False
        configuration = timm.get_pretrained_cfg(self.trunk)
        if configuration is not None and configuration.fixed_input_size:
            freedom = _freedom_of_size(timm, self.trunk, self.options)
            self.options.update(freedom)
            self._whole_cells = "strict_img_size" in freedom
            if not freedom:
                self.image_size = tuple(configuration.input_size[1:])
        arguments: dict[str, object] = dict(self.options)
        if out_indices is not None:
            arguments["out_indices"] = tuple(out_indices)
        if output_stride is not None:
            arguments["output_stride"] = output_stride
        if pretrained:
            _check_weights(timm, name)
        self.net = _build(timm, name, arguments, pretrained=pretrained)
        declared: Any = self.net  # timm's wrappers have no common type that declares these attributes
        self.channels: tuple[int, ...] = tuple(declared.feature_info.channels())
        self.strides: tuple[int, ...] = tuple(declared.feature_info.reduction())
        self.mean: tuple[float, float, float] = tuple(declared.pretrained_cfg["mean"])
        self.std: tuple[float, float, float] = tuple(declared.pretrained_cfg["std"])
        self.licence: str = declared.pretrained_cfg.get("license") or "unknown"
        self._channels_last = getattr(declared, "output_fmt", None) == "NHWC"

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> tuple[Tensor, ...]:
        """Returns the feature maps ``(batch, channels, rows, columns)``, shallow to deep.

        Raises:
            InvalidInput: The trunk takes one size only and these have another, or it gave another number of
                channels than it declares.
        """
        if self.image_size is not None and tuple(images.shape[2:]) != self.image_size:
            raise InvalidInput(
                f"the trunk {self.trunk} takes images of {self.image_size} rows and columns only, "
                f"got {tuple(images.shape[2:])}: choose another trunk"
            )
        if self._whole_cells:
            # Such a trunk takes any number of whole cells; zero is the mean colour.
            down, right = (-size % self.strides[-1] for size in images.shape[2:])
            images = nn.functional.pad(images, (0, right, 0, down))
        maps = tuple(self.net(images))
        if self._channels_last:
            maps = tuple(each.permute(0, 3, 1, 2) for each in maps)
        for each, channels in zip(maps, self.channels, strict=True):
            if each.ndim != 4 or each.shape[1] != channels:
                raise InvalidInput(
                    f"the trunk {self.trunk} declares {channels} channels and gives {tuple(each.shape)}: "
                    "choose another trunk"
                )
        return maps


def _resolve(timm: ModuleType, name: str) -> tuple[str, dict[str, JSON]]:
    """Returns timm's name without its source, and the arguments its configuration file asks for."""
    source, _, rest = name.partition(":")
    if source == "local-dir":
        try:
            configuration = json.loads(Path(rest, "config.json").read_text(encoding="utf-8"))
            return configuration["architecture"], dict(configuration.get("model_args", {}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise unavailable(name, f"{Path(rest, 'config.json')} cannot be used ({error})") from None
    if source == "hf-hub":
        check_hub(rest, ["config.json"], wanted=name)
        try:
            _, architecture, arguments = timm.models.load_model_config_from_hf(rest)
        except _fetch_errors() as error:
            raise unavailable(name, _first_line(error)) from None
        return architecture, dict(arguments)
    plain = name.partition(".")[0]
    tags = timm.list_pretrained(f"{plain}.*")
    if not timm.is_model(plain) or ("." in name and name not in tags):
        known = timm.list_models() + timm.list_pretrained()
        nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f": did you mean {', '.join(nearest)}?" if nearest else ": timm.list_models() lists them"
        raise UnknownModel(f"timm has no trunk {name!r}{hint}")
    return name, {}


def _freedom_of_size(timm: ModuleType, trunk: str, options: Mapping[str, JSON]) -> dict[str, JSON]:
    """Returns the options that let a trunk of fixed image size take any; nothing where it has none."""
    candidates: tuple[dict[str, JSON], ...] = (
        {"dynamic_img_size": True, "dynamic_img_pad": True},
        {"strict_img_size": False},
    )
    for candidate in candidates:
        try:
            timm.create_model(trunk, features_only=True, **{**options, **candidate})
        except TypeError:
            continue
        except _BUILD_ERRORS:
            return {}
        return candidate
    return {}


def _check_weights(timm: ModuleType, name: str) -> None:
    """Returns if timm's code has a chance to find the weights, in seconds."""
    source, _, rest = name.partition(":")
    if source == "hf-hub":
        check_hub(rest, _WEIGHT_FILES, wanted=name)
    if source in ("hf-hub", "local-dir"):
        return
    configuration = timm.get_pretrained_cfg(name)
    if configuration is None or not configuration.has_weights:
        raise unavailable(name, "timm has none for this name")
    if configuration.hf_hub_id:
        file_name = configuration.hf_hub_filename
        check_hub(configuration.hf_hub_id, [file_name] if file_name else _WEIGHT_FILES, wanted=name)
    elif configuration.url:
        check_url(configuration.url, Path(torch.hub.get_dir(), "checkpoints"), wanted=name)


def _build(timm: ModuleType, name: str, arguments: Mapping[str, object], *, pretrained: bool) -> nn.Module:
    try:
        with _quiet_timm():
            return timm.create_model(name, pretrained=pretrained, features_only=True, **arguments)
    except _weight_errors() as error:
        raise unavailable(name, _first_line(error)) from None
    except _BUILD_ERRORS as error:
        reason = _first_line(error)
    if pretrained:
        # timm raises the same types for weights that do not fit and for a trunk without feature maps.
        _build(timm, _resolve(timm, name)[0], arguments, pretrained=False)
        raise unavailable(name, reason)
    asked = ", ".join(f"{key}={value}" for key, value in arguments.items()) or "default options"
    raise InvalidInput(
        f"the timm trunk {name} gives no feature maps with {asked} ({reason}): "
        "choose another trunk or other options"
    )


def _fetch_errors() -> tuple[type[Exception], ...]:
    from huggingface_hub.errors import HfHubHTTPError

    # The base of the hub's own error is the base of all errors of the HTTP library it happens to use.
    return (OSError, *(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)))


def _weight_errors() -> tuple[type[Exception], ...]:
    return (*_fetch_errors(), safetensors.SafetensorError, pickle.UnpicklingError, EOFError)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return " ".join(line.strip() for line in lines[:2]) if lines else type(error).__name__


@contextlib.contextmanager
def _quiet_timm() -> Iterator[None]:
    """Keeps timm from warning on every load that the classifier's weights are left over."""
    logger = logging.getLogger("timm")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
