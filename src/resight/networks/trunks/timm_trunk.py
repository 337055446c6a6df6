"""Building a trunk of timm as feature maps, with timm's failures turned into sentences."""

from __future__ import annotations

import contextlib
import inspect
import logging
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import safetensors
import torch
from torch import Tensor, nn

from resight.errors import InvalidInput, UnknownModel
from resight.files import nearest, read_json, shown
from resight.files.json import JSON
from resight.networks.trunks._hub import cached_file, check_hub, check_url, unavailable
from resight.networks.trunks._timm import import_timm
from resight.networks.trunks.options import check_options, check_plain
from resight.networks.trunks.strides import Tap
from resight.networks.trunks.trunk_net import TrunkNet
from resight.networks.trunks.whole_trunk import whole_trunk

__all__ = ["build", "class_token"]

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


def build(
    name: str,
    *,
    pretrained: bool,
    download: bool,
    out_indices: Sequence[int] | None,
    output_stride: int | None,
    options: Mapping[str, JSON] | None,
    whole: bool,
) -> TrunkNet:
    """Returns the trunk for `Backbone`, whose arguments these are.

    Raises:
        UnknownModel: timm has no trunk of that name.
        InvalidInput: The trunk gives no feature maps, or not with these indices, stride or options.
        WeightsUnavailable: The weights are not here and cannot be fetched, or do not fit.
        MissingExtra: timm is not installed.
    """
    timm = import_timm(f"the backbone {name}")
    trunk, found = _resolve(timm, name)
    kept: dict[str, JSON] = {**found, **(options or {})}
    image_size: tuple[int, int] | None = None
    whole_cells = False
    configuration = timm.get_pretrained_cfg(trunk)
    if configuration is not None and configuration.fixed_input_size:
        freedom = _freedom_of_size(timm, trunk, kept)
        kept.update(freedom)
        whole_cells = "strict_img_size" in freedom
        if not freedom:
            image_size = _pair(kept.get("img_size", configuration.input_size[1:]))
    arguments: dict[str, object] = dict(kept)
    if out_indices is not None:
        arguments["out_indices"] = tuple(out_indices)
    if output_stride is not None:
        arguments["output_stride"] = output_stride
    if whole:
        arguments |= {"feature_cls": whole_trunk(), "num_classes": 0}
    if pretrained and download:
        _check_weights(timm, name)
    elif pretrained:
        arguments["pretrained_cfg_overlay"] = {"file": str(_cached_weights(timm, name))}
    net = _build(timm, name, arguments, pretrained=pretrained)
    declared: Any = net  # timm's wrappers have no common type that declares these attributes
    whole_cells |= whole and hasattr(declared.model, "num_prefix_tokens")
    info = declared.feature_info
    taps = tuple(Tap(each["module"], each["num_chs"], each["reduction"]) for each in info.info)
    chosen = tuple(index % len(taps) for index in info.out_indices)
    return TrunkNet(
        net,
        trunk,
        taps,
        chosen,
        tuple(range(len(chosen))),
        tuple(declared.pretrained_cfg["mean"]),
        tuple(declared.pretrained_cfg["std"]),
        licence=declared.pretrained_cfg.get("license") or "unknown",
        options=kept,
        image_size=image_size,
        whole_cells=whole_cells,
        signed=configuration is not None and bool(configuration.fixed_input_size),
        has_class_token=_has_class_token(net),
        channels_last=getattr(declared, "output_fmt", None) == "NHWC",
    )


def class_token(net: nn.Module, images: Tensor) -> Tensor:
    """Returns the class token that a network of `build` has, ``(batch, channels)``, float32.

    Of the last of its maps' blocks, of zero mean and unit variance over its channels.
    """
    declared: Any = net  # timm's wrappers have no common type that declares these attributes
    (*_, (_, tokens)) = declared.model.forward_intermediates(
        images, indices=declared.out_indices, return_prefix_tokens=True, intermediates_only=True
    )
    token = tokens[:, 0].float()
    return nn.functional.layer_norm(token, token.shape[1:])


