"""Weights that a network starts from: a bundle, or a file of tensors by name, as far as they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from resight.errors import InvalidInput
from resight.files import reading
from resight.models import bundle as bundles
from resight.models.architectures import GlobalNet
from resight.models.bundle import Preprocessing
from resight.models.parts import split
from resight.models.published.checkpoint import load_plain
from resight.models.whitening import Whitening, initialise_whitening
from resight.networks.gem import GeMNet

__all__ = ["Start", "start_from"]

# A trunk's file has the names of its library, which stand behind these in a network of ours.
_OWN_PREFIXES = ("", "trunk.", "trunk.net.", "trunk.net.model.")
# Words before a name in somebody's file: module., model., state.module.encoder_q.
_DEEPEST_PREFIX = 3
_DEEPEST_MAPPING = 3
_NAMED_AT_MOST = 3
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Start:
    """What a network started from.

    Attributes:
        path: The file.
        fingerprint: Of the bundle, or SHA-256 of another file: 64 hexadecimal digits.
        matched: The network's tensors that were filled, by name.
        missing: Those that the file lacks: they are as the network drew them.
        left_over: Tensors of the file that the network has no place for.
        reshaped: Tensors of both that have another shape in the file, with both shapes.
    """

    path: str
    fingerprint: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    reshaped: tuple[str, ...]

    def __str__(self) -> str:
        count = len(self.matched) + len(self.missing) + len(self.reshaped)
        sentences = [f"{len(self.matched)} of the network's {count} tensors start from {self.path}"]
        for names, what in (
            (self.missing, "drawn anew, for the file lacks them"),
            (self.reshaped, "drawn anew, for the file has another shape"),
            (self.left_over, "of the file left over"),
        ):
            if names:
                sentences.append(f"{len(names)} {what} ({_shown(names)})")
        return "; ".join(sentences)


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    """A file's tensors by name, in all places that could be meant, and what a bundle says besides."""

    fingerprint: str
    states: tuple[Mapping[str, Tensor], ...]
    preprocessing: Preprocessing | None = None
    whitenings: Sequence[Whitening] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Match:
    """The names of a network's tensors and of the file's tensors that belong together."""

    state: Mapping[str, Tensor]
    names: Mapping[str, str]
    numbers: int


def start_from(net: GlobalNet, path: str | Path) -> Start:
    """Fills a network in place with what fits of a file, and returns what did.

    The file is a bundle, also of another system that shares the trunk; or tensors by name, alone or within a
    mapping such as ``state_dict``, under whatever words training put before their names. Shapes must agree;
    weights of a half precision are widened. The whitening layer of a `GeMNet` is filled with the whitening
    behind a bundle, cut to its dimensions, so that training goes on from the descriptors of that bundle.

    Raises:
        InvalidInput: There is no such file, it holds no tensors, or anything but tensors and plain values,
            none of its weights fits, or one is not finite.
        InvalidBundle: It is a damaged bundle.
    """
    path = Path(path)
    own = net.state_dict()
    file = _read(path)
    _check_order(net, file, path)
    best = max((_matched(own, state) for state in file.states), key=lambda each: each.numbers)
    filled: dict[str, Tensor] = {}
    reshaped = []
    for name, source in best.names.items():
        tensor, wanted = best.state[source], own[name].shape
        # Files of torch 0.3 hold vectors as matrices of one row.
        tensor = tensor[0] if tensor.shape == (1, *wanted) else tensor
        if tensor.shape == wanted:
            filled[name] = tensor
        else:
            reshaped.append(f"{name} {tuple(tensor.shape)} for {tuple(wanted)}")
    _check_fit(net, path, best, filled)
    net.load_state_dict({**own, **filled})
    if file.preprocessing is not None:
        net.trunk.mean, net.trunk.std = file.preprocessing.mean, file.preprocessing.std
    used = set(best.names.values())
    matched = (*filled, *_whitened(net, file, best.names))
    known = {*matched, *best.names}
    return Start(
        str(path),
        file.fingerprint,
        matched,
        tuple(name for name in own if name not in known and not name.endswith(_COUNTER)),
        tuple(name for name in best.state if name not in used),
        tuple(reshaped),
    )


