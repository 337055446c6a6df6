"""ONNX Runtime and OpenVINO: a file as a function from an array to arrays. No torch here."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Shaped

from resight._lazy import lacks, require

__all__ = [
    "ONNX",
    "OPENVINO",
    "Run",
    "Runtime",
    "import_onnxruntime",
    "import_openvino",
    "installed",
    "run_file",
]

Runtime: TypeAlias = Literal["openvino", "onnx"]

ONNX = ("onnx", "onnxscript", "onnxruntime")
"""What the extra of that name brings; the first two write files."""

OPENVINO = ("openvino",)
"""What runs files for OpenVINO; they are written by way of ONNX."""

Run: TypeAlias = Callable[[Shaped[np.ndarray, "..."]], list[Shaped[np.ndarray, "..."]]]
"""Input to outputs; safe to call from several threads at once."""


def installed() -> tuple[Runtime, ...]:
    """Returns the runtimes that can write and run files here, the faster one first."""
    found: list[Runtime] = []
    if not lacks((*OPENVINO, *ONNX[:2])):
        found.append("openvino")
    if not lacks(ONNX):
        found.append("onnx")
    return tuple(found)


def import_onnxruntime() -> Any:
    """Returns ONNX Runtime, imported without its telemetry.

    ONNX Runtime 1.32 keeps an identifier of the machine on the disk, and tells its makers what it does from
    its import on. The variable is its documented way out; one that is set stays.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def import_openvino() -> Any:
    """Returns OpenVINO, imported without its telemetry.

    Its import sends an event to its makers by the package ``openvino_telemetry``, which comes with it.
    Without that package OpenVINO takes a stub of its own.
    """
    name = "openvino_telemetry"
    kept = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        del sys.modules[name]
        if kept is not None:
            sys.modules[name] = kept
    return openvino


def run_file(path: Path, runtime: Runtime) -> Run:
    """Returns a file as a function. One call uses one processor: several are made at once.

    Args:
        path: An ``.onnx`` file, or for OpenVINO its own ``.xml`` file, too.
        runtime: What runs it.

    Raises:
        MissingExtra: The runtime is not installed.
    """
    if runtime == "onnx":
        require("onnx", ONNX[2:], f"running {path.name}")
        return _onnx(path)
    require("openvino", OPENVINO, f"running {path.name}")
    return _openvino(path)


def _onnx(path: Path) -> Run:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())

    def run(values: Shaped[np.ndarray, "..."]) -> list[Shaped[np.ndarray, "..."]]:
        found: list[Shaped[np.ndarray, "..."]] = session.run(None, {name: values})
        return found

    return run


def _openvino(path: Path) -> Run:
    openvino = import_openvino()
    from resight.files import available_cpus

    threads = available_cpus()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
    }
    compiled: Any = openvino.Core().compile_model(str(path), "CPU", settings)
    own = threading.local()

    def run(values: Shaped[np.ndarray, "..."]) -> list[Shaped[np.ndarray, "..."]]:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        own.request.infer([values])
        return [own.request.get_output_tensor(number).data.copy() for number in range(len(compiled.outputs))]

    return run