def _has_class_token(net: nn.Module) -> bool:
    model: Any = getattr(net, "model", None)
    if getattr(model, "cls_token", None) is None or not getattr(model, "num_prefix_tokens", 0):
        return False
    return "return_prefix_tokens" in inspect.signature(model.forward_intermediates).parameters


def _pair(size: JSON) -> tuple[int, int]:
    rows, columns = (size, size) if isinstance(size, int) else cast("Sequence[int]", size)
    return int(rows), int(columns)


def _resolve(timm: ModuleType, name: str) -> tuple[str, dict[str, JSON]]:
    """Returns timm's name without its source, and the arguments its configuration file asks for."""
    source, _, rest = name.partition(":")
    if source == "local-dir":
        place = Path(rest, "config.json")
        try:
            unreadable = f"{place} cannot be used"
            return _configured(timm, place, read_json(place, unreadable, unreadable=unreadable))
        except InvalidInput as error:
            raise unavailable(name, str(error)) from None
    if source == "hf-hub":
        check_hub(rest, ["config.json"], wanted=name)
        try:
            _, architecture, arguments = timm.models.load_model_config_from_hf(rest)
        except _fetch_errors() as error:
            raise unavailable(name, _first_line(error)) from None
        return _configured(timm, rest, {"architecture": architecture, "model_args": arguments})
    plain = name.partition(".")[0]
    tags = timm.list_pretrained(f"{plain}.*")
    if not timm.is_model(plain) or ("." in name and name not in tags):
        known = timm.list_models() + timm.list_pretrained()
        near = nearest(name, known, most=3)
        hint = f": did you mean {', '.join(near)}?" if near else ": timm.list_models() lists them"
        raise UnknownModel(f"timm has no trunk {name!r}{hint}")
    return name, {}


def _configured(timm: ModuleType, place: str | Path, configuration: JSON) -> tuple[str, dict[str, JSON]]:
    """Returns the architecture and the arguments of a configuration, which may come from anybody."""
    values = configuration if isinstance(configuration, Mapping) else {}
    architecture, arguments = values.get("architecture"), values.get("model_args", {})
    if not isinstance(architecture, str) or not isinstance(arguments, Mapping):
        raise InvalidInput(f"{place} cannot be used: it names no architecture, or arguments without names")
    if not timm.is_model(architecture.partition(".")[0]):
        raise InvalidInput(f"{place} cannot be used: timm has no architecture {shown(architecture)!r}")
    check_plain(arguments, whose=f"the arguments in {place}")
    check_options(architecture, arguments, whose=f"the arguments in {place}")
    return architecture, dict(arguments)


def _freedom_of_size(timm: ModuleType, trunk: str, options: Mapping[str, JSON]) -> dict[str, JSON]:
    """Returns the options that let a trunk of fixed image size take any; nothing where it cannot."""
    if options.get("dynamic_img_size") is False or options.get("strict_img_size") is True:
        return {}
    # In this order: Swin of timm before 1.0.31 takes those of vision transformers and does nothing with them.
    candidates: tuple[dict[str, JSON], ...] = (
        {"strict_img_size": False},
        {"dynamic_img_size": True, "dynamic_img_pad": True},
    )
    for candidate in candidates:
        try:
            with torch.device("meta"):
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


def _cached_weights(timm: ModuleType, name: str) -> Path:
    """Returns the file of a trunk's weights in the local caches; no server is asked.

    Raises:
        WeightsUnavailable: It is not there, or the name is that of a folder or a hub.
    """
    configuration = None if ":" in name else timm.get_pretrained_cfg(name)
    path = None
    if configuration is not None and configuration.hf_hub_id:
        file_name = configuration.hf_hub_filename
        path = cached_file(configuration.hf_hub_id, [file_name] if file_name else _WEIGHT_FILES)
    elif configuration is not None and configuration.url:
        path = Path(torch.hub.get_dir(), "checkpoints", configuration.url.rpartition("/")[2])
    if path is None or not path.is_file():
        raise unavailable(name, "they are not in the local cache, and downloads were not allowed")
    return path


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
    named = {key: value for key, value in arguments.items() if not isinstance(value, type)}
    asked = ", ".join(f"{key}={value}" for key, value in named.items()) or "default options"
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
