"""Does any request make the server fail? schemathesis makes requests from the OpenAPI description.

    python benchmarks/serve_fuzz.py --work FOLDER [--examples 100]

Ends with 1 where a request was answered by 500 or more (but 503, which says that there is too much to do).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from serve_load import made, serving


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=100)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.work, ignore_errors=True)
    arguments.work.mkdir(parents=True)
    collection, _ = made(arguments.work, 90)
    with serving(collection, arguments.work) as (port, _):
        line = ["schemathesis", "run", f"http://127.0.0.1:{port}/api/v1/openapi.json"]
        # The stream of events does not end by itself.
        line += ["--checks", "not_a_server_error", "--exclude-path", "/api/v1/events"]
        line += ["--max-examples", str(arguments.examples), "--request-timeout", "30"]
        line[0] = str(Path(sys.executable).parent / line[0])
        # It keeps what it found in the folder it runs in.
        return subprocess.run(line, cwd=arguments.work, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
