"""What a run writes down while it goes: a line of JSON a step, curves for loggers, progress for people."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, final

from resight.errors import StorageFailed
from resight.files import parse_json, write_whole
from resight.training.loggers import Logger
from resight.training.watch import StepValues

__all__ = ["Report", "RunLog", "Standing", "mean_centres"]

_RATE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands.

    Attributes:
        step: Optimiser steps done.
        steps: Of so many.
        epoch: The present epoch, counted from 1.
        epochs: Of so many.
        images_per_second: Training images, all processes together, over the last half minute.
        seconds_left: At that rate.
        parts: Each part of the objective before its weight.
        learning_rate: Of the first group.
        validation: The selection metric's last value, ``None`` before the first validation.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    images_per_second: float
    seconds_left: float
    parts: Mapping[str, float]
    learning_rate: float
    validation: float | None


Report: TypeAlias = Callable[[Standing], None]
"""Takes where a run stands; called every few steps."""


@final
class RunLog:
    """The log of one run; only the first process writes one."""

    def __init__(
        self,
        folder: Path,
        *,
        steps: int,
        epochs: int,
        images_per_step: int,
        after: int,
        after_epochs: int,
        loggers: Sequence[Logger],
        report: Report | None,
        writes: bool,
    ) -> None:
        """Opens the log in the run's folder.

        Args:
            folder: The run's folder.
            steps: Optimiser steps of the whole run.
            epochs: Epochs of the whole run.
            images_per_step: Training images a step, of all processes.
            after: The step from which the run goes on; later lines are of a run that was killed and go.
            after_epochs: Epochs that were whole then; later validations go.
            loggers: Take curves too, and are ended with the log.
            report: Called with the progress after each look at the losses.
            writes: Whether this process writes anything.

        Raises:
            StorageFailed: The disk refused.
        """
        self._steps, self._epochs, self._images = steps, epochs, images_per_step
        self._report = report if writes else None
        self._validation: float | None = None
        self._times: list[tuple[float, int]] = [(time.monotonic(), after)]
        self._loggers = tuple(loggers)
        self._path = folder / "log.jsonl" if writes else None
        if self._path is not None:
            _forget_after(self._path, after, after_epochs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for logger in self._loggers:
            if hasattr(logger, "finalize"):
                logger.finalize("success" if kind is None else "failed")

    def steps(self, values: Sequence[StepValues]) -> None:
        """Writes steps down and reports the last one."""
        if not values:
            return
        last = values[-1]
        rate = self._rate(last.step)
        lines: list[dict[str, object]] = [
            {
                "kind": "step",
                "step": each.step,
                "epoch": each.epoch,
                "objective": each.total,
                "parts": each.parts,
                "gradient_norm": each.norm,
                "learning_rates": each.rates,
                "images_per_second": round(rate, 1),
            }
            for each in values
        ]
        self._write(lines)
        for each in values:
            parts = {f"parts/{name}": value for name, value in each.parts.items()}
            rates = {f"learning rate/{name}": value for name, value in each.rates.items()}
            self._send({"objective": each.total, **parts, **rates}, each.step)
        if self._report is not None:
            left = (self._steps - last.step) * self._images / rate if rate else 0.0
            self._report(
                Standing(
                    last.step,
                    self._steps,
                    last.epoch + 1,
                    self._epochs,
                    rate,
                    left,
                    last.parts,
                    next(iter(last.rates.values())),
                    self._validation,
                )
            )

    def validation(self, step: int, epoch: int, values: Mapping[str, float], chosen: float) -> None:
        """Writes a validation down; ``chosen`` is the value by which the best is chosen."""
        self._validation = chosen
        self._write([{"kind": "validation", "step": step, "epoch": epoch, **values}])
        self._send({f"validation/{name}": value for name, value in values.items()}, step)
        # The time it took is none of training's.
        self._times = [(time.monotonic(), step)]

    def centres(self, step: int, epoch: int, counts: Mapping[str, Sequence[int]]) -> None:
        """Writes down how many classes have 1, 2, ... distinct centres, by the part of the objective."""
        if not counts:
            return
        self._write([{"kind": "centres", "step": step, "epoch": epoch, "parts": counts}])
        means = {f"distinct centres/{name}": mean_centres(classes) for name, classes in counts.items()}
        self._send(means, step)

    def _send(self, metrics: Mapping[str, float], step: int) -> None:
        for logger in self._loggers:
            logger.log_metrics(dict(metrics), step)

    def _rate(self, step: int) -> float:
        now = time.monotonic()
        self._times.append((now, step))
        while len(self._times) > 2 and now - self._times[1][0] > _RATE_SECONDS:
            self._times.pop(0)
        began, first = self._times[0]
        return (step - first) * self._images / max(now - began, 1e-9)

    def _write(self, lines: Sequence[Mapping[str, object]]) -> None:
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
        except OSError as error:
            raise StorageFailed(f"the log {self._path} cannot be written: {error.strerror}") from None


def mean_centres(classes: Sequence[int]) -> float:
    """Returns the mean number of distinct centres, of how many classes have 1, 2, ... of them."""
    return sum(number * count for number, count in enumerate(classes, 1)) / sum(classes)


def _forget_after(path: Path, step: int, epochs: int) -> None:
    """Removes what a killed run wrote after the checkpoint it is resumed from, and a line cut short."""
    if not path.is_file():
        return
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = parse_json(line)
            # After its last step an epoch may have been saved before it was measured.
            holds = entry["step"] <= step and (entry["kind"] == "step" or entry["epoch"] <= epochs)  # type: ignore[index,call-overload,operator]
        except (ValueError, KeyError, TypeError):
            continue
        if holds:
            lines.append(line + "\n")
    write_whole(path, "".join(lines))
