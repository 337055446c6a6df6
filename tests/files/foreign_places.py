"""A small valid file of each kind that describes places or training, and the function that reads the kind."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from safetensors.numpy import save

from resight.collection.sums import require_sums, write_sums
from resight.datasets.cub200 import read_cub200
from resight.datasets.google_landmarks import read_solution
from resight.datasets.online_products import read_online_products
from resight.datasets.retrieval_sfm import read_retrieval_sfm
from resight.datasets.tuples import read_tuple_benchmark, read_tuples
from resight.evaluation.descriptor_files import read_named
from resight.evaluation.recognition import measure_predictions
from resight.files import read_rows
from resight.networks import Backbone, GeMNet, GeMNetConfig
from resight.search.imported import read_rankings
from resight.sfm.models import read_reconstruction
from resight.training.log import RunLog
from resight.training.start import start_from

__all__ = ["PLACES"]

Reader = tuple[str, bytes, Callable[[Path], object]]


def _in(folder: str, name: str, others: dict[str, bytes], read: Callable[[Path], object]) -> Callable:
    """A reader of a folder in which the file has a name of its own, beside others."""

    def read_named_file(path: Path) -> object:
        place = path.parent / folder
        place.mkdir(exist_ok=True)
        for other, content in (others | {name: path.read_bytes()}).items():
            (place / other).write_bytes(content)
        return read(place)

    return read_named_file


def _parquet(table: pa.Table, **options: object) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(table, stream, **options)
    return stream.getvalue()


VECTORS = _parquet(pa.table({"path": ["a", "b"], "embedding": [[1.0, 0.0], [0.0, 1.0]]}))
ROWS = pa.table(
    {
        "path": ["a.jpg", "b.jpg", "c.jpg"],
        "label": pa.array([1, 2, None]),
        "taken": pa.array([1, 2, 3], pa.timestamp("us")),
        "price": pa.array([1, 2, 3], pa.decimal128(9, 2)),
        "sold": [True, False, None],
    }
)
PHOTOS = _parquet(pa.table({"photo": ["/a.jpg", "/b.jpg", "/c.jpg"], "cluster": pa.array([0, 1, None])}))
PAIRS = _parquet(pa.table({"query": ["/a.jpg"], "positive": ["/b.jpg"]}))
PART = {"cids": ["abcdef", "bcdefg", "cdefgh"], "cluster": [0, 0, 1], "qidxs": [0, 1], "pidxs": [1, 0]}
SFM = pickle.dumps({"train": PART, "val": PART}, protocol=2)

CAMERAS = struct.pack("<QIiQQ3d", 1, 7, 0, 640, 480, 500.0, 320.0, 240.0)
IMAGE = struct.pack("<7dI", 1.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 7)
NAMED = b"a.jpg\0" + struct.pack("<Q2dq", 1, 3.0, 4.0, 1)
IMAGES = struct.pack("<QI", 2, 1) + IMAGE + NAMED + struct.pack("<I", 2) + IMAGE + NAMED.replace(b"a", b"b")
POINTS = struct.pack("<QQ3d3BdQ4I", 1, 1, 0.0, 0.0, 9.0, 1, 2, 3, 0.5, 2, 1, 0, 2, 0)
BINARY = {"cameras.bin": CAMERAS, "images.bin": IMAGES, "points3D.bin": POINTS}
TEXT = {
    "cameras.txt": b"# one\n7 SIMPLE_PINHOLE 640 480 500 320 240\n",
    "images.txt": b"1 1 0 0 0 0.5 0 0 7 a.jpg\n3 4 1\n2 1 0 0 0 0.5 0 0 7 b.jpg\n\n",
    "points3D.txt": b"1 0 0 9 1 2 3 0.5 1 0 2 0\n",
}


def _model(name: str) -> Reader:
    files = BINARY if name.endswith(".bin") else TEXT
    photos = [Path("/photos/a.jpg"), Path("/photos/b.jpg")]
    return (
        Path(name).suffix,
        files[name],
        _in("model", name, files, lambda folder: read_reconstruction(folder, photos)),
    )


LOG = b'{"kind": "step", "step": 1, "loss": 0.5}\n{"kind": "validation", "step": 1, "epoch": 1}\n'


def _log(path: Path) -> None:
    (path.parent / "log.jsonl").write_bytes(path.read_bytes())
    RunLog(
        path.parent,
        steps=9,
        epochs=3,
        images_per_step=1,
        after=1,
        after_epochs=1,
        loggers=(),
        report=None,
        writes=True,
    )


def _summed(path: Path) -> None:
    folder = path.parent / "c"
    (folder / "photos.lance" / "_versions").mkdir(parents=True, exist_ok=True)
    (folder / "photos.lance" / "_versions" / "1.manifest").write_bytes(b"a")
    (folder / "photos.sums").write_bytes(path.read_bytes())
    require_sums(folder)


def _sums() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        manifest = Path(place, "photos.lance", "_versions", "1.manifest")
        manifest.parent.mkdir(parents=True)
        manifest.write_bytes(b"a")
        write_sums(Path(place), ["photos.lance/_versions/1.manifest"])
        return Path(place, "photos.sums").read_bytes()


INPUT = {"input_size": [3, 64, 64], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
CONFIGURED = {"architecture": "test_resnet", "pretrained_cfg": INPUT, "model_args": {"output_stride": 32}}
PREDICTED = b"id,images\nq,a b\n"
SOLUTION = b"id,images,Usage\nq,a b,Public\nqq,b,Private\n"
RANKED = {"queries": [{"id": "q", "descriptor": [1, 0], "ids": ["a"], "descriptors": "m.npy"}]}
LABELS = {"images.txt": b"1 001.A/a.jpg\n2 101.B/b.jpg\n", "image_class_labels.txt": b"1 1\n2 101\n"}
BIRDS = {**LABELS, "bounding_boxes.txt": b"1 0 0 9 9\n2 1 1.5 9 9\n"}
EBAY = b"image_id class_id super_class_id path\n1 1 1 bicycle_final/a.JPG\n"
SHOP = {f"Ebay_{split}.txt": EBAY for split in ("train", "test")}


def _matrix() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ones((1, 2), np.float32))
    return stream.getvalue()


def _weights() -> bytes:
    return save({key: value.numpy() for key, value in NET.state_dict().items()})


NET = GeMNet(Backbone("test_resnet", pretrained=False), GeMNetConfig(dim=4))


def _predictions(path: Path) -> object:
    solution = path.parent / "solution.csv"
    solution.write_bytes(SOLUTION)
    return measure_predictions(path, read_solution(solution), name="s", truth="t")


def _tuples(folder: Path) -> None:
    read_tuples(folder)
    read_tuple_benchmark(folder)


PLACES: dict[str, Reader] = {
    "parquet": (".parquet", _parquet(ROWS), lambda path: list(read_rows(path))),
    "parquet, other encodings": (
        ".parquet",
        _parquet(ROWS, use_dictionary=False, compression="zstd", data_page_version="2.0"),
        lambda path: list(read_rows(path)),
    ),
    "parquet of vectors": (".parquet", VECTORS, read_named),
    "photos of tuples": (".parquet", PHOTOS, _in("t", "photos.parquet", {"tuples.parquet": PAIRS}, _tuples)),
    "pairs of tuples": (".parquet", PAIRS, _in("t", "tuples.parquet", {"photos.parquet": PHOTOS}, _tuples)),
    "retrieval-SfM": (".pkl", SFM, read_tuple_benchmark),
    "retrieval-SfM's whitening": (
        ".pkl",
        pickle.dumps(PART, protocol=2),
        lambda path: read_retrieval_sfm(path, "whiten"),
    ),
    **{name: _model(name) for name in (*BINARY, *TEXT)},
    "run's log": (".jsonl", LOG, _log),
    "checksums": (".sums", _sums(), _summed),
    "matrix of rankings": (
        ".npy",
        _matrix(),
        _in("r", "m.npy", {"r.json": json.dumps(RANKED).encode()}, lambda at: read_rankings(at / "r.json")),
    ),
    "predictions": (".csv", PREDICTED, _predictions),
    "weights to start from": (".safetensors", _weights(), lambda path: start_from(NET, path)),
    "folder of timm": (
        ".json",
        json.dumps(CONFIGURED).encode(),
        _in("timm", "config.json", {}, lambda folder: Backbone(f"local-dir:{folder}", pretrained=False)),
    ),
    **{
        f"birds' {name}": (".txt", content, _in("b", name, BIRDS, lambda at: read_cub200(at, boxes=True)))
        for name, content in BIRDS.items()
    },
    "shop's photos": (".txt", EBAY, _in("s", "Ebay_test.txt", SHOP, read_online_products)),
}
