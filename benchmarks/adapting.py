"""A layer behind a frozen model on labelled sets: what it finds among classes that it never saw.

    python benchmarks/adapting.py --data DIR [--sets grocery caltech101] [--model NAME] [--json FILE]

Six photos each of sixty classes of a set, drawn by a seed; three of ten classes are held out.
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

from resight.pipelines.adapt import AdaptSettings, adapt_model


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["grocery", "caltech101"])
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = {}
    for name in given.sets:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "labels.csv"
            drawn((given.data / name).resolve(), table, classes=60, each=6)
            out = Path(folder) / "adapted.safetensors"
            outcome = adapt_model(given.model, [], out, AdaptSettings(), labels=table)
        results[name] = {"better": outcome.better, "ways": [asdict(way) for way in outcome.ways]}
        for way in outcome.ways:
            gain = "" if way.gain is None else f"{way.gain.difference.mean:+.3f}"
            print(f"{name:12} {way.name:16} {way.dim:4} MAP@R {way.map_at_r.mean:.3f} {gain}")
        if given.json is not None:
            given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
