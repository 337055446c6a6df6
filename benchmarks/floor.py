"""Prints the lowest version that pyproject.toml admits of every dependency, as constraints for pip."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_LOWEST = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?>=([0-9][0-9.]*)")


def lowest_versions(requirements: list[str]) -> list[str]:
    """Returns ``name==version`` of each requirement with a lower bound, sorted."""
    matches = (_LOWEST.match(each) for each in requirements)
    return sorted(f"{match[1]}=={match[2]}" for match in matches if match is not None)


def main() -> None:
    """Prints the constraints of the product and of the extras that come with it."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *extras["torch"], *extras["train"], *extras["formats"]]
    print("\n".join(lowest_versions(requirements)))


if __name__ == "__main__":
    main()
