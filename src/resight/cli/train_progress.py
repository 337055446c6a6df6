"""How far a training run is, on standard error: a bar in a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.training import Standing

__all__ = ["describe_progress", "speed", "train_progress"]

_LINE_SECONDS = 10.0


@contextmanager
def train_progress(title: str, *, shown: bool) -> Iterator[Callable[[Standing], None] | None]:
    """Yields what `resight.training.train` reports to; ``None`` where nothing is shown."""
    if not shown:
        yield None
    elif sys.stderr.isatty():
        with _bar(title) as report:
            yield report
    else:
        yield _lines(title)


def describe_progress(standing: Standing) -> str:
    """Returns epoch, loss parts, learning rate, speed and the last validation in a few words."""
    parts = ", ".join(f"{name} {value:.4g}" for name, value in standing.parts.items())
    validation = "" if standing.validation is None else f", validation {standing.validation:.4f}"
    return (
        f"epoch {standing.epoch} of {standing.epochs}, {parts}, rate {standing.learning_rate:.3g}, "
        f"{speed(standing.images_per_second)} images/s{validation}"
    )


def speed(images_per_second: float) -> str:
    """Returns a rate in figures that a large network on a processor does not make 0."""
    return f"{images_per_second:,.0f}" if images_per_second >= 10 else f"{images_per_second:.2g}"


@contextmanager
def _bar(title: str) -> Iterator[Callable[[Standing], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[words]}", style="dim"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, words="", left="")

        def report(standing: Standing) -> None:
            words, left = describe_progress(standing), _clock(standing.seconds_left)
            bar.update(task, completed=standing.step, total=standing.steps, words=words, left=left)

        yield report


def _lines(title: str) -> Callable[[Standing], None]:
    """Returns a report that writes a line at once, every ten seconds and at the end."""
    due = 0.0

    def report(standing: Standing) -> None:
        nonlocal due
        if time.monotonic() < due and standing.step < standing.steps:
            return
        due = time.monotonic() + _LINE_SECONDS
        print(
            f"{title}: step {standing.step:,} of {standing.steps:,}, {describe_progress(standing)}, "
            f"{_clock(standing.seconds_left)} left",
            file=sys.stderr,
            flush=True,
        )

    return report


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
