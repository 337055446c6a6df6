"""Changes of the collection, one after the other in a thread of their own, and how far they are."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from resight.collection import Collection, IndexReport
from resight.collection.schema import Value
from resight.errors import ResightError
from resight.serving.refusals import Refusal
from resight.serving.shapes import Broken, Job

__all__ = ["Jobs", "Removal"]

_MOST_KEPT = 100
_MOST_WAITING = 100
_MOST_BROKEN = 200


class _Stopped(Exception):
    """The server ends: what was committed stays, and the next call goes on from there."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal took out, so that it can be undone.

    Attributes:
        metadata: The user's values of each photo by its path.
        forget: Called after the removal: takes the photos' thumbnails off the disk.
    """

    metadata: Mapping[str, Mapping[str, Value]]
    forget: Callable[[], None]


@final
@dataclass(slots=True)
class _Task:
    shape: Job
    work: Callable[[Callable[[int, int], None]], dict[str, object]]
    removal: Removal | None = None


@final
@dataclass(slots=True)
class Jobs:
    """Adds and removes photos. A search never waits for a job.

    Attributes:
        collection: What is changed.
        max_pixels: Most pixels of a photo that is decoded.
        on_change: Called in the jobs' thread after each step of one.
    """

    collection: Collection
    max_pixels: int
    on_change: Callable[[], None] = lambda: None
    revision: int = 0
    _reports: dict[str, IndexReport] = field(default_factory=dict)
    _tasks: dict[int, _Task] = field(default_factory=dict)
    _waiting: queue.SimpleQueue[_Task | None] = field(default_factory=queue.SimpleQueue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _next: int = 1

    def start(self) -> None:
        """Begins to work."""
        self._thread = threading.Thread(target=self._run, name="resight-jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends after what is being committed; jobs that wait are not begun."""
        self._stopping.set()
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def all(self) -> list[Job]:
        """Returns the jobs since the start, the last first."""
        with self._lock:
            return [task.shape for task in reversed(self._tasks.values())]

    def one(self, number: int) -> Job:
        """Returns a job.

        Raises:
            Refusal: There is none of that number.
        """
        with self._lock:
            return self._task(number).shape

    def not_taken(self) -> tuple[dict[str, int], dict[str, int]]:
        """Returns files that were passed over, by suffix, and those left out, by pattern, since the start."""
        with self._lock:
            reports = list(self._reports.values())
        passed_over, left_out = Counter[str](), Counter[str]()
        for report in reports:
            passed_over.update(report.passed_over)
            left_out.update(report.left_out)
        return dict(passed_over.most_common()), dict(left_out.most_common())

    def add(self, paths: Sequence[Path], what: str, *, forget_missing: bool = False) -> Job:
        """Returns the job that brings the collection up to date with files and folders.

        Args:
            paths: Files and folders.
            what: They, in a few words.
            forget_missing: Whether photos that are no longer in the folders are removed.
        """

        def work(progress: Callable[[int, int], None]) -> dict[str, object]:
            report = self.collection.add(
                paths, forget_missing=forget_missing, max_pixels=self.max_pixels, progress=progress
            )
            with self._lock:
                self._reports.update(dict.fromkeys(map(str, paths), report))
            return {**_reported(report), "removed": len(report.forgotten)}

        return self._put("add", what, work)

    def remove(self, removal: Removal) -> Job:
        """Returns the job that takes photos out of the collection; their files stay."""
        paths = list(removal.metadata)

        def work(progress: Callable[[int, int], None]) -> dict[str, object]:
            removed = self.collection.remove(paths)
            removal.forget()
            progress(removed, removed)
            return {"removed": removed, "can_undo": True}

        return self._put("remove", _photos(len(paths)), work, removal)

    def undo(self, number: int) -> Job:
        """Returns the job that brings back what a removal took out, with its metadata.

        Raises:
            Refusal: The job is no removal, has not been done, or has been undone.
        """
        with self._lock:
            task = self._task(number)
            if task.removal is None or not task.shape.can_undo:
                raise Refusal(409, f"job {number} has nothing to undo")
            removal = task.removal
            task.shape = task.shape.model_copy(update={"can_undo": False})

        def work(progress: Callable[[int, int], None]) -> dict[str, object]:
            here = [path for path in removal.metadata if Path(path).is_file()]
            values = {path: removal.metadata[path] for path in here}
            report = self.collection.add(here, metadata=values, max_pixels=self.max_pixels, progress=progress)
            return _reported(report)

        return self._put("undo", _photos(len(removal.metadata)), work)

    def group(self) -> Job:
        """Returns the job that computes which photos belong together."""

        def work(progress: Callable[[int, int], None]) -> dict[str, object]:
            self.collection.groups(progress=progress)
            return {}

        return self._put("group", "groups", work)

    def _task(self, number: int) -> _Task:
        if number not in self._tasks:
            raise Refusal(404, f"there is no job {number}")
        return self._tasks[number]

    def _put(
        self,
        kind: str,
        what: str,
        work: Callable[[Callable[[int, int], None]], dict[str, object]],
        removal: Removal | None = None,
    ) -> Job:
        with self._lock:
            waiting = sum(task.shape.state == "waiting" for task in self._tasks.values())
            if waiting >= _MOST_WAITING:
                raise Refusal.overloaded(f"{waiting} changes of the collection are waiting: try again later")
            shape = Job.model_validate(
                {"id": self._next, "kind": kind, "state": "waiting", "what": what, "done": 0, "total": 0}
            )
            task = self._tasks[self._next] = _Task(shape, work, removal)
            self._next += 1
            ended = [number for number, one in self._tasks.items() if one.shape.state in ("done", "failed")]
            for number in ended[: max(0, len(self._tasks) - _MOST_KEPT)]:
                del self._tasks[number]
        self._waiting.put(task)
        self._changed(task)
        return shape

    def _changed(self, task: _Task, **values: object) -> None:
        with self._lock:
            if values:
                task.shape = task.shape.model_copy(update=values)
            self.revision += 1
        self.on_change()

    def _run(self) -> None:
        while (task := self._waiting.get()) is not None:
            if self._stopping.is_set():
                return
            self._changed(task, state="running")

            def progress(done: int, total: int, task: _Task = task) -> None:
                self._changed(task, done=done, total=total)
                if self._stopping.is_set():
                    raise _Stopped

            try:
                outcome = task.work(progress)
            except _Stopped:
                self._changed(task, state="failed", error="the server was stopped; what was committed stays")
            except (ResightError, OSError) as error:
                self._changed(task, state="failed", error=str(error))
            else:
                self._changed(task, state="done", **outcome)


def _photos(number: int) -> str:
    return f"{number:,} photo{'' if number == 1 else 's'}"


def _reported(report: IndexReport) -> dict[str, object]:
    return {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "broken": [Broken(path=each.path, reason=each.reason) for each in report.broken[:_MOST_BROKEN]],
        "passed_over": report.passed_over,
    }
