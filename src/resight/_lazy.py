"""Faces of packages: public names that are imported when they are first asked for, optional parts or not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from importlib.util import find_spec

from resight.errors import MissingExtra

__all__ = ["face", "lacks", "require"]


def face(
    package: str,
    names: list[str],
    homes: Mapping[str, str],
    *,
    extra: str = "",
    modules: Collection[str] = (),
    free: Collection[str] = (),
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Returns a package's ``__getattr__`` and ``__dir__``.

    Args:
        package: Its name.
        names: Its public names.
        homes: Module, below the package, of each name that is imported when asked for.
        extra: Extra that brings ``modules``.
        modules: What must be installed for such a name.
        free: Such names that do without.
    """

    def attribute(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if name not in free:
            require(extra, modules, f"{package}.{name}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return attribute, lambda: names


def require(extra: str, modules: Collection[str], needed_for: str) -> None:
    """Returns if the modules are installed; imports none of them.

    Raises:
        MissingExtra: One of them is not.
    """
    if lacks(modules):
        raise MissingExtra(extra, needed_for)


def lacks(modules: Collection[str]) -> bool:
    """Returns whether one of the modules is not installed; imports none of them."""
    return any(find_spec(module) is None for module in modules)
