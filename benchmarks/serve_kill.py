"""Is a collection whole, and what was acknowledged in it, however often its server is killed during adds?

    python benchmarks/serve_kill.py --work FOLDER [--kills 30] [--json FILE]

Photos are uploaded one by one; the server is killed (SIGKILL) at a random moment and started again on the
same collection. After each kill the collection is opened and checked; a photo whose job was done must be in
it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from serve_load import made, serving

from resight import Collection
from resight.scenes import write_collection


def uploaded(port: int, path: Path) -> str:
    """The state of the job that adds a photo, at its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    part = f'--b\r\nContent-Disposition: form-data; name="photo"; filename="{path.name}"\r\n\r\n'
    body = part.encode() + path.read_bytes() + b"\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    connection.request("POST", "/api/v1/photos", body, kind)
    job = json.loads(connection.getresponse().read())
    while job["state"] in ("waiting", "running"):
        time.sleep(0.01)
        connection.request("GET", f"/api/v1/jobs/{job['id']}")
        job = json.loads(connection.getresponse().read())
    return str(job["state"])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.work, ignore_errors=True)
    arguments.work.mkdir(parents=True)
    collection, _ = made(arguments.work, 90)
    write_collection(arguments.work / "new", places=60, views=3, distractors=0, side=200, seed=5)
    new = sorted((arguments.work / "new").glob("*.jpg"))
    rng = random.Random(0)
    acknowledged: set[str] = set()
    wrong: list[str] = []
    for kill in range(arguments.kills):
        done = threading.Event()
        with serving(collection, arguments.work) as (port, process):

            def upload(port: int = port, kill: int = kill, done: threading.Event = done) -> None:
                for number in range(kill * 5, kill * 5 + 50):
                    path = new[number % len(new)]
                    try:
                        if uploaded(port, path) == "done":
                            acknowledged.add(path.stem)
                    except (OSError, http.client.HTTPException, ValueError):
                        break
                done.set()

            thread = threading.Thread(target=upload)
            thread.start()
            time.sleep(rng.uniform(0.05, 3.0))
            os.kill(process.pid, signal.SIGKILL)
            done.wait(60)
            thread.join()
        opened = Collection.open(collection.path)
        report = opened.check(sample=2)
        names = {Path(path).name.rpartition("-")[0] for path in opened}
        lost = sorted(acknowledged - names)
        is_whole = not report.problems
        if lost or not is_whole:
            wrong.append(f"kill {kill}: lost {lost}, check {report}")
        print(kill, len(opened), len(acknowledged), "whole" if is_whole else report, flush=True)
    result = {"kills": arguments.kills, "acknowledged": len(acknowledged), "wrong": wrong}
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
