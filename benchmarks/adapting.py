"""A layer behind a frozen model on labelled sets: what it finds among classes that it never saw.

    python benchmarks/adapting.py --data DIR [--sets NAME ...] [--made DIR] [--tuples DIR ...] [--json FILE]

Six photos each of sixty classes of a set, drawn by a seed; three of ten classes are held out. ``--made`` adds
the places of four rendered towns, four views of each, ``--tuples`` folders that ``resight tuples`` wrote.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import selection_photos

from resight.pipelines.adapt import AdaptSettings, adapt_model

TOWNS = (5001, 5002, 9001, 9002)


def drawn(root: Path, table: Path, *, classes: int, each: int) -> None:
    """Writes a table of some photos of some classes."""
    paths = defaultdict(list)
    with (root / "labels.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            paths[row["label"]].append(row["path"])
    generator = random.Random(1)
    names = [name for name in sorted(paths) if len(paths[name]) >= 4]
    generator.shuffle(names)
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label"])
        for name in names[:classes]:
            for path in generator.sample(paths[name], min(each, len(paths[name]))):
                writer.writerow([root / path, name])


def rendered(made: Path, table: Path) -> None:
    """Writes a table of places of four towns."""
    kind = selection_photos.places(made, TOWNS)
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label"])
        pairs = zip(kind.paths, kind.labels.tolist(), strict=True)
        writer.writerows((path, label) for path, label in pairs if label >= 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=["grocery", "caltech101"])
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--made", type=Path)
    parser.add_argument("--tuples", type=Path, nargs="*", default=[])
    parser.add_argument("--kind", default=AdaptSettings().kind)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/adapting.json"))
    given = parser.parse_args()
    results = json.loads(given.json.read_text()) if given.json.exists() else {}
    names = [*given.sets, *([] if given.made is None else ["rendered"]), *given.tuples]
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "labels.csv"
            out = Path(folder) / "adapted.safetensors"
            tuples = name if isinstance(name, Path) else None
            if name == "rendered":
                rendered(given.made.resolve(), table)
            elif tuples is None:
                drawn((given.data / name).resolve(), table, classes=60, each=6)
            settings = AdaptSettings(kind=given.kind)
            labels = table if tuples is None else None
            outcome = adapt_model(given.model, [], out, settings, labels=labels, tuples=tuples)
        name = f"tuples {tuples.name}" if tuples is not None else name
        results[f"{name} {given.kind}"] = {
            "better": outcome.better,
            "ways": [asdict(way) for way in outcome.ways],
        }
        for way in outcome.ways:
            gain = "" if way.gain is None else f"{way.gain.difference.mean:+.3f}"
            print(f"{name:18} {way.name:16} {way.dim:4} MAP@R {way.map_at_r.mean:.3f} {gain}")
        print(name, "written" if outcome.better else "refused", flush=True)
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
