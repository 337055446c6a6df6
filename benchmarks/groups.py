"""How well copies are found, by edit and strength, beside hashes: precision and recall of pairs and groups.

    python benchmarks/groups.py --data FOLDER --work DIR [--photos 2000] [--edited 300] [--json FILE]

The made set: photos of ``sfm``, ``oxford`` and ``grocery``, rendered places in three views and pages of one
layout with other words (near misses), and of some of them every edit of `picture_edits` at one strength drawn
from its scale (``--all`` strengths). A pair is right where both come from one photo; a copy is found where it
is in the group of its photo. Hashes are compared pair by pair, and their groups are connected components, as
their tools make them: imagededup's at its default distance of 10, the perceptual hash of ImageHash at 10, and
a gradient hash of 16 x 16 at 15 of 256 bits, as czkawka compares.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import picture_edits
from PIL import Image, ImageOps
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from resight import images, scenes
from resight.collection import Collection
from resight.collection.groups import edges_of
from resight.collection.groups.building import is_copy
from resight.collection.groups.pictures import photos_of
from resight.collection.groups.shape import shape_of
from resight.search import groups_of

SEED = 77
IMAGEDEDUP, CZKAWKA = 10, 15

Pairs = set[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Made:
    """A photo of the made set: its file, the photo it comes from, and what was done to it."""

    path: Path
    source: int
    set_name: str
    edit: str
    strength: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--edited", type=int, default=300)
    parser.add_argument("--all", action="store_true", help="every strength of every edit")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    made = make(arguments.data, arguments.work, arguments.photos, arguments.edited, every=arguments.all)
    results: dict[str, object] = {
        "photos": len(made),
        "edited": len({photo.source for photo in made if photo.edit}),
        "finders": {},
    }
    for name, pairs, groups, seconds in finders(made, arguments.work):
        found = measured(made, pairs, groups) | {"seconds": round(seconds, 1)}
        results["finders"][name] = found
        print(name, {key: value for key, value in found.items() if key != "edits"}, flush=True)
        if name == "resight":
            results["kept"] = kept(made, groups)
            results["agreement"] = agreement(made, arguments.work)
            results["turned"] = turned(made, arguments.work)
            results["rules"] = rules(made, pairs)
            print(json.dumps(results["rules"], indent=1), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))
    print(table(results["finders"]))


# The made set


def make(data: Path, work: Path, count: int, edited: int, *, every: bool) -> list[Made]:
    """Returns the made set, written into ``work/photos`` unless it is there already."""
    listed = work / "truth.csv"
    if not listed.exists():
        (work / "photos").mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(1)
        rows = list(_written(data, work / "photos", count, edited, rng, every=every))
        with listed.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "source", "set", "edit", "strength"), *rows])
    with listed.open() as file:
        return [
            Made(
                work / "photos" / row["path"],
                int(row["source"]),
                row["set"],
                row["edit"],
                float(row["strength"] or 0),
            )
            for row in csv.DictReader(file)
        ]


def _written(
    data: Path, folder: Path, count: int, edited: int, rng: np.random.Generator, *, every: bool
) -> Iterable[tuple[object, ...]]:
    sources = _sources(data, count, rng)
    chosen = set(rng.permutation(len(sources))[:edited].tolist())
    for number, (name, photo) in enumerate(sources):
        file, kind = f"{number:05d}-{name}.jpg", name.split("-")[0]
        photo.save(folder / file, quality=92)
        yield file, number, kind, "", ""
        for place, (edit, scale) in enumerate(picture_edits.EDITS.items() if number in chosen else ()):
            strengths = scale.strengths if every else [float(rng.choice(scale.strengths))]
            for strength in strengths:
                file = f"{number:05d}-e{place:02d}-{strength}.jpg"
                quality = int(strength) if edit == "recompress" else 85
                scale.edit(photo, strength, rng).save(folder / file, quality=quality)
                yield file, number, kind, edit, strength


def _sources(data: Path, count: int, rng: np.random.Generator) -> list[tuple[str, Image.Image]]:
    """Returns names and photos: neighbouring views and pages of one layout stand beside each other."""

    def some(files: Iterable[Path], most: int) -> list[Path]:
        listed = sorted(files)
        return [listed[place] for place in sorted(rng.permutation(len(listed))[:most])]

    eighth = count // 8
    photos = {
        "sfm": some((data / "sfm").glob("*/**/*.jpg"), 2 * eighth),
        "oxford": some((data / "oxford" / "jpg").glob("*.jpg"), 3 * eighth),
        "grocery": some((data / "grocery").glob("**/*.jpg"), eighth),
    }
    made = [
        (f"{kind}-{path.stem.replace(' ', '_')}", Image.open(path).convert("RGB"))
        for kind, paths in photos.items()
        for path in paths
    ]
    for place in range(eighth):
        view = scenes.render_view(place // 3, place % 3, seed=SEED, side=640)
        made.append((f"rendered-{place // 3}-{place % 3}", Image.fromarray(view)))
    pages = range(count - len(made))
    return made + [(f"page-{n // 6}-{n % 6}", picture_edits.page_of_text(n // 6, n % 6)) for n in pages]


# Who finds copies


def finders(made: Sequence[Made], work: Path) -> Iterable[tuple[str, Pairs, list[list[int]], float]]:
    """Yields name, pairs, groups and seconds of each finder."""
    yield "resight", *_resight(made, work)
    for name, (codes, distance) in _hashes(made).items():
        started = time.perf_counter()
        pairs = _near(codes, distance)
        seconds = time.perf_counter() - started
        yield f"{name}, {distance} of {8 * codes.shape[1]}", pairs, components(pairs, len(made)), seconds


def _resight(made: Sequence[Made], work: Path) -> tuple[Pairs, list[list[int]], float]:
    collection = Collection.open_or_create(work / "made.resight", model="sift")
    collection.add(work / "photos")
    started = time.perf_counter()
    groups = collection.groups(progress=lambda done, total: print(done, total, flush=True))
    seconds = time.perf_counter() - started
    numbers = {photo.path.name: number for number, photo in enumerate(made)}
    store = collection._store
    photos = {photo.hash: photo for photo in photos_of(store)}
    pairs: Pairs = set()
    for looked in edges_of(store).read().values():
        for edge in looked.edges:
            both = photos[edge.first], photos[edge.second]
            shape = shape_of(edge.transform, *((photo.width, photo.height) for photo in both))
            if shape is not None and is_copy(edge, shape):
                pair = sorted(numbers[Path(photo.key.path).name] for photo in both)
                pairs.add((pair[0], pair[1]))
    named = [[numbers[Path(member.path).name] for member in group] for group in groups]
    return pairs, named, seconds


def _hashes(made: Sequence[Made]) -> dict[str, tuple[np.ndarray, int]]:
    """Returns packed hashes, one a row, and the distance at which the tool takes two photos for copies."""
    from resight.networks.trunks._timm import import_timm

    import_timm("imagededup")
    import imagehash
    from imagededup.methods import AHash, DHash, PHash, WHash

    codes: dict[str, list[np.ndarray]] = defaultdict(list)
    tools = {"imagededup " + kind.__name__: kind(verbose=False) for kind in (PHash, DHash, WHash, AHash)}
    for photo in made:
        with Image.open(photo.path) as opened:
            image = opened.convert("RGB")
        for name, tool in tools.items():
            code = tool.encode_image(image_array=np.asarray(image))
            codes[name].append(np.frombuffer(bytes.fromhex(code), np.uint8))
        codes["ImageHash phash"].append(np.packbits(imagehash.phash(image).hash))
        codes["gradient, as czkawka"].append(np.packbits(imagehash.dhash(image, 16).hash))
    distances = {"gradient, as czkawka": CZKAWKA}
    return {name: (np.stack(rows), distances.get(name, IMAGEDEDUP)) for name, rows in codes.items()}


def _near(codes: np.ndarray, distance: int) -> Pairs:
    pairs: Pairs = set()
    for number, code in enumerate(codes):
        away = np.bitwise_count(codes[number + 1 :] ^ code).sum(axis=1)
        pairs |= {(number, int(other) + number + 1) for other in np.flatnonzero(away <= distance)}
    return pairs


# Rules for groups


def components(pairs: Iterable[tuple[int, int]], count: int) -> list[list[int]]:
    """Returns connected components of two or more: the rule that chains."""
    listed = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(listed)), listed.T), shape=(count, count))
    groups: dict[int, list[int]] = defaultdict(list)
    for number, label in enumerate(connected_components(graph, directed=False)[1].tolist()):
        groups[label].append(number)
    return [group for group in groups.values() if len(group) > 1]


def average(pairs: Iterable[tuple[int, int]], count: int) -> list[list[int]]:
    """Returns groups in which half of all pairs, on average, were found: average linkage of components."""
    known, groups = set(pairs), []
    for component in components(known, count):
        if len(component) == 2:
            groups.append(component)
            continue
        away = [
            0.0 if (one, other) in known else 1.0
            for place, one in enumerate(component)
            for other in component[place + 1 :]
        ]
        labels = fcluster(linkage(np.array(away), "average"), 0.5, "distance")
        for label in set(labels.tolist()):
            group = [number for number, own in zip(component, labels, strict=True) if own == label]
            groups += [group] if len(group) > 1 else []
    return groups


def rules(made: Sequence[Made], pairs: Pairs) -> dict[str, dict[str, float]]:
    """Returns precision and recall of each rule on the pairs found, and with wrong pairs added to them."""
    rng = np.random.default_rng(5)
    measures: dict[str, dict[str, float]] = {}
    for wrong in (0, 5, 20, 80):
        drawn = {tuple(sorted(rng.choice(len(made), 2, replace=False).tolist())) for _ in range(wrong)}
        grouped = {number for pair in pairs for number in pair}
        among = sorted(grouped)
        drawn = {tuple(sorted((among[a % len(among)], among[b % len(among)]))) for a, b in drawn}
        listed = pairs | {pair for pair in drawn if pair[0] != pair[1]}
        for name, groups in (
            ("connected components", components(listed, len(made))),
            ("bridges between groups taken out", groups_of(listed)),
            ("average linkage at one half", average(listed, len(made))),
        ):
            found = measured(made, listed, groups)
            key = f"{name}, {wrong} wrong pairs added"
            measures[key] = {
                what: found[what] for what in ("group precision", "copies found", "mixed groups")
            }
    return measures


# Measures


def measured(made: Sequence[Made], pairs: Pairs, groups: Sequence[Sequence[int]]) -> dict[str, object]:
    """Returns precision of pairs, precision and recall of groups, and recall by edit and strength."""
    right = sum(made[one].source == made[other].source for one, other in pairs)
    owner = {number: place for place, group in enumerate(groups) for number in group}
    originals = {photo.source: number for number, photo in enumerate(made) if not photo.edit}
    edits: dict[str, Counter[str]] = defaultdict(Counter)
    direct = copies = found = 0
    for number, photo in enumerate(made):
        if not photo.edit:
            continue
        original = originals[photo.source]
        is_found = owner.get(number, -1) == owner.get(original, -2)
        pair = min(number, original), max(number, original)
        direct, copies, found = direct + (pair in pairs), copies + 1, found + is_found
        for key in (f"{photo.edit} {photo.strength:g}", f"all of {photo.set_name}"):
            edits[key].update({"shown": 1, "found": int(is_found)})
    together = within = mixed = 0
    for group in groups:
        sources = Counter(made[number].source for number in group)
        together += len(group) * (len(group) - 1) // 2
        within += sum(size * (size - 1) // 2 for size in sources.values())
        mixed += len(sources) > 1
    return {
        "pairs": len(pairs),
        "pair precision": _share(right, len(pairs)),
        "pairs with the original found": _share(direct, copies),
        "group precision": _share(within, together),
        "copies found": _share(found, copies),
        "mixed groups": mixed,
        "edits": {name: [count["found"], count["shown"]] for name, count in edits.items()},
    }


def kept(made: Sequence[Made], groups: Sequence[Sequence[int]]) -> dict[str, object]:
    """Returns in how many groups with an original in them that is kept, and which edits are in the others."""
    edits = [made[group[0]].edit for group in groups if any(not made[number].edit for number in group)]
    return {"groups": len(edits), "original": edits.count(""), "instead": Counter(filter(None, edits))}


def agreement(made: Sequence[Made], work: Path) -> dict[str, dict[str, float]]:
    """Returns how the pixels of pairs agree that geometry takes for one: of one source, and of strangers."""
    store = Collection.open(work / "made.resight")._store
    names = {photo.hash: Path(photo.key.path).name for photo in photos_of(store)}
    sources = {photo.path.name: photo.source for photo in made}
    shares: dict[str, list[float]] = {"one source": [], "strangers": []}
    for looked in edges_of(store).read().values():
        for edge in looked.edges:
            if edge.confirmed and edge.agreement >= 0:
                one, other = (sources[names[side]] for side in (edge.first, edge.second))
                shares["one source" if one == other else "strangers"].append(edge.agreement)
    return {
        kind: {
            "pairs": len(some),
            "median": round(float(np.median(some)), 4),
            "above .9": int(np.count_nonzero(np.array(some) > 0.9)),
        }
        for kind, some in shares.items()
        if some
    }


def turned(made: Sequence[Made], work: Path, count: int = 24) -> dict[str, list[float]]:
    """Returns least, median and largest cosine of what features say a turned photo is, and what it is."""
    model = Collection.open(work / "made.resight").model
    originals = [photo for photo in made if not photo.edit]
    cosines: dict[str, list[float]] = {"turned": [], "mirrored": []}
    for photo in originals[:: max(len(originals) // count, 1)]:
        image = Image.open(photo.path).convert("RGB")
        (features,) = model.extract([images.photo_of(image)])
        if features.local is None:
            continue
        reflected = model.mirrored(features.local, image.width)
        for kind, picture, local, first in (
            ("turned", image, features.local, 1),
            ("mirrored", ImageOps.mirror(image), reflected, 0),
        ):
            said = None if local is None else model.turned(local, max(image.size))
            if said is not None:
                true = model.describe([picture.rotate(-90 * quarter, expand=True) for quarter in range(4)])
                cosines[kind] += (true * said).sum(axis=1)[first:].tolist()
    return {
        kind: [round(float(value), 3) for value in np.percentile(some, [0, 50, 100])]
        for kind, some in cosines.items()
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 1.0


def table(finders: Mapping[str, Mapping[str, object]]) -> str:
    """Returns the share of copies found by edit and strength, a column for each finder."""
    names = list(finders)
    lines = ["| edit | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    order = [f"{edit} {s:g}" for edit, scale in picture_edits.EDITS.items() for s in scale.strengths]
    first = finders[names[0]]["edits"]
    for key in [*order, *sorted(set(first) - set(order))]:
        if key in first:
            cells = [finders[name]["edits"][key] for name in names]
            lines.append(f"| {key} | " + " | ".join(f"{part}/{whole}" for part, whole in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
