"""Progress of long jobs on standard error: a bar in a terminal, plain lines in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from resight.files import Progress

__all__ = ["progress", "said"]

_FIRST_LINE_SECONDS, _LINE_SECONDS = 2.0, 10.0


@contextmanager
def progress(title: str, unit: str = "photos") -> Iterator[Progress]:
    """Yields a function to call with (done, total); what is shown goes when the block ends."""
    if sys.stderr.isatty():
        with _bar(title, unit) as report:
            yield report
    else:
        yield _lines(title, unit)


@contextmanager
def said(logger_name: str, *, shown: bool = True) -> Iterator[None]:
    """Prints, while the block runs, what a part of the package says of its work, on standard error.

    Args:
        logger_name: Of the part's logger.
        shown: Whether to; errors are always printed, so that of several processes one alone speaks.
    """
    logger, handler = logging.getLogger(logger_name), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("resight: %(message)s"))
    level = logger.level
    logger.setLevel(logging.INFO if shown else logging.ERROR)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def _bar(title: str, unit: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", style="dim"),
        TimeRemainingColumn(compact=True),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, rate="")
        start = time.monotonic()

        def report(done: int, total: int) -> None:
            rate = f"{done / max(time.monotonic() - start, 1e-3):.1f} {unit}/s"
            bar.update(task, completed=done, total=total, rate=rate)

        yield report


def _lines(title: str, unit: str) -> Progress:
    """Returns a report that writes a line after two seconds, and then every ten."""
    start = time.monotonic()
    due = start + _FIRST_LINE_SECONDS

    def report(done: int, total: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now < due or done == 0:
            return
        due = now + _LINE_SECONDS
        rate = done / (now - start)
        left = (total - done) / rate
        print(
            f"{title}: {done:,} of {total:,} {unit}, {rate:.1f} a second, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    return report
