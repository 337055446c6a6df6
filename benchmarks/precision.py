"""What a network loses in fewer bits: mean average precision and speed in float32, bfloat16 and int8.

    python benchmarks/precision.py --data DIR [--made DIR] [--json FILE]

``efficientnet-lite0`` on the photos of ``selection_photos.py``, each a query against the others of its kind.
bfloat16 is OpenVINO's hint: a processor without such units computes float32 all the same, and the file says
which it was. int8 is ONNX Runtime's static quantisation by channel of all convolutions but the first,
calibrated on photos that `selection_photos.fitted` makes; the least and the mean cosine with float32 of
five photos or more of each kind stand beside it for ONNX Runtime and for OpenVINO, which computes other
values from the same file. Milliseconds are of one thread, within one run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import selection_photos
import torch
from choose_lite0 import average_precision
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from resight.images import photo_of
from resight.models import load_model
from resight.models.export import graph_of, write_onnx

CALIBRATED, TESTED = 48, 5
AGREEMENT = "int8, cosines with float32"
Run = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--made", type=Path, default=Path("build/selection"))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/precision.json"))
    parser.add_argument(
        "--agreement", action="store_true", help="only how far int8 agrees with float32; other figures stay"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model("efficientnet-lite0")
    fitted = selection_photos.fitted(arguments.data, arguments.made)
    some = [path for kind in fitted for path in kind.paths]
    shown = [photo_of(path, max_side=640).pixels for path in some[:: len(some) // CALIBRATED]]
    judged = selection_photos.judged(arguments.data, arguments.made)
    some = [path for kind in judged for path in kind.paths[:: len(kind.paths) // TESTED]]
    tested = [photo_of(path, max_side=640).pixels for path in some]
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        plain, whole, small = (Path(folder, name) for name in ("plain.onnx", "whole.onnx", "small.onnx"))
        write_onnx(graph_of(model), plain, {})
        quant_pre_process(str(plain), str(whole), skip_symbolic_shape=True)
        first = [node.name for node in onnx.load(whole).graph.node if "/conv_stem" in node.name]
        quantize_static(
            str(whole),
            str(small),
            _Photos(whole, shown),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=first,
        )
        ways: dict[str, Run] = {
            "OpenVINO float32": run_openvino(plain, "f32"),
            "OpenVINO bfloat16": run_openvino(plain, "bf16"),
            "ONNX Runtime float32": run_onnx(plain),
            "ONNX Runtime int8": run_onnx(small),
        }
        agrees = {
            "ONNX Runtime": cosines(ways["ONNX Runtime int8"], ways["ONNX Runtime float32"], tested),
            "OpenVINO": cosines(run_openvino(small, "f32"), ways["OpenVINO float32"], tested),
        }
        print(agrees, flush=True)
        if arguments.agreement:
            kept = json.loads(arguments.json.read_text()) | {AGREEMENT: agrees}
            arguments.json.write_text(json.dumps(kept, indent=1) + "\n")
            return
        found: dict[str, dict[str, float]] = {way: {} for way in ways}
        spent = dict.fromkeys(ways, 0.0)
        for kind in judged:
            vectors: dict[str, list[np.ndarray]] = {way: [] for way in ways}
            for path in kind.paths:
                pixels = photo_of(path, max_side=640).pixels[None]
                for way, run in ways.items():
                    started = time.process_time()
                    vectors[way].append(run(pixels)[0])
                    spent[way] += time.process_time() - started
            for way, each in vectors.items():
                found[way][kind.name] = round(average_precision(np.stack(each), kind.labels), 4)
    photos = sum(len(kind.paths) for kind in judged)
    for way, values in found.items():
        milliseconds = round(1000 * spent[way] / photos, 1)
        mean = round(float(np.mean(list(values.values()))), 4)
        rows.append({"way": way, **values, "mean": mean, "milliseconds_a_photo": milliseconds})
        print(rows[-1], flush=True)
    units = sorted({"avx512_bf16", "amx_bf16", "avx512_vnni", "avx_vnni"} & processor_flags())
    result = {
        "photos": photos,
        AGREEMENT: agrees,
        "units_of_the_processor": units,
        "rows": rows,
    }
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")


class _Photos(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, model: Path, shown: Sequence[np.ndarray]) -> None:
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        (name,) = (each.name for each in session.get_inputs())
        self._rows: Iterator[dict[str, np.ndarray]] = iter([{name: pixels[None]} for pixels in shown])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rows, None)


def cosines(run: Run, exact: Run, shown: Sequence[np.ndarray]) -> dict[str, float | None]:
    """Returns the least and the mean; none where a number is not finite."""
    found = np.array([float(run(pixels[None])[0] @ exact(pixels[None])[0]) for pixels in shown])
    if not np.isfinite(found).all():
        return {"least": None, "mean": None}
    return {"least": round(float(found.min()), 4), "mean": round(float(found.mean()), 4)}


def run_onnx(path: Path) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())
    return lambda pixels: np.asarray(session.run(None, {name: pixels})[0])


def run_openvino(path: Path, precision: str) -> Run:
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1}
    compiled: Any = openvino.Core().compile_model(str(path), "CPU", settings)
    return lambda pixels: np.asarray(compiled([pixels])[0])


def processor_flags() -> set[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return set(line.split(":", 1)[1].split())
    return set()


if __name__ == "__main__":
    main()
