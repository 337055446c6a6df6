"""A collection of many rows of few photos: ``python benchmarks/many_photos.py FOLDER [--rows 20000]``.

The rows have names and descriptors of their own. Their files are links to the same few rendered photos, and
their local features are those photos'.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from resight.collection import Collection
from resight.collection.roots import Key
from resight.collection.schema import Row, rows_table
from resight.collection.store import Store
from resight.scenes import write_collection

PLACES, VIEWS = 6, 4
YEARS = 12
COMMIT = 2000


def many_photos(
    folder: Path, rows: int, *, places: int = PLACES, views: int = VIEWS, side: int = 240
) -> Path:
    """Returns the collection of so many photos that it makes in a folder, beside the folder ``photos``."""
    photos = folder / "photos"
    write_collection(photos, places=places, views=views, distractors=0, side=side)
    collection = Collection.create(folder / "many.resight", model="sift")
    made = sorted(photos.iterdir())
    collection.add(photos, metadata={str(path): {"label": path.stem[:9], "year": 2013} for path in made})
    store = Store.open(collection.path)
    held = [_row(each) for each in store.table(store.schema.names).to_pylist()]
    generator = np.random.default_rng(0)
    for start in range(len(held), rows, COMMIT):
        numbers = range(start, min(rows, start + COMMIT))
        copies = [_copy(held[number % len(held)], number, photos, generator) for number in numbers]
        values = {
            "label": pa.array([Path(held[number % len(held)].key.path).stem[:9] for number in numbers]),
            "year": pa.array([2013 + number % YEARS for number in numbers], pa.int64()),
        }
        store.upsert(rows_table(copies, store.header.dim, values))
    return collection.path


def _row(stored: dict[str, object]) -> Row:
    names = ("hash", "file_size", "modified_ns", "width", "height", "local", "broken")
    descriptor = np.asarray(stored["descriptor"], dtype=np.float16)
    key = Key(stored["root"], stored["path"])
    return Row(key=key, descriptor=descriptor, **{name: stored[name] for name in names})


def _copy(row: Row, number: int, photos: Path, generator: np.random.Generator) -> Row:
    """Returns a row as of another view of the same place, with a file of its own."""
    source = Path(row.key.path)
    path = source.with_name(f"{source.stem}_copy_{number:06}{source.suffix}")
    os.link(photos / source.name, photos / path.name)
    noise = generator.standard_normal(len(row.descriptor)) / len(row.descriptor) ** 0.5
    descriptor = row.descriptor.astype(np.float32) + 0.5 * noise.astype(np.float32)
    return replace(
        row,
        key=Key(row.key.root, path.as_posix()),
        descriptor=(descriptor / np.linalg.norm(descriptor)).astype(np.float16),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=20_000)
    options = parser.parse_args()
    print(many_photos(options.folder, options.rows))


if __name__ == "__main__":
    main()
