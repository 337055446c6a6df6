"""The authors' files, read without running anything that is in them."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from resight.errors import InvalidInput
from resight.networks.torch_file import load_bounded

__all__ = ["Checkpoint", "load_plain", "read_checkpoint"]

_Allowed: TypeAlias = Callable[..., object] | tuple[Callable[..., object], str]

# Where a file may carry its tensors besides what else training saved.
_STATES = ("state_dict", "model_state")
# The parts of numpy that rebuild plain arrays and numbers, by the names that numpy 1 and numpy 2 write. They
# run no code of the file's own; the whitenings of cnnimageretrieval-pytorch are such arrays.
_ARRAYS = ("_reconstruct", "scalar")
_NUMBERS = ("float64", "float32", "float16", "int64", "int32")
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A file of the authors as plain values.

    Attributes:
        path: Where it was read from.
        tensors: Tensors by name.
        meta: What the file says of its network, by name; ``None`` where it says nothing.
        digest: SHA-256 of the file, 64 hexadecimal digits.
    """

    path: str
    tensors: Mapping[str, Tensor]
    meta: Mapping[str, object] | None
    digest: str


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Returns the tensors of a ``.pth`` or ``.pyth`` file, and what it says of its network.

    The tensors stand alone or under ``state_dict`` or ``model_state``; ``module.``, which training on
    several GPUs puts before every name, is taken away. Only tensors, plain values and numpy arrays are
    accepted in the pickle (``weights_only`` of ``torch.load``).

    Raises:
        InvalidInput: There is no such file, it is no checkpoint, or it holds anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"there is no checkpoint at {path}")
    content = load_plain(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not isinstance(content, Mapping):
        raise InvalidInput(f"the checkpoint {path} holds no tensors by name, but a {type(content).__name__}")
    state = next((content[name] for name in _STATES if isinstance(content.get(name), Mapping)), content)
    meta = content.get("meta")
    foreign = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if foreign or not state:
        what = f"{foreign[0]} is no tensor" if foreign else "it is empty"
        raise InvalidInput(f"the checkpoint {path} holds no tensors by name: {what}")
    return Checkpoint(str(path), _named(state), meta if isinstance(meta, Mapping) else None, digest)


def load_plain(path: str | Path) -> object:
    """Returns what a file of ``torch.save`` holds, its tensors on the CPU.

    Only tensors, plain values and numpy arrays are accepted in the pickle (``weights_only`` of
    ``torch.load``).

    Raises:
        InvalidInput: It is no such file, or holds anything else.
    """
    try:
        with torch.serialization.safe_globals(_plain_arrays()), warnings.catch_warnings():
            # Of the pickle's protocol: what cannot be read is refused all the same.
            warnings.simplefilter("ignore", UserWarning)
            return load_bounded(path)
    except KeyboardInterrupt:
        raise
    # Whatever torch raises on it: the file is no checkpoint that can be read.
    except BaseException as error:
        raise InvalidInput(
            f"the checkpoint {path} cannot be read{_named_in(error)}: it must be a whole file of torch.save "
            "with nothing but tensors and plain values"
        ) from None


def _named_in(error: BaseException) -> str:
    """Returns what the file wants to run or what the system says, where that is why it was refused.

    The rest of torch's words is left out: they tell how to have it run.
    """
    if isinstance(error, OSError) and error.strerror:
        return f" ({error.strerror})"
    if isinstance(error, InvalidInput):
        return f" ({error})"
    match = _REFUSED.search(str(error))
    return f" (it names {match[1]})" if match else ""


def _named(state: Mapping[object, Tensor]) -> dict[str, Tensor]:
    names = [str(name) for name in state]
    wrapped = all(name.startswith("module.") for name in names)
    return {
        name.removeprefix("module.") if wrapped else name: tensor
        for name, tensor in zip(names, state.values(), strict=True)
    }


def _plain_arrays() -> list[_Allowed]:
    """Returns what `torch.serialization.safe_globals` takes to let plain numpy arrays pass."""
    allowed: list[_Allowed] = [np.ndarray, np.dtype]
    allowed += [type(np.dtype(name)) for name in _NUMBERS]
    # numpy keeps these two in a private module, whose name is part of every pickled array.
    rebuilding = [
        cast("Callable[..., object]", value.__reduce__()[0]) for value in (np.zeros(1), np.float64(0))
    ]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        allowed += [(each, f"{module}.{name}") for each, name in zip(rebuilding, _ARRAYS, strict=True)]
    return allowed
