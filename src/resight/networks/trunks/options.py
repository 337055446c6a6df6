"""Which options of a trunk a file from elsewhere may set: those of timm's architecture, as plain values.

timm's factory follows some of its arguments to files and addresses (``checkpoint_path``, ``pretrained_cfg``,
``cache_dir``); a file sets what describes the architecture, and nothing else.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping

from torch import nn

from resight.errors import InvalidInput
from resight.files.json import JSON
from resight.networks.trunks._timm import import_timm

__all__ = ["check_options", "check_plain"]

_WORD = re.compile(r"[A-Za-z0-9_.+-]{0,64}", re.ASCII)
_LONGEST_LIST = 64
_DEEPEST_LIST = 3
_LARGEST_NUMBER = 2**20
# Parameters of timm's classes that say where a network lives or what it is built from, and not its shape.
_NO_SETTING = frozenset({"self", "args", "kwargs", "device", "dtype", "cfg"})


def check_plain(options: Mapping[str, JSON], *, whose: str) -> None:
    """Returns if options are truth values, numbers of no great size, words, and short lists of them.

    Args:
        options: By name.
        whose: What sets them, in the message.

    Raises:
        InvalidInput: One is not.
    """
    for name, value in options.items():
        if not _is_plain(value):
            raise InvalidInput(
                f"{whose} set {name!r} to {value!r}; accepted are truth values, numbers of at most "
                f"{_LARGEST_NUMBER}, words, and short lists of them"
            )


def check_options(trunk: str, options: Mapping[str, JSON], *, whose: str) -> None:
    """Returns if options are of the architecture of a trunk of timm.

    Args:
        trunk: Its name in timm.
        options: By name.
        whose: What sets them, in the message.

    Raises:
        InvalidInput: One is something else.
    """
    accepted = _options_of(trunk)
    for name in options:
        if name not in accepted:
            raise InvalidInput(
                f"{whose} set {name!r}, which is no part of the architecture of {trunk}; "
                f"accepted are {', '.join(sorted(accepted)) or 'none'}"
            )


def _is_plain(value: JSON, depth: int = 0) -> bool:
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int | float):
        return abs(value) <= _LARGEST_NUMBER
    if isinstance(value, str):
        return bool(_WORD.fullmatch(value))
    short = isinstance(value, list | tuple) and len(value) <= _LONGEST_LIST and depth < _DEEPEST_LIST
    return short and all(_is_plain(each, depth + 1) for each in value)


def _options_of(trunk: str) -> frozenset[str]:
    """Returns the settings of the architecture in timm: the parameters of its family's constructors."""
    timm = import_timm(f"the backbone {trunk}")
    plain = trunk.partition(".")[0]
    if not timm.is_model(plain):
        # An unknown trunk is told where it is built.
        return frozenset()
    module = sys.modules[timm.model_entrypoint(plain).__module__]
    names: set[str] = set()
    for each in vars(module).values():
        if isinstance(each, type) and issubclass(each, nn.Module) and each.__module__.startswith("timm."):
            parameters = inspect.signature(each.__init__).parameters
            names.update(parameters if "num_classes" in parameters else ())
    return frozenset(names) - _NO_SETTING
