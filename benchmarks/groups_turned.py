"""Which turned and mirrored copies ``groups --of copies`` finds, by model.

    python benchmarks/groups_turned.py --data DIR --places DIR [--models sift ...] [--json FILE]

Thirty pictures (ten each of ``sfm`` and ``oxford`` in DIR and of the folder of rendered places), each turned
by 90, 180 and 270 degrees, mirrored, and mirrored and turned by 90, among forty other photos of ``oxford``.
A copy is found where it is in the group of its picture.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import cv2
import torch
from PIL import Image, ImageOps

from resight.collection import Collection

MODELS = ("sift", "efficientnet-lite0+sift", "efficientnet-lite0+sift:local", "efficientnet-lite0+xfeat")
SIDE = 480
TURNS = {
    "turned 90": Image.Transpose.ROTATE_90,
    "turned 180": Image.Transpose.ROTATE_180,
    "turned 270": Image.Transpose.ROTATE_270,
}
PLAIN = "plain"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--places", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/groups_turned.json"))
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), given.data, given.places)
        for model in given.models:
            rows.append({"model": model, **found(Path(folder), model)})
            print(rows[-1], flush=True)
            given.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


def write_photos(folder: Path, data: Path, places: Path) -> None:
    oxford = sorted((data / "oxford/jpg").glob("*.jpg"))
    pictures = sorted((data / "sfm").rglob("*.jpg"))[::24][:10] + oxford[::100][:10]
    pictures += sorted(places.glob("*view_0.jpg"))[:10]
    for number, path in enumerate(pictures):
        photo = reduced(path)
        mirror = ImageOps.mirror(photo)
        copies = {edit: photo.transpose(turn) for edit, turn in TURNS.items()}
        copies |= {"mirrored": mirror, "mirrored, turned 90": mirror.rotate(-90, expand=True)}
        photo.save(folder / f"{number:02d}-{PLAIN}.png")
        for edit, copy in copies.items():
            copy.save(folder / f"{number:02d}-{edit}.jpg", quality=85)
    for number, path in enumerate(oxford[50::20][:40]):
        reduced(path).save(folder / f"x{number:02d}-other.jpg")


def reduced(path: Path) -> Image.Image:
    photo = Image.open(path).convert("RGB")
    photo.thumbnail((SIDE, SIDE))
    return photo


def found(photos: Path, model: str) -> dict[str, int]:
    """Returns how many copies of each edit are grouped with their picture, and groups of several pictures."""
    counts = dict.fromkeys((*TURNS, "mirrored", "mirrored, turned 90", "groups of several"), 0)
    with tempfile.TemporaryDirectory() as folder:
        collection = Collection.create(Path(folder) / "photos.resight", model=model)
        collection.add(photos)
        for group in collection.groups(of="copies"):
            members = [Path(member.path).stem.partition("-") for member in group]
            pictures = {number for number, _, edit in members if edit == PLAIN}
            counts["groups of several"] += len({number for number, _, _ in members}) > 1
            for number, _, edit in members:
                if number in pictures and edit != PLAIN:
                    counts[edit] += 1
    return counts


if __name__ == "__main__":
    main()
