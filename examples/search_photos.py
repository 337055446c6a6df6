"""Finds the photos of a folder that show the same thing as a query, and writes a sheet that shows why.

    python examples/search_photos.py PHOTOS QUERY [COLLECTION]

Run it again after adding photos: only what is new or has changed is described.
"""

from __future__ import annotations

import sys
from pathlib import Path

import resight
from resight.reports import write_sheet


def main(photos: str, query: str, collection: str = "photos.resight") -> None:
    """Indexes a folder, searches it, and prints the answers."""
    if Path(collection).exists():
        described = resight.Collection.open(collection)
    else:
        described = resight.Collection.create(collection, model=resight.load_model("sift"))
    report = described.add([photos])
    print(f"{report.added} photos added, {len(described)} in {collection}")
    for broken in report.broken:
        print(f"cannot be searched: {broken.path}: {broken.reason}")

    answer = described.answer(resight.Query(query, top=10))
    for hit in answer.hits:
        print(f"{hit.rank:2}  {hit.verdict:10}  {hit.inliers:4} points  {hit.similarity:.3f}  {hit.path}")
    write_sheet(answer, Path("answers.html"))
    print("Open answers.html in a browser to see which points agree.")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
