"""Parts of other packages by their dotted names, ``package.module:Name``."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from resight.errors import InvalidInput
from resight.files.nearest import suggestion

__all__ = ["dotted_name", "foreign_part", "import_named", "is_dotted"]


def is_dotted(name: str) -> bool:
    """Returns whether a name is that of a part in somebody's module: ``package.module:Name``."""
    module, colon, part = name.partition(":")
    return bool(colon) and part.isidentifier() and all(each.isidentifier() for each in module.split("."))


def dotted_name(part: type) -> str:
    """Returns the name by which `foreign_part` gives a class.

    Raises:
        InvalidInput: There is no such name: the class is defined inside a function or another class, or in
            the script that is run.
    """
    name = f"{part.__module__}:{part.__qualname__}"
    module = sys.modules.get(part.__module__)
    importable = is_dotted(name) and part.__module__ != "__main__"
    if not importable or getattr(module, part.__qualname__, None) is not part:
        raise InvalidInput(
            f"the class {part.__qualname__} of {part.__module__} cannot be stored by name: "
            "define it at the top of a module that can be imported"
        )
    return name


def foreign_part(name: str, *, may_import: bool) -> type:
    """Returns the class of a dotted name.

    Args:
        name: ``package.module:Name``.
        may_import: Whether the module may be imported, which runs its code. A recipe that names it is the
            user's own wish; a model's file is somebody else's, and uses only what is imported already.

    Raises:
        InvalidInput: The module is not imported and may not or cannot be, or it has no such class.
    """
    module_name, _, part_name = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None and not may_import:
        raise InvalidInput(
            f"the part {name} is code of the module {module_name}, which reading a model never imports: "
            f"import {module_name} first if you trust it (on a command line: --import {module_name})"
        )
    if module is None:
        module = import_named(module_name, wanted=f"the module of {name}")
    part = getattr(module, part_name, None)
    if not isinstance(part, type):
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        meant = suggestion(part_name, classes)
        raise InvalidInput(f"there is no class {part_name!r} in {module_name}: {meant}")
    return part


def import_named(module: str, *, wanted: str = "") -> ModuleType:
    """Returns a module that the user has named, imported: its code runs.

    Args:
        module: ``package.module``.
        wanted: What it is called in the error; the module by default.

    Raises:
        InvalidInput: It cannot be imported.
    """
    if not all(word.isidentifier() for word in module.split(".")):
        raise InvalidInput(f"{module!r} is no name of a module: it is written package.module")
    try:
        return import_module(module)
    except ImportError as error:
        raise InvalidInput(
            f"{wanted or f'the module {module}'} cannot be imported ({error}): install it, or put its folder "
            "on PYTHONPATH"
        ) from None
