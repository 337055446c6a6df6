"""Does any request make the server fail? schemathesis makes requests from the OpenAPI description.

    python benchmarks/serve_fuzz.py --work FOLDER [--seconds 120]

Ends with 1 where a request was answered by 500 or more, or by a status, a type or a form that the description
does not name.
Requests are made until the seconds are over; a first round of each kind of value goes before the random ones.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from serve_load import made, serving

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=120)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.work, ignore_errors=True)
    arguments.work.mkdir(parents=True)
    collection, _ = made(arguments.work, 90)
    with serving(collection, arguments.work) as (port, _):
        line = ["schemathesis", "run", f"http://127.0.0.1:{port}/api/v1/openapi.json"]
        # The stream of events does not end by itself.
        line += ["--checks", CHECKS, "--exclude-path", "/api/v1/events"]
        line += ["--max-time", str(arguments.seconds), "--request-timeout", "30"]
        line[0] = str(Path(sys.executable).parent / line[0])
        # It keeps what it found in the folder it runs in.
        return subprocess.run(line, cwd=arguments.work, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
