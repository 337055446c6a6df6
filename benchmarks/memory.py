"""The resident set of this process, as Linux counts it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def resident_bytes(field: Literal["VmRSS", "VmHWM"]) -> int:
    """Returns it now (VmRSS) or its peak (VmHWM).

    Not getrusage's: that counts what the parent held when it started this process.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")
