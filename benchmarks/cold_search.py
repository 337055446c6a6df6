"""Processor time of one ``resight search`` in a process of its own, beside the parts that any search needs.

    python benchmarks/cold_search.py COLLECTION QUERY [--runs 10] [--source OTHER/src ...] [--json FILE]

The time is what the system counts for the child, user and kernel together: it depends little on how
long the child waits. Other sources of the package are run in turns with this one, so that both meet the same
machine; they are called by the folder that holds them. Medians and least values of the runs are given. As
after an installation, modules are compiled before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", type=Path)
    parser.add_argument("query", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--source", type=Path, nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    search = ["-m", "resight", "search", str(arguments.collection), str(arguments.query)]
    parts = {
        "search": search,
        "search without verification": [*search, "--verify", "0"],
        "import of resight.collection": ["-c", "import resight.collection"],
        "import of numpy": ["-c", "import numpy"],
        "import of lance": ["-c", "import lance"],
    }
    here = Path(__file__).parents[1] / "src"
    seconds: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as compiled:
        for run in range(arguments.runs + 1):
            for source in (here, *arguments.source):
                for name, command in parts.items():
                    taken = processor_seconds(command, source, compiled)
                    # The first run compiles the modules.
                    if run:
                        seconds.setdefault(str(source), {}).setdefault(name, []).append(taken)
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "load": os.getloadavg()[0],
        "runs": arguments.runs,
        "seconds": {
            "this source" if source == str(here) else Path(source).parent.name: {
                name: {"median": round(statistics.median(times), 3), "least": round(min(times), 3)}
                for name, times in rows.items()
            }
            for source, rows in seconds.items()
        },
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def processor_seconds(command: list[str], source: Path, compiled: str) -> float:
    """Returns the processor time of a Python process with the package from ``source``."""
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