def _whitened(net: GlobalNet, file: _File, filled: Container[str]) -> tuple[str, ...]:
    """Fills the layer from the whitening behind a network without one; returns the names of its tensors.

    A layer that would be another's, behind two whitenings or of a network that has fewer dimensions, stays.
    """
    layer = getattr(net, "whitening", None)
    if not isinstance(net, GeMNet) or layer is None or len(file.whitenings) != 1:
        return ()
    (whitening,) = file.whitenings
    if "whitening.weight" in filled or whitening.inputs != layer.in_features or whitening.dim < net.dim:
        return ()
    initialise_whitening(net, whitening.reduced(net.dim))
    return "whitening.weight", "whitening.bias"


def _check_fit(net: GlobalNet, path: Path, match: _Match, filled: Mapping[str, Tensor]) -> None:
    """Returns if some weights fit, and all that do are finite."""
    if not any(tensor.ndim > 1 for tensor in filled.values()):
        examples = _shown(tuple(match.state))
        raise InvalidInput(
            f"model.start: no weights of {path} fit the network on {net.trunk.trunk}: its tensors are called "
            f"{examples}, those of the network {_shown(tuple(net.state_dict()))}: name a file of this trunk"
        )
    for name, tensor in filled.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InvalidInput(f"model.start: the tensor {match.names[name]} of {path} holds NaN or infinity")


def _read(path: Path) -> _File:
    if not path.is_file():
        raise InvalidInput(f"model.start: there is no file {path}")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            is_bundle = bundles.METADATA_KEY in (file.metadata() or {})
    except safetensors.SafetensorError:
        if path.suffix == ".safetensors":
            raise InvalidInput(f"model.start: {path} is no whole safetensors file") from None
        content = load_plain(path)
        states = tuple(_states(content))
        if not states:
            raise InvalidInput(f"model.start: {path} holds no tensors by name") from None
        return _File(_digest(path), states)
    if is_bundle:
        parts = split(bundles.read(path), name=str(path))
        tensors = {name: torch.tensor(tensor) for name, tensor in parts.describer.tensors.items()}
        fingerprint = bundles.read_header(path).fingerprint
        return _File(fingerprint, (tensors,), parts.describer.preprocessing, parts.whitenings)
    with reading(path, f"model.start: {path} is no whole safetensors file"):
        return _File(_digest(path), (safetensors.torch.load_file(path),))


def _states(content: object, depth: int = 0) -> Iterator[Mapping[str, Tensor]]:
    """Yields the tensors by name of a mapping and of every mapping within it."""
    if not isinstance(content, Mapping) or depth > _DEEPEST_MAPPING:
        return
    tensors = {str(name): each for name, each in content.items() if isinstance(each, Tensor)}
    if tensors:
        yield tensors
    for each in content.values():
        yield from _states(each, depth + 1)


def _matched(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> _Match:
    """Returns the best match over all words that may stand before the names on either side."""
    best = _Match(state, {}, -1)
    prefixes = {"": None} | {
        ".".join(name.split(".")[:depth]) + ".": None
        for name in state
        for depth in range(1, min(_DEEPEST_PREFIX, name.count(".")) + 1)
    }
    places = [
        {_plain(name[len(prefix) :]): name for name in own if name.startswith(prefix)}
        for prefix in _OWN_PREFIXES
    ]
    for prefix in prefixes:
        sources = {_plain(name[len(prefix) :]): name for name in state if name.startswith(prefix)}
        for place in places:
            names = {place[key]: sources[key] for key in place.keys() & sources.keys()}
            numbers = sum(
                own[name].numel() for name, source in names.items() if own[name].shape == state[source].shape
            )
            if numbers > best.numbers:
                # In the network's order.
                best = _Match(state, {name: names[name] for name in own if name in names}, numbers)
    return best


def _plain(name: str) -> str:
    """Returns a name as it is in trunks whose sequences timm has flattened, ``blocks_0`` for ``blocks.0``."""
    return name.replace(".", "_")


def _check_order(net: GlobalNet, file: _File, path: Path) -> None:
    order = net.trunk.channel_order
    if file.preprocessing is not None and file.preprocessing.channel_order != order:
        raise InvalidInput(
            f"model.start: {path} takes {file.preprocessing.channel_order} and the trunk {net.trunk.trunk} "
            f"{order}: name a bundle of this trunk"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _shown(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
