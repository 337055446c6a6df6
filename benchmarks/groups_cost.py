"""What groups cost by the number of photos: CPU seconds of each step, and bytes that are kept.

    python benchmarks/groups_cost.py COLLECTION [--sizes 1000 2000] [--blocks 4] [--json FILE]

Of copies of the collection, pictures are removed by chance until so many photos are left, each with all
photos whose names begin alike up to a "-", as `groups.py` names copies; some blocks of 64 are compared as
`resight groups` does. The steps are reading local features, candidates (photos turned and mirrored by their
features, and searches for all of these), pictures on pages, verification, and pixels.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from resight.collection import Collection
from resight.collection.groups import edges_of, finding
from resight.collection.groups.run import CONFIG
from resight.collection.stored_local import StoredLocal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {}
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.collection.parent) as folder:
            results[size] = cost(arguments.collection, Path(folder) / "some.resight", size, arguments.blocks)
        print(size, json.dumps(results[size]), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def cost(source: Path, path: Path, size: int, blocks: int) -> dict[str, float]:
    """Returns the CPU seconds a photo of each step, and what is kept of it, in bytes."""
    shutil.copytree(source, path)
    shutil.rmtree(path / "groups", ignore_errors=True)
    collection = Collection.open(path)
    pictures: dict[str, list[str]] = defaultdict(list)
    for each in sorted(map(str, collection.exported().paths)):
        pictures[Path(each).name.split("-")[0]].append(each)
    order = np.random.default_rng(size).permutation(sorted(pictures)).tolist()
    collection.remove([each for name in order for each in pictures[name]][size:])
    store, model = collection._store, collection.model
    store.refresh()
    seconds: dict[str, float] = defaultdict(float)
    run = finding._Run(store, collection._resident, model, CONFIG, finding.waiting(store, edges_of(store))[0])
    timed = {
        "features": (StoredLocal, "of"),
        "mirror": (finding._Run, "_mirrored"),
        "insets": (finding._Run, "_inset"),
        "candidates": (finding._Run, "_candidates"),
        "verification": (finding._Run, "_verified"),
        "pixels": (finding._Run, "_compared"),
    }
    kept = {key: getattr(*place) for key, place in timed.items()}
    for key, place in timed.items():
        # What runs in several threads at once is timed in each.
        clock = time.thread_time if key in ("mirror", "insets", "pixels") else time.process_time
        setattr(*place, _timed(kept[key], key, seconds, clock))
    chosen = np.random.default_rng(1).permutation(len(run.photos))[: blocks * finding.BLOCK].tolist()
    edges, started = 0, time.process_time()
    try:
        for start in range(0, len(chosen), finding.BLOCK):
            found = run.block([run.photos[place] for place in chosen[start : start + finding.BLOCK]])
            edges_of(store).append(found)
            edges += sum(len(one.edges) for one in found)
    finally:
        for key, place in timed.items():
            setattr(*place, kept[key])
    whole = time.process_time() - started
    state = sum(file.stat().st_size for file in (path / "groups").rglob("*.edges"))
    each = {f"{key}, ms": round(1000 * value / len(chosen), 1) for key, value in seconds.items()}
    return each | {
        "all, ms": round(1000 * whole / len(chosen), 1),
        "pairs tried": round(len(run.tried) / len(chosen), 1),
        "edges": round(edges / len(chosen), 2),
        "bytes kept": round(state / len(chosen)),
    }


def _timed(
    call: Callable[..., object], key: str, seconds: dict[str, float], clock: Callable[[], float]
) -> Callable[..., object]:
    def run(*arguments: object, **more: object) -> object:
        started = clock()
        try:
            return call(*arguments, **more)
        finally:
            seconds[key] += clock() - started

    return run


if __name__ == "__main__":
    main()
