"""The package in numbers: lines, files, long functions, arrows between rooms, circles, wide signatures.

    python benchmarks/structure.py [FOLDER]

FOLDER is a checkout; this one by default. A room is a folder or file directly under ``src/resight``; an arrow
is an import from one room of another; faces (``__init__.py``) are no part of a circle and count as no
importer.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter
from pathlib import Path

LONG = 45
"""Lines of a function above which it is long, docstring included."""


def modules(root: Path) -> dict[str, Path]:
    """Returns the files of the package by module name."""
    return {
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
    }


def imports_of(module: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Returns the modules of the package that a file imports, in functions and for type checkers too."""
    targets = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                targets.add(inner if inner in known else node.module)
    return {target for target in targets if target in known and target != module}


def circles(imports: dict[str, set[str]], faces: set[str]) -> list[list[str]]:
    """Returns the groups of files that import each other."""
    reach: dict[str, set[str]] = {}
    for start in imports.keys() - faces:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for target in imports[waiting.pop()] - faces - seen:
                seen.add(target)
                waiting.append(target)
        reach[start] = seen
    groups = {frozenset(b for b in reach[a] if a in reach[b]) for a in reach if a in reach[a]}
    return sorted(sorted(group) for group in groups)


def room(module: str) -> str:
    """Returns the room of a module."""
    return [*module.split("."), ""][1]


def main() -> None:
    top = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    files = modules(top / "src" / "resight")
    faces = {module for module, path in files.items() if path.name == "__init__.py"}
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in files.items()}
    imports = {module: imports_of(module, path, files) for module, path in files.items()}
    importers = Counter(target for module in imports.keys() - faces for target in imports[module])
    functions = [
        (module, node)
        for module, path in files.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    widths = {
        f"{module}.{node.name}": len([a for a in node.args.args if a.arg not in ("self", "cls")])
        + len(node.args.kwonlyargs)
        for module, node in functions
        if not node.name.startswith("_") or node.name == "__init__"
    }
    widest, longest = max(widths, key=widths.__getitem__), max(lines, key=lines.__getitem__)
    arrows = {(room(a), room(b)) for a in imports for b in imports[a] if room(a) != room(b)}
    long = sum((node.end_lineno or node.lineno) - node.lineno + 1 > LONG for _, node in functions)
    for name, value in {
        "lines": sum(lines.values()),
        "files": len(files),
        "median file, lines": statistics.median(lines.values()),
        "longest file, lines": f"{lines[longest]} ({longest})",
        f"functions over {LONG} lines": long,
        "arrows between rooms": len(arrows),
        "circles": circles(imports, faces) or 0,
        "files imported once": sum(importers[module] == 1 for module in files.keys() - faces),
        "arguments of the widest public signature": f"{widths[widest]} ({widest})",
    }.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
