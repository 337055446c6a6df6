"""The only door to timm (and to torchvision, which timm imports).

torchvision's compiled operators are built for one build of torch. Beside another (a CPU torch and a
torchvision for CUDA, for instance) they cannot be loaded, and ``import torchvision`` then dies with
``operator torchvision::nms does not exist``: it registers shape rules for operators that nobody declared.
Declaring their schemas first mends the import; the operators stay unusable, and nothing here uses them.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from resight._lazy import require

if TYPE_CHECKING:
    import torch

__all__ = ["TORCH", "import_timm", "import_transforms", "require_torch"]

TORCH = ("torch", "torchvision", "timm")
"""What the extra of that name brings."""

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def require_torch(needed_for: str) -> None:
    """Raises `MissingExtra` unless torch, torchvision and timm are installed; imports none of them.

    Raises:
        MissingExtra: One of them is not installed.
    """
    require("torch", TORCH, needed_for)


def import_timm(needed_for: str) -> ModuleType:
    """Returns timm, imported so that a torchvision built for another torch does no harm.

    Raises:
        MissingExtra: torch, torchvision or timm is not installed.
    """
    require_torch(needed_for)
    _declare_torchvision_operators()
    import timm

    return timm


def import_transforms(needed_for: str) -> ModuleType:
    """Returns ``torchvision.transforms.v2``, imported as `import_timm` imports timm.

    Raises:
        MissingExtra: torch, torchvision or timm is not installed.
    """
    require_torch(needed_for)
    _declare_torchvision_operators()
    from torchvision.transforms import v2

    module: ModuleType = v2
    return module


@functools.cache
def _declare_torchvision_operators() -> torch.library.Library | None:
    """Returns the declarations, which last as long as this object; ``None`` where the compiled ones load."""
    import torch

    if hasattr(torch.ops.torchvision, "nms") or _compiled_operators_load():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch has no annotation
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]  # nor here
    return library


def _compiled_operators_load() -> bool:
    import torch

    spec = importlib.util.find_spec("torchvision")
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        for path in sorted(Path(folder).glob("_C.*")):
            try:
                torch.ops.load_library(path)  # type: ignore[no-untyped-call]  # nor here
            except OSError:
                continue
            return True
    return False
