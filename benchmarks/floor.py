"""Prints the lowest version that pyproject.toml admits of each dependency, as constraints for pip."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
TOOLS = {"dev", "docs", "mutants"}
"""Extras that people who use the product do not install."""
_LOWEST = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?>=([0-9][0-9.]*)")


def lowest_versions(requirements: list[str]) -> list[str]:
    """Returns ``name==version`` of each requirement with a lower bound, sorted."""
    matches = (_LOWEST.match(each) for each in requirements)
    return sorted({f"{match[1]}=={match[2]}" for match in matches if match is not None})


def main() -> None:
    """Prints the constraints of the product and of its extras, without the tools of its developers."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    used = [each for name in sorted(extras.keys() - TOOLS) for each in extras[name]]
    print("\n".join(lowest_versions([*project["dependencies"], *used])))


if __name__ == "__main__":
    main()
