"""A small valid file of each kind that comes from elsewhere, and the function that reads the kind."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import pickle
import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import tifffile
import torch
import yaml
from PIL import Image
from pillow_heif import from_pillow
from safetensors.numpy import save
from scipy.io import savemat

from resight.collection.filters import table_condition
from resight.collection.header import HEADER_KEY, Header
from resight.collection.roots import Key, Roots
from resight.collection.schema import photo_schema
from resight.collection.store import Store
from resight.datasets.cars196 import read_cars196
from resight.datasets.google_landmarks import read_ids, read_solution, read_train
from resight.datasets.holidays import read_holidays
from resight.datasets.in_shop import read_in_shop
from resight.datasets.landmark_folder import read_landmark_truth
from resight.datasets.lists import read_fields
from resight.datasets.matlab import read_matlab
from resight.datasets.oxford_paris import read_oxford_paris_lists
from resight.datasets.plain_pickle import read_plain_pickle
from resight.datasets.revisited import read_ground_truth
from resight.datasets.table import read_table
from resight.errors import InvalidInput
from resight.evaluation.descriptor_files import open_matrix, read_descriptors
from resight.evaluation.result import read_result
from resight.features import LocalFeatures
from resight.files import parse_json, read_rows, reading
from resight.images import read
from resight.images.capture import capture_of
from resight.models import bundle as bundles
from resight.models.published.checkpoint import read_checkpoint
from resight.models.zoo import model_of
from resight.networks.trunks._weights import read_weights
from resight.pipelines.groups import undo
from resight.pipelines.metadata import read_metadata
from resight.search.exact import ExactIndex
from resight.search.imported import read_rankings
from resight.training import checkpoint as checkpoints
from resight.training.packed import PackedImages
from resight.training.recipe import Recipe
from resight.training.recipe_file import read_values

__all__ = ["READERS"]

STORED = Path(__file__).parents[1] / "stored" / "files"
MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)
ANSWER = {"bbx": [0, 0, 9, 9], "easy": [1], "hard": [2], "junk": []}
TRUTH = {"imlist": ["a", "bb", "ccc"], "qimlist": ["q", "qq"], "gnd": [ANSWER, ANSWER]}
MATLAB = {key: np.array(values, dtype=object) for key, values in TRUTH.items()}
OLDER = {**TRUTH, "gnd": [{"bbx": [0, 0, 9, 9], "ok": [1], "junk": [2]}] * 2}
HOLIDAYS = {
    "feature_name": ["100000", "100001"],
    "query_list": [["100000"]],
    "gnd": [{"ok": [2], "junk": [1]}],
}
RECALL = {"dataset": "d", "queries": 2, "references": 4, "positives": {"0": [1], "1": [2, 3]}}
SCHEMA = pa.schema([("path", pa.string()), ("year", pa.int64()), ("taken", pa.string())])


def _bytes_of(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def _hdf5(layout: dict[str, np.ndarray], *, header: int = 0) -> bytes:
    def write(stream: io.BytesIO) -> None:
        with h5py.File(stream, "w", userblock_size=header) as file:
            for name, values in layout.items():
                file[name] = values

    return _bytes_of(write)


def _bundle() -> bytes:
    path = STORED / "bundles" / "gem.safetensors"
    return path.read_bytes()


def _photo(kind: str, mode: str = "RGB", **options: object) -> bytes:
    picture = Image.effect_noise((40, 24), 60).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2024:05:31 18:30:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 1.5), 3: "E", 4: (11.0, 34.0, 0.0)})
    if kind in ("JPEG", "PNG", "WEBP", "AVIF"):
        options["exif"] = exif.tobytes()
    return _bytes_of(lambda stream: picture.save(stream, kind, **options))


def _index() -> bytes:
    index = ExactIndex(4, fingerprint="f")
    index.add(np.arange(3), np.eye(3, 4, dtype=np.float32))
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder, "index"))
        return Path(folder, "index").read_bytes()


def _tiff(**options: object) -> bytes:
    rows = np.arange(40 * 24 * 3, dtype=np.uint16).reshape(24, 40, 3)
    return _bytes_of(lambda stream: tifffile.imwrite(stream, rows, photometric="rgb", **options))


def _show(path: Path) -> None:
    with path.open("rb") as stream:
        capture_of(stream)
    read(path, max_side=16)


def _collection(part: str) -> tuple[str, bytes, Callable[[Path], object]]:
    """A file of a collection, and what reads the whole collection around it."""
    (place,) = (STORED / "stored.resight").glob(f"**/{part}")

    def read_around(path: Path) -> None:
        folder = path.parent / "stored.resight"
        if not folder.exists():
            shutil.copytree(STORED / "stored.resight", folder)
        shutil.copyfile(path, folder / place.relative_to(STORED / "stored.resight"))
        store = Store.open(folder)
        rows = store.table(store.schema.names)
        for root, name in zip(rows["root"].to_pylist(), rows["path"].to_pylist(), strict=True):
            if root is not None and name is not None:
                store.roots.is_here(Key(root, name))

    return Path(part).suffix, place.read_bytes(), read_around


def _header(path: Path) -> None:
    header = Header.from_metadata({HEADER_KEY.encode(): path.read_bytes()}, path)
    Roots(header.roots, path.parent, place=header.place, identity=header.identity).notes()
    photo_schema(header.dim)


def _header_bytes() -> bytes:
    store = Store.open(STORED / "stored.resight")
    return str(store.header.to_metadata()[HEADER_KEY]).encode()


def _packed(path: Path) -> None:
    """Reads a damaged header under a hash that fits, as a stranger would write it."""
    header, pixels = path.read_bytes(), (STORED / "stored.pack").read_bytes()[4096:]
    opening = b"RSPACK1\0" + struct.pack("<Q32s", len(header), hashlib.sha256(header).digest()) + header
    path.write_bytes(opening.ljust(-(-len(opening) // 4096) * 4096, b"\0") + pixels)
    PackedImages(path, verify=True)


def _pack_header() -> bytes:
    content = (STORED / "stored.pack").read_bytes()
    return content[48 : 48 + struct.unpack_from("<Q", content, 8)[0]]


def _settings(path: Path) -> None:
    """Builds a model of damaged settings, under a fingerprint that fits."""
    bundle = bundles.read(STORED / "bundles" / "gem.safetensors")
    with reading(path, "no settings"):
        values = parse_json(path.read_bytes())
    if not isinstance(values, dict):
        raise InvalidInput("no settings")
    model_of(replace(bundle, settings=values), name="m")


def _setting_bytes() -> bytes:
    return json.dumps(bundles.read(STORED / "bundles" / "gem.safetensors").settings).encode()


def _in_folder(name: str, read_folder: Callable[[Path], object]) -> Callable[[Path], object]:
    """A reader of a folder in which the file has a name of its own."""

    def read_named(path: Path) -> object:
        folder = path.parent / "set"
        folder.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / name)
        return read_folder(folder)

    return read_named


def _lists(folder: Path) -> object:
    for name in ("good", "ok", "junk"):
        (folder / f"hall_1_{name}.txt").write_text("a\n")
    return read_oxford_paris_lists(folder, ("a", "b"))


def _csv(*rows: tuple[str, ...]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue().encode()


TABLE = _csv(("path", "label", "split"), ("a.jpg", "1", "train"), ("b.jpg", "2", "test"))
SOLUTION = _csv(("id", "images", "Usage"), ("q", "a b", "Public"), ("qq", "b", "Private"))
SHOP = b"2\nimage_name item_id evaluation_status\nimg/a.jpg id_1 train\nimg/b.jpg id_2 query\n"
LINES = b'{"query_path": "q.jpg", "path": "a.jpg"}\n{"query_path": "q.jpg", "path": "b.jpg"}\n'
ANSWERS = {"model": "sift", "queries": [{"path": "q.jpg", "box": None}], "hits": [{"path": "a.jpg"}]}
FILTER = b"year >= 2020 AND (path LIKE 'a%' OR taken = '2024-05') AND NOT year IN (1, 2.5)"
KEYPOINTS = LocalFeatures(
    positions=np.ones((3, 2), np.float32),
    scales=np.ones(3, np.float32),
    orientations=np.zeros(3, np.float32),
    scores=np.ones(3, np.float32),
    descriptors=np.eye(3, 4, dtype=np.float16),
)

RANKINGS = {
    "queries": [{"id": "q", "descriptor": [1, 0], "ids": ["a"], "scores": [0.5], "descriptors": [[0, 1]]}]
}
READERS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "matrix": (".npy", _bytes_of(lambda s: np.save(s, MATRIX)), open_matrix),
    "npz": (
        ".npz",
        _bytes_of(lambda s: np.savez_compressed(s, descriptors=MATRIX, names=np.array(["a", "b", "q"]))),
        lambda path: read_descriptors(path, ["a", "b"], ["q"]),
    ),
    "hloc": (
        ".h5",
        _hdf5({f"{name}/global_descriptor": MATRIX[0] for name in "abq"}),
        lambda path: read_descriptors(path, ["a", "b"], ["q"]),
    ),
    "matlab": (".mat", _bytes_of(lambda s: savemat(s, MATLAB)), read_matlab),
    "matlab compressed": (
        ".mat",
        _bytes_of(lambda s: savemat(s, MATLAB, do_compression=True)),
        read_ground_truth,
    ),
    "matlab 4": (".mat", _bytes_of(lambda s: savemat(s, {"X": MATRIX}, format="4")), read_matlab),
    "matlab 7.3": (".mat", _hdf5({"X": MATRIX}, header=512), read_matlab),
    "pickle": (".pkl", pickle.dumps({**TRUTH, "X": MATRIX}, protocol=2), read_plain_pickle),
    "ground truth": (".pkl", pickle.dumps(TRUTH), read_ground_truth),
    "ground truth in JSON": (".json", json.dumps(TRUTH).encode(), read_ground_truth),
    "rankings": (".json", json.dumps(RANKINGS).encode(), read_rankings),
    "result": (".json", next(iter(sorted(STORED.glob("**/*result*.json")))).read_bytes(), read_result),
    "table": (".csv", TABLE, lambda path: list(read_rows(path))),
    "labels": (".csv", TABLE, read_table),
    "lists": (
        ".txt",
        b"1 a.jpg\n2 b.jpg\n",
        lambda path: read_fields(path, lambda i, n: (int(i), n), fields=2),
    ),
    "recipe": (".yaml", yaml.safe_dump({"name": "a", "data": {"x": [1, 2.5, True]}}).encode(), read_values),
    "bundle": (".safetensors", _bundle(), bundles.read),
    "index": (".index", _index(), ExactIndex.load),
    "checkpoint": (
        ".pt",
        _bytes_of(lambda s: torch.save({"format_version": 1, "model": {"a": torch.arange(9.0)}}, s)),
        checkpoints.read_weights,
    ),
    "published": (".pth", _bytes_of(lambda s: torch.save({"a": torch.arange(9.0)}, s)), read_checkpoint),
    "published, old": (
        ".pth",
        _bytes_of(lambda s: torch.save({"a": torch.ones(2)}, s, _use_new_zipfile_serialization=False)),
        read_checkpoint,
    ),
    "columns": (
        ".pkl",
        pickle.dumps({"X": MATRIX.T, "Q": MATRIX[:1].T}, protocol=4),
        lambda path: read_descriptors(path, ["a", "b", "c"], ["q"]),
    ),
    "whole recipe": (
        ".yaml",
        (STORED / "recipe.yaml").read_bytes(),
        lambda path: Recipe.from_values(read_values(path)),
    ),
    "bundle's settings": (".settings", _setting_bytes(), _settings),
    "weights": (".safetensors", save({"a": MATRIX}), lambda path: read_weights(path, wanted="a")),
    "pack": (".pack", (STORED / "stored.pack").read_bytes(), lambda path: PackedImages(path, verify=True)),
    "pack's header": (".pack", _pack_header(), _packed),
    "keypoints": (".bin", KEYPOINTS.to_bytes(), lambda path: LocalFeatures.from_bytes(path.read_bytes())),
    "collection's header": (".json", _header_bytes(), _header),
    "collection's manifest": _collection("*.manifest"),
    "collection's rows": _collection("*.lance/data/*.lance"),
    "filter": (
        ".txt",
        FILTER,
        lambda path: table_condition(path.read_bytes().decode("latin1"), SCHEMA),
    ),
    "metadata": (".csv", _csv(("path", "year"), ("a.jpg", "1"), ("b.jpg", "2.5")), read_metadata),
    "hits": (".jsonl", LINES, read_rankings),
    "answers": (".json", json.dumps(ANSWERS).encode(), read_rankings),
    "truth of lists": (".json", json.dumps(RECALL).encode(), read_landmark_truth),
    "older truth": (".pkl", pickle.dumps(OLDER), read_landmark_truth),
    "holidays": (".json", json.dumps(HOLIDAYS).encode(), read_holidays),
    "solution": (".csv", SOLUTION, read_solution),
    "ids": (".csv", _csv(("id",), ("a",), ("b",)), read_ids),
    "landmarks": (".csv", _csv(("landmark_id", "images"), ("1", "a b"), ("2", "c")), read_train),
    "shop": (".txt", SHOP, _in_folder("list_eval_partition.txt", read_in_shop)),
    "cars": (".txt", b"a.jpg,1,0\nb.jpg,99,1\n", _in_folder("cars_annos.txt", read_cars196)),
    "query of a list": (".txt", b"oxc1_a 1.5 2 30 40\n", _in_folder("hall_1_query.txt", _lists)),
    "jpeg": (".jpg", _photo("JPEG"), _show),
    "jpeg, progressive": (".jpg", _photo("JPEG", progressive=True), _show),
    "jpeg, four inks": (".jpg", _photo("JPEG", "CMYK"), _show),
    "png": (".png", _photo("PNG", "RGBA"), _show),
    "png, palette": (".png", _photo("PNG", "P"), _show),
    "gif": (".gif", _photo("GIF", "P"), _show),
    "webp": (".webp", _photo("WEBP", "RGBA"), _show),
    "bmp": (".bmp", _photo("BMP", "P"), _show),
    "ppm": (".ppm", _photo("PPM"), _show),
    "tiff": (".tif", _photo("TIFF", compression="tiff_lzw"), _show),
    "tiff of a camera": (".tif", _photo("TIFF", compression="jpeg"), _show),
    "tiff, 16 bits": (".tif", _tiff(compression="zlib", predictor=True), _show),
    "tiff in tiles": (".tif", _tiff(tile=(16, 16), planarconfig="separate", byteorder=">"), _show),
    "avif": (".avif", _photo("AVIF"), _show),
    "heic": (".heic", _bytes_of(lambda s: from_pillow(Image.new("RGB", (64, 64))).save(s)), _show),
    "record of moved files": (
        ".jsonl",
        b'{"action": "move", "source": "/nowhere/a.jpg", "target": "/nowhere/b/a.jpg"}\n'
        b'{"action": "link", "source": "/nowhere/c.jpg", "target": "/nowhere/b/c.jpg"}\n',
        undo,
    ),
}
