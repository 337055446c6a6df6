"""A process that writes: ``python grid_writer.py COLLECTION PHOTOS LOCK_TIMEOUT DELAY [FILE_LIMIT]``."""

from __future__ import annotations

import sys

from grid_model import grid_model

from resight.collection import Collection, batching, lease
from resight.errors import ResightError


def main() -> None:
    directory, photos, timeout, delay, *limit = sys.argv[1:]
    # Small, so that a kill meets commits, compactions and clean-ups, too.
    batching.COMMIT_PHOTOS, batching.COMPACT_EVERY = 4, 3
    model = grid_model(delay=float(delay))
    lease.LEASE_SECONDS = 2.0
    collection = Collection.open_or_create(directory, model=model, lock_timeout=float(timeout))
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit[0]), int(limit[0])))
    print("ready", flush=True)  # noqa: T201
    try:
        report = collection.add(photos, forget_missing=True, workers=2)
    except ResightError as error:
        print(type(error).__name__, error, flush=True)  # noqa: T201
        raise SystemExit(1) from None
    print(report.added, report.updated, report.unchanged, flush=True)  # noqa: T201


main()
