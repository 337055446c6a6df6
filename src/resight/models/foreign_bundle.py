"""What the settings of a bundle may ask for before a network is built from them.

A bundle comes from anybody. Its settings name a trunk and its options, and timm's factory would follow some
of them to files and addresses (``checkpoint_path``, ``pretrained_cfg``, ``cache_dir``). So a bundle may set
what describes the architecture, and nothing else; and the network may be about as large as the tensors that
the bundle holds.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping

from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from resight.errors import InvalidInput
from resight.files.json import JSON
from resight.networks.trunks import bn_inception, lite0, torchvision_trunk
from resight.networks.trunks.options import check_options, check_plain
from resight.settings.foreign import foreign_part, is_dotted

__all__ = ["bounded_network", "check_settings", "check_trunk"]

_TIMM_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*", re.ASCII)
# Whose classes a bundle does not name: their constructors were written for callers that are trusted.
_LIBRARIES = frozenset({"lightning_fabric", "resight", "timm", "torch", "torchvision"})
# timm builds the classifier too, and takes it away: 103 million weights of VGG-16 are the most.
_SPARE_PARAMETERS = 2**28
_SPARE_MODULES = 50_000


def check_settings(architecture: str, settings: Mapping[str, JSON]) -> None:
    """Returns if the settings of a bundle describe an architecture and nothing else.

    Args:
        architecture: The bundle's.
        settings: The bundle's, of a network.

    Raises:
        InvalidInput: They name a folder, a hub or an address, an option that is none of the trunk's
            architecture, or a class that is no network's.
    """
    for name in _dotted_names(architecture, settings):
        _check_class(name)
    trunk, options = settings.get("trunk"), settings.get("trunk_options", {})
    # What is missing or of another type is told where settings are read.
    if isinstance(trunk, str) and isinstance(options, Mapping):
        check_trunk(trunk, options)


def check_trunk(trunk: str, options: Mapping[str, JSON]) -> None:
    """Returns if a bundle may hold a trunk of that name with these options.

    Args:
        trunk: As `Backbone` calls it.
        options: Further arguments of its constructor.

    Raises:
        InvalidInput: The name is that of a folder, a hub or an address, or an option is none of the trunk's
            architecture.
    """
    check_plain(options, whose="its trunk_options")
    if (
        is_dotted(trunk)
        or trunk in (bn_inception.NAME, lite0.NAME)
        or trunk.startswith(f"{torchvision_trunk.SOURCE}:")
    ):
        return
    if not _TIMM_NAME.fullmatch(trunk):
        raise InvalidInput(
            f"its trunk {trunk!r} is no name of a trunk: a bundle names no folder and no address"
        )
    check_options(trunk, options, whose="its trunk_options")


@contextlib.contextmanager
def bounded_network(numbers: int, tensors: int) -> Iterator[None]:
    """Refuses, inside of the block, a network that is much larger than the tensors it is made for.

    Args:
        numbers: How many numbers the tensors hold in all.
        tensors: How many tensors there are.

    Raises:
        InvalidInput: The network would have many more weights or modules. The memory of a weight is asked
            for but not yet written to when it is refused.
    """
    weights, modules = 2 * numbers + _SPARE_PARAMETERS, 20 * tensors + _SPARE_MODULES
    counted = {"weights": 0, "modules": 0}

    def count_weights(module: nn.Module, name: str, weight: nn.Parameter) -> None:
        del module, name
        counted["weights"] += 0 if weight is None else weight.numel()
        if counted["weights"] > weights:
            raise InvalidInput(
                f"its settings describe a network of over {weights} weights for {numbers} stored ones"
            )

    def count_modules(module: nn.Module, name: str, part: nn.Module | None) -> None:
        del module, name, part
        counted["modules"] += 1
        if counted["modules"] > modules:
            raise InvalidInput(
                f"its settings describe a network of over {modules} parts for {tensors} tensors"
            )

    hooks = (
        register_module_parameter_registration_hook(count_weights),
        register_module_module_registration_hook(count_modules),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _dotted_names(architecture: str, settings: JSON) -> Iterator[str]:
    """Yields the names of other packages' classes wherever a bundle may name one."""
    if is_dotted(architecture) and architecture.partition(":")[2] not in torchvision_trunk.NAMES:
        yield architecture
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            is_part = key in ("kind", "trunk") and isinstance(value, str)
            yield from _dotted_names(str(value) if is_part else "", value)


def _check_class(name: str) -> None:
    """Returns if the class is a module of torch's kind, written by neither torch nor its libraries."""
    part = foreign_part(name, may_import=False)
    package = name.partition(":")[0].partition(".")[0]
    own = package in _LIBRARIES and not name.startswith(("torch.nn:", "torch.nn.modules."))
    if own or package in sys.stdlib_module_names or not issubclass(part, nn.Module):
        raise InvalidInput(f"it names the class {name}, which is no part of a network of your own")
