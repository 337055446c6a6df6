"""Groups of things on the photos of `resight demo`, whose places are known: by two rules, on the same pairs.

    python benchmarks/groups_things.py demo/demo.resight [--json FILE]

The rules are bridges between groups taken out, as for copies, and pairs in doubt that join in numbers alone.
Precision and recall are of pairs of photos within groups; photos that show no place are things by themselves.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from resight.collection import Collection
from resight.collection.groups import building
from resight.search import groups_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    collection = Collection.open(arguments.collection)
    results = {"in numbers": measured(collection)}
    together = building._together
    try:
        building._together = as_copies
        results["bridges taken out"] = measured(collection)
    finally:
        building._together = together
    print(json.dumps(results, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def as_copies(links: Sequence[building._Link], _of: str) -> list[list[int]]:
    """Returns groups as those of copies are made."""
    return groups_of((link.first, link.second) for link in links)


def measured(collection: Collection) -> dict[str, float]:
    """Returns precision and recall of pairs, and the groups of more than one place."""
    groups = [[place_of(member.path) for member in group] for group in collection.groups(of="things")]
    counts = [Counter(group) for group in groups]
    right = sum(pairs(size) for count in counts for size in count.values())
    places = Counter(map(place_of, collection.exported().paths))
    return {
        "groups": len(groups),
        "mixed groups": sum(len(count) > 1 for count in counts),
        "precision": round(right / sum(map(pairs, map(len, groups))), 4),
        "recall": round(right / sum(map(pairs, places.values())), 4),
    }


def place_of(path: str) -> str:
    """Returns the place that a photo's name says, or the name."""
    return Path(path).stem.partition("_view_")[0]


def pairs(size: int) -> int:
    return size * (size - 1) // 2


if __name__ == "__main__":
    main()
