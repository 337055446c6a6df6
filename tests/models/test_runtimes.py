"""Runtimes of networks are imported without what they send to their makers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from resight._lazy import lacks
from resight.models.runtimes import import_onnxruntime, import_openvino

IMPORTED = """
import sys
from resight.models.runtimes import import_onnxruntime, import_openvino
import_{runtime}()
print("openvino_telemetry" in sys.modules)
"""


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_runtime_keeps_and_sends_nothing_about_this_machine(tmp_path, runtime):
    if lacks([runtime]):
        pytest.skip(f"{runtime} is not installed")
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    # Both look for a home that nothing has been written to, and for no sign of a test machine.
    environment = {**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    line = [sys.executable, "-c", IMPORTED.format(runtime=runtime)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert list(tmp_path.rglob("*")) == []


def test_telemetry_that_somebody_wants_stays(monkeypatch):
    wanted = object()
    for name in ("openvino", "onnxruntime", "openvino_telemetry"):
        monkeypatch.setitem(sys.modules, name, wanted)
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    import_openvino()
    import_onnxruntime()
    assert sys.modules["openvino_telemetry"] is wanted
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
