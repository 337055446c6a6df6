"""ONNX Runtime and OpenVINO: a file as a function from an array to arrays. No torch here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Shaped

from resight._lazy import lacks, require

__all__ = ["ONNX", "OPENVINO", "Run", "Runtime", "installed", "run_file"]

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
    import onnxruntime

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
    import openvino

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
