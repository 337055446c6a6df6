"""Measures what small files that ask for much cost: time and memory of reading each, in a process of its own.

Time is that of the processor, of all threads together: what else runs on the machine does not change it.

    python benchmarks/bombs.py benchmarks/results/bombs.json

The files are made by tests/images/bombs.py. A process that reads one is ended after a minute and may take
4 GB of addresses; its memory is the largest that was resident, less that of a process that reads nothing.
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "images"))

from bombs import BOMBS

MOST_SECONDS = 60
MOST_ADDRESSES = 4 << 30
READ = """
import resource, sys, time
from resight.errors import UnreadableImage
from resight.images import read
began, outcome = time.process_time(), ""
if len(sys.argv) > 1:
    try:
        photo = read(sys.argv[1], max_side=640)
        outcome = f"read: {photo.width} x {photo.height}"
    except UnreadableImage as error:
        outcome = "refused: " + error.reason
print(time.process_time() - began)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(outcome)
"""


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))


def measured(path: Path | None) -> tuple[float, float, str]:
    """Returns seconds, megabytes and the outcome of reading a file, or nothing, in a process of its own."""
    command = [sys.executable, "-c", READ, *([str(path)] if path is not None else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, preexec_fn=limit)
    except subprocess.TimeoutExpired:
        return float(MOST_SECONDS), float("nan"), "ended after a minute"
    if done.returncode:
        return float("nan"), float("nan"), f"died: {done.stderr[-300:]}"
    seconds, megabytes, outcome = done.stdout.splitlines()
    return float(seconds), float(megabytes), outcome


def main() -> None:
    _, idle, _ = measured(None)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in BOMBS.items():
            path = Path(folder) / "bomb"
            path.write_bytes(make())
            seconds, megabytes, outcome = measured(path)
            rows.append(
                {
                    "bomb": name,
                    "file_kb": round(path.stat().st_size / 1000, 1),
                    "seconds": round(seconds, 2),
                    "megabytes": round(megabytes - idle),
                    "outcome": outcome[:160],
                }
            )
            print(rows[-1], flush=True)
    result = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "idle_megabytes": round(idle),
        "bombs": len(rows),
        "most_seconds": max(row["seconds"] for row in rows),
        "most_megabytes": max(row["megabytes"] for row in rows),
        "rows": rows,
    }
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
