"""Flips single bits of stored files, and counts what is noticed.

    python benchmarks/flips.py [--flips 30] [--seed 0] [--json FILE]

For each kind of stored file a random bit of a copy is flipped, then the copy is read as its users read it: a
collection is checked, searched and opened; a model, an index, a packed file, a result, descriptors with their
names and a ground truth are read; a run is resumed from its checkpoint, and by its recipe. A flip is noticed
(refused in one sentence, or named by ``check``), told apart (the result's card shows another hash), harmless
(all answers, numbers and weights are equal), or silent.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from tiny import write_photos, write_recipe

from resight import Collection, load_model
from resight.collection.writing import writing
from resight.errors import ResightError
from resight.evaluation import Result, read_result, write_result
from resight.pipelines.evaluate import Computed, evaluate_files
from resight.search import ExactIndex
from resight.training import Recipe, train
from resight.training.packed import PackedImages

OUTCOMES = ("noticed", "told apart", "harmless", "silent", "crashed")


@dataclass(frozen=True)
class Kind:
    """Stored files of one kind.

    Attributes:
        name: In the table of results.
        files: Returns the files that are flipped, of a copy of the made folder.
        read: Returns what a user gets of that copy, as one hash; raises where damage is noticed.
        card: Whether a changed hash is one that the user is shown, on a result's card.
    """

    name: str
    files: Callable[[Path], list[Path]]
    read: Callable[[Path], str]
    card: bool = False


class NoticedError(Exception):
    """``check`` has named a problem."""


def digest(*values: object) -> str:
    """Returns a hash of some values."""
    return hashlib.sha256(repr(values).encode()).hexdigest()


def read_collection(work: Path) -> str:
    """Returns all that a collection answers; raises `NoticedError` where ``check`` finds something."""
    collection = Collection.open(work / "c")
    answers = []
    for photo in sorted((work / "photos").rglob("*.png"))[::5]:
        for hit in collection.search(photo, top=5, verify=2):
            answers.append((Path(hit.path).name, round(hit.similarity, 6), hit.inliers))
    found = answers, len(collection), sorted(Path(path).name for path in collection)
    report = collection.check(sample=2)
    if report.problems:
        raise NoticedError(report.problems[0])
    return digest(found, [note.rpartition("/")[2] for note in report.notes])


def read_model(work: Path) -> str:
    """Returns what a bundle describes."""
    photos = sorted((work / "photos").rglob("*.png"))[:3]
    return digest(load_model(str(work / "model.safetensors")).describe(photos).tobytes())


def resumed(work: Path) -> str:
    """Returns the weights and measures of a run that goes on from what is stored."""
    run = work / "run"
    for name in ("model.safetensors", "result.json", "test.json"):
        (run / name).unlink(missing_ok=True)
    torch.manual_seed(0)
    result = train(Recipe.from_yaml(work / "tiny.yaml"), run, resume=True)
    return digest(result.bundle.read_bytes(), sorted(result.test.items()))


def read_index(work: Path) -> str:
    """Returns the ranking that an index gives."""
    ranking = ExactIndex.load(work / "index.safetensors").search(queries(), 10)
    return digest(ranking.ids.tobytes(), ranking.scores.tobytes())


def queries() -> np.ndarray:
    """Returns some descriptors."""
    values = np.random.default_rng(1).standard_normal((4, 16)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def read_pack(work: Path) -> str:
    """Returns the pixels that training would see."""
    packed = PackedImages(work / "photos.pack", verify=True)
    return digest(packed.pixels.tobytes(), packed.fingerprint)


def measured(work: Path, descriptors: str, names: str | None) -> str:
    """Returns the measures and the hashes on the card of descriptors in a file."""
    place = None if names is None else work / names
    computed = Computed("descriptors", work / descriptors, work / "gnd.json", place)
    return shown(evaluate_files(computed).result)


def shown(result: Result) -> str:
    """Returns what a result says: measures, columns, and the hashes of what was measured."""
    card = result.card
    return digest(result.measures, result.columns, card.model_fingerprint, card.data_fingerprint)


def one(name: str) -> Callable[[Path], list[Path]]:
    """Returns what lists one file."""
    return lambda work: [work / name]


def below(folder: str) -> Callable[[Path], list[Path]]:
    """Returns what lists the files of a folder."""
    return lambda work: sorted((work / folder).iterdir())


TABLE = "c/photos.lance"
KINDS = [
    Kind("collection, data", below(f"{TABLE}/data"), read_collection),
    Kind(
        "collection, manifest and header",
        lambda work: sorted((work / TABLE / "_versions").glob("*.manifest"))[:1],
        read_collection,
    ),
    Kind("collection, deletions", below(f"{TABLE}/_deletions"), read_collection),
    Kind(
        "collection, transactions and hint",
        lambda work: [
            *sorted((work / TABLE / "_transactions").iterdir()),
            work / TABLE / "_versions" / "latest_version_hint.json",
        ],
        read_collection,
    ),
    Kind("bundle", one("model.safetensors"), read_model),
    Kind("checkpoint, last.pt", one("run/checkpoints/last.pt"), resumed),
    Kind("checkpoint, best.pt", one("run/checkpoints/best.pt"), resumed),
    Kind("packed photos", one("photos.pack"), read_pack),
    Kind("packed photos, in training", one("run/photos.pack"), resumed),
    Kind("recipe, resumed", one("tiny.yaml"), resumed),
    Kind("exact index", one("index.safetensors"), read_index),
    Kind("result", one("result.json"), lambda work: shown(read_result(work / "result.json"))),
    Kind("descriptors, .npy", one("d.npy"), lambda work: measured(work, "d.npy", "names.txt"), card=True),
    Kind(
        "names of descriptors", one("names.txt"), lambda work: measured(work, "d.npy", "names.txt"), card=True
    ),
    Kind("descriptors and names, .h5", one("d.h5"), lambda work: measured(work, "d.h5", None), card=True),
    Kind(
        "ground truth, .json", one("gnd.json"), lambda work: measured(work, "d.npy", "names.txt"), card=True
    ),
]


def make(work: Path) -> None:
    """Writes a file of every kind."""
    write_photos(work / "photos")
    collection = Collection.create(work / "c", model="sift")
    labelled = work / "photos" / "train" / "0" / "0.png"
    collection.add(work / "photos", metadata={str(labelled): {"year": 2000}})
    # A row that is dropped and not purged has a file of deletions.
    with writing(collection.path, None, timeout=0.0) as store:
        store.drop(np.array([0], dtype=np.int64))
    write_recipe(work / "tiny.yaml", work / "photos")
    train(Recipe.from_yaml(work / "tiny.yaml"), work / "run")
    shutil.copy(work / "run" / "model.safetensors", work)
    shutil.copy(work / "run" / "photos.pack", work)
    values = np.random.default_rng(2).standard_normal((12, 16)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    index = ExactIndex(16, fingerprint="made")
    index.add(np.arange(12), values)
    index.save(work / "index.safetensors")
    names = [f"photo{number:02d}" for number in range(12)]
    np.save(work / "d.npy", values)
    (work / "names.txt").write_text("\n".join(names) + "\n")
    with h5py.File(work / "d.h5", "w") as file:
        for name, row in zip(names, values, strict=True):
            file.create_group(name)["global_descriptor"] = row
    right = {"bbx": [0, 0, 1, 1], "easy": [0, 1], "hard": [2], "junk": [3]}
    truth = {"imlist": names[2:], "qimlist": names[:2], "gnd": [right, right | {"easy": [4, 5]}]}
    (work / "gnd.json").write_text(json.dumps(truth))
    result = evaluate_files(
        Computed("descriptors", work / "d.npy", work / "gnd.json", work / "names.txt")
    ).result
    write_result(result, work / "result.json")


def flip(path: Path, rng: np.random.Generator) -> str:
    """Flips a random bit of a file, and returns which."""
    data = bytearray(path.read_bytes())
    place, bit = int(rng.integers(len(data))), int(rng.integers(8))
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"{path.name}, byte {place} of {len(data)}, bit {bit}"


def outcome(kind: Kind, work: Path, whole: str) -> tuple[str, str]:
    """Returns what became of a flip, and what was said."""
    try:
        found = kind.read(work)
    except (ResightError, NoticedError) as error:
        return "noticed", str(error)
    except OSError as error:
        # The command line makes a sentence of these: the file's name and the system's reason.
        return ("noticed" if error.filename and error.strerror else "crashed"), repr(error)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "crashed", f"{type(error).__name__}: {error}"
    if found == whole:
        return "harmless", ""
    return ("told apart" if kind.card else "silent"), ""


def main() -> None:
    """Runs it and prints the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flips", type=int, default=30, help="of each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="kinds whose names begin so")
    parser.add_argument("--json", type=Path, help="also write the counts there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, dict[str, int]] = {}
    bad = []
    with tempfile.TemporaryDirectory() as folder:
        work, made = Path(folder, "work"), Path(folder, "made")
        work.mkdir()
        make(work)
        # Files name each other by absolute paths: each flip happens in this one place.
        work.rename(made)
        for kind in KINDS:
            if arguments.only and not any(kind.name.startswith(name) for name in arguments.only):
                continue
            rng = np.random.default_rng([arguments.seed, *kind.name.encode()])
            shutil.copytree(made, work)
            whole = kind.read(work)
            counts: Counter[str] = Counter()
            for _ in range(arguments.flips):
                shutil.rmtree(work)
                shutil.copytree(made, work)
                files = kind.files(work)
                sizes = np.array([file.stat().st_size for file in files])
                where = flip(files[int(rng.choice(len(files), p=sizes / sizes.sum()))], rng)
                result, said = outcome(kind, work, whole)
                counts[result] += 1
                if result in ("silent", "crashed"):
                    bad.append(f"{kind.name}: {where}: {result} {said}")
                    print(bad[-1], flush=True)
            shutil.rmtree(work)
            results[kind.name] = {name: counts[name] for name in OUTCOMES}
            print(kind.name, results[kind.name], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
