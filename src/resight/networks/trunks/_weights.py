"""Weights from a file into a network, with a sentence for whatever does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from resight.errors import WeightsUnavailable
from resight.files import reason_of
from resight.networks.torch_file import load_bounded
from resight.networks.trunks._hub import check_url

__all__ = ["fetch", "load_into", "read_weights"]

_NAMED_AT_MOST = 3


def fetch(url: str, *, wanted: str) -> Path:
    """Returns the file behind an address in the cache folder of ``torch.hub``, fetched where it is not there.

    Raises:
        WeightsUnavailable: It is not cached and cannot be fetched, or is not what its name says.
    """
    cache = Path(torch.hub.get_dir(), "checkpoints")
    check_url(
        url, cache, wanted=wanted, advice="or give a file of them: model.trunk.weights=FILE in a recipe"
    )
    path = cache / url.rpartition("/")[2]
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        prefix = path.stem.rpartition("-")[2]
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
        except (OSError, RuntimeError) as error:
            raise _unfit(wanted, f"{url} could not be fetched ({error})") from None
    return path


def read_weights(path: str | Path, *, wanted: str) -> dict[str, Tensor]:
    """Returns the tensors in a ``.safetensors`` or a ``.pth`` file; a pickle may hold nothing else.

    Raises:
        WeightsUnavailable: There is no file, or it holds anything but tensors by name.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = load_bounded(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _unfit(wanted, f"{path} cannot be read ({reason_of(error)})") from None
    if not isinstance(state, Mapping) or not all(isinstance(each, Tensor) for each in state.values()):
        raise _unfit(wanted, f"{path} holds something else than tensors by name")
    return {str(name): tensor for name, tensor in state.items()}


def load_into(
    net: nn.Module, state: Mapping[str, Tensor], *, wanted: str, leftover: Sequence[str] = ()
) -> None:
    """Fills a network with the tensors of their names, all or none.

    Batch counters may be missing. A vector may come as a matrix of one row, as files written by torch 0.3
    have it.

    Args:
        net: The network.
        state: Tensors by name.
        wanted: What is being loaded, for the message.
        leftover: Beginnings of the names of tensors that the network has no use for.

    Raises:
        WeightsUnavailable: A tensor is missing, of another shape, or unknown; it is named.
    """
    fitting: dict[str, Tensor] = {}
    problems = []
    for name, own in net.state_dict().items():
        given = state.get(name)
        if given is None:
            if name.endswith("num_batches_tracked"):
                fitting[name] = own
            else:
                problems.append(f"{name} is missing")
            continue
        if given.shape == (1, *own.shape):
            given = given[0]
        if given.shape != own.shape:
            problems.append(f"{name} has the shape {tuple(given.shape)} instead of {tuple(own.shape)}")
        fitting[name] = given
    known = net.state_dict().keys()
    problems += [
        f"{name} is unknown" for name in state if name not in known and not name.startswith(tuple(leftover))
    ]
    if problems:
        more = len(problems) - _NAMED_AT_MOST
        shown = ", ".join(problems[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
        raise _unfit(wanted, shown)
    net.load_state_dict(fitting, strict=True)


def _unfit(wanted: str, reason: str) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"cannot load the pretrained weights of {wanted}: {reason}; "
        "give a file of this trunk's published weights"
    )
