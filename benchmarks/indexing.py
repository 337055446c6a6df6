"""Photos a second of indexing, and where the time goes.

    python benchmarks/indexing.py [PHOTOS] [--model sift] [--workers 2] [--json FILE]

Without PHOTOS, rendered places are indexed. Read and describe are CPU seconds of their threads; store is wall
seconds of the writing thread, in which describing goes on, so that its share is an upper bound. A model that
computes in threads of its own (torch) counts too little of its describing here.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from resight import scenes
from resight.collection import Collection


@dataclass(frozen=True)
class Result:
    """Figures of one run.

    Attributes:
        model: What described.
        workers: Threads.
        photos: Photos indexed.
        broken: Files that could not be.
        photos_per_second: Of wall time, everything included.
        seconds: Wall time.
        read_ms, describe_ms, store_ms: A photo.
        not_description: Share of reading and storing in the three together.
        again_seconds: Wall time of indexing the same folder once more.
        bytes_per_photo: On the disk.
    """

    model: str
    workers: int
    photos: int
    broken: int
    photos_per_second: float
    seconds: float
    read_ms: float
    describe_ms: float
    store_ms: float
    not_description: float
    again_seconds: float
    bytes_per_photo: float


def measure(photos: Path, model: str, workers: int) -> Result:
    """Returns the figures of indexing a folder into a new collection."""
    with tempfile.TemporaryDirectory() as work:
        collection = Collection.create(Path(work) / "collection", model=model)
        report = collection.add(photos, workers=workers)
        again = collection.add(photos, workers=workers)
        info = collection.info()
    spent, count = report.seconds, report.added
    stages = spent.read + spent.describe + spent.store
    return Result(
        model,
        workers,
        count,
        len(report.broken),
        count / spent.total,
        spent.total,
        1000 * spent.read / count,
        1000 * spent.describe / count,
        1000 * spent.store / count,
        (spent.read + spent.store) / stages,
        again.seconds.total,
        info.bytes_per_photo,
    )


def main() -> None:
    """Runs it and prints the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--model", default="sift")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the result there")
    arguments = parser.parse_args()
    if arguments.photos:
        result = measure(arguments.photos, arguments.model, arguments.workers)
    else:
        with tempfile.TemporaryDirectory() as work:
            scenes.write_collection(Path(work) / "photos", places=20, views=8, distractors=40)
            result = measure(Path(work) / "photos", arguments.model, arguments.workers)
    text = json.dumps(asdict(result), indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
