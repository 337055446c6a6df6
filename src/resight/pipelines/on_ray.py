"""Photos described by the workers of a Ray cluster, and handed back in their order to the one who writes.

Each worker is an actor that holds the model, on a GPU where the cluster has some. Batches are of files of
like size, so that no worker waits long for another. At most two batches a worker are on their way, and none
is sent while the writer is behind. A worker that dies is started again by Ray and gets its batch again; a
photo that ends its worker each time is reported as broken. Rows are written here alone, each once, by their
key.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, final

from resight import images
from resight.errors import InvalidInput, MissingExtra, ModelMismatch, ResightError
from resight.features import ImageFeatures
from resight.models.extract import Extraction, PhotoModel, extract
from resight.models.zoo import load_model

__all__ = ["OnRay", "Pool", "WorkerLost", "in_order"]

BATCH = 32
"""Photos that a worker gets at a time."""

_WAITING = 2
"""Batches of a worker: one that it describes, one that lies ready."""

_WINDOW = 4
"""Batches a worker among which photos are sorted by their size."""

_PATIENCE = 300
"""Seconds that a lost worker is waited for: Ray notices a dead machine after half a minute."""

_TRIES = 3
"""How often Ray gives a batch to a worker again that has died of it, or beside it."""


class WorkerLost(Exception):
    """A batch was not described: its worker died each time."""


class Pool(Protocol):
    """Workers that describe batches."""

    @property
    def workers(self) -> int:
        """Number of workers."""
        ...

    def start(self, worker: int, paths: Sequence[str]) -> object:
        """Gives a worker a batch and returns what stands for its result."""
        ...

    def first(self, running: Sequence[object]) -> object:
        """Returns the first of some results that is there, once it is."""
        ...

    def result(self, of: object) -> list[Extraction]:
        """Returns what became of each photo of a batch.

        Raises:
            WorkerLost: Its worker died each time.
        """
        ...

    def revive(self, worker: int) -> None:
        """Returns when a worker that was lost is there again.

        Raises:
            ResightError: It does not come back.
        """
        ...


_Numbered = tuple[int, str]


def in_order(paths: Iterable[str | Path], pool: Pool) -> Generator[Extraction, None, None]:
    """Yields what became of each photo, in the order of the paths.

    No batch is started while more photos wait to be taken by the caller than lie in two windows.
    """
    batches = _batches(paths, pool.workers)
    done: dict[int, Extraction] = {}
    running: dict[object, tuple[int, list[_Numbered]]] = {}
    load = [0] * pool.workers
    ahead = 2 * _WINDOW * BATCH * pool.workers
    started, yielded, left = 0, 0, True
    while left or running:
        while left and min(load) < _WAITING and started - yielded < ahead:
            batch = next(batches, [])
            left = bool(batch)
            if batch:
                worker = load.index(min(load))
                running[pool.start(worker, [path for _, path in batch])] = worker, batch
                load[worker] += 1
                started += len(batch)
        if running:
            first = pool.first(list(running))
            worker, batch = running.pop(first)
            load[worker] -= 1
            done.update(_results(pool, first, worker, batch))
        while yielded in done:
            yield done.pop(yielded)
            yielded += 1


def _results(
    pool: Pool, of: object, worker: int, batch: Sequence[_Numbered], *, alone: bool = False
) -> Iterator[tuple[int, Extraction]]:
    """Yields the results of a batch by number; of one that ends its worker, photo by photo.

    A photo is blamed where it alone has ended a worker that was there before: a whole machine may have died.
    """
    try:
        for (number, _), extraction in zip(batch, pool.result(of), strict=True):
            yield number, extraction
    except WorkerLost:
        if alone:
            number, path = batch[0]
            reason = f"the worker that describes it ends each time, {_TRIES + 1} times"
            yield number, Extraction(Path(path), None, reason=reason)
            return
        for one in batch:
            pool.revive(worker)
            yield from _results(pool, pool.start(worker, [one[1]]), worker, [one], alone=True)


def _batches(paths: Iterable[str | Path], workers: int) -> Iterator[list[_Numbered]]:
    """Yields batches of files of like size out of one window after another."""
    numbered = enumerate(map(str, paths))
    while window := list(islice(numbered, _WINDOW * BATCH * workers)):
        window.sort(key=lambda one: _size(one[1]))
        for start in range(0, len(window), BATCH):
            yield window[start : start + BATCH]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 (a path of any bytes)
    except OSError:
        # Whoever reads it says why.
        return 0


class _Describer:
    """The actor: a model, and photos through it, in so many threads."""

    def __init__(self, name: str, fingerprint: str, threads: int) -> None:
        import cv2

        self._model, self._threads = load_model(name), threads
        if self._model.fingerprint != fingerprint:
            raise ModelMismatch(f"the model {name!r} of a worker is another than that of the collection")
        # By default OpenCV starts a thread a processor in each worker, and there may be a worker a processor.
        cv2.setNumThreads(1)

    def is_there(self) -> bool:
        """Returns that the worker has been started."""
        return True

    def describe(self, paths: list[str], known: Collection[bytes], max_pixels: int) -> list[Extraction]:
        """Returns what became of each photo."""
        described = extract(paths, self._model, workers=self._threads, known=known, max_pixels=max_pixels)
        with closing(described) as found:
            return list(found)


@final
class OnRay:
    """Describes photos on a Ray cluster, in the place of `resight.models.extract.extract`.

    Args:
        address: ``ray`` for the cluster of this machine, started where there is none, or ``ray://HOST:PORT``.
        model: Name or bundle, as every worker can load it.
        fingerprint: Of the model; workers with another one refuse.

    Raises:
        InvalidInput: Another address.
        MissingExtra: Ray is not installed.
    """

    def __init__(self, address: str, *, model: str, fingerprint: str) -> None:
        if address != "ray" and not (address.startswith("ray://") and address.removeprefix("ray://")):
            raise InvalidInput(f"photos are described on ray, or on ray://HOST:PORT, not on {address!r}")
        try:
            import ray  # noqa: F401 (said here and not in the middle of the work)
        except ImportError:
            raise MissingExtra("ray", "describing photos on a cluster") from None
        self._address, self._model, self._fingerprint = address, model, fingerprint

    def __call__(
        self,
        paths: Iterable[str | Path],
        model: PhotoModel,  # noqa: ARG002 (each worker has its own)
        *,
        workers: int | None = None,
        known: Collection[bytes] = frozenset(),
        given: Mapping[str, ImageFeatures] | None = None,
        max_pixels: int = images.MAX_PIXELS,
        memory: int | None = None,
    ) -> Generator[Extraction, None, None]:
        """Yields what became of each file, in the order of ``paths``; see `resight.models.extract.extract`.

        Args:
            paths: Files, under the paths that every worker sees them under.
            model: Of the collection; the workers load it by name.
            workers: Actors; by default one a GPU of the cluster, or a processor where it has none.
            known: Hashes of contents that are not described, only read.
            given: None may be given.
            max_pixels: Most pixels of a photo that is decoded.
            memory: None may be given: each worker has the usual.

        Raises:
            InvalidInput: Features or a memory are given.
            ResightError: A worker cannot load the model, or the cluster is gone.
        """
        if given:
            raise InvalidInput("descriptors from a file are not taken on ray: leave out --from or --on")
        if memory is not None:
            raise InvalidInput(
                "the working memory is that of this machine: leave out --working-memory or --on"
            )
        every = iter(paths)
        first = next(every, None)
        if first is None:
            # No cluster is started for nothing.
            return
        pool = _RayPool(self._address, workers, (self._model, self._fingerprint), known, max_pixels)
        try:
            yield from in_order(chain([first], every), pool)
        finally:
            pool.close()


@final
class _RayPool:
    """Actors of Ray; see `Pool`."""

    def __init__(
        self,
        address: str,
        workers: int | None,
        model: tuple[str, str],
        known: Collection[bytes],
        max_pixels: int,
    ) -> None:
        import ray

        self._started = not ray.is_initialized()
        if self._started:
            ray.init(
                address=None if address == "ray" else address,
                include_dashboard=None if address != "ray" else False,
                log_to_driver=False,
            )
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        count = workers or gpus or max(1, cpus)
        threads = max(1, cpus // count)
        # Half a processor is reserved for each: the workers of a machine that dies find room on others.
        actor = ray.remote(
            num_cpus=0.5,
            num_gpus=1 if gpus else 0,
            max_restarts=-1,
            max_task_retries=_TRIES,
            scheduling_strategy="SPREAD",
        )(_Describer)
        # Ray gives an actor's methods a `remote` that no type knows.
        self._actors: list[Any] = [actor.remote(*model, threads) for _ in range(count)]
        self._known, self._max_pixels = ray.put(frozenset(known)), max_pixels

    @property
    def workers(self) -> int:
        """Number of actors."""
        return len(self._actors)

    def start(self, worker: int, paths: Sequence[str]) -> object:
        """Gives an actor a batch."""
        return self._actors[worker].describe.remote(list(paths), self._known, self._max_pixels)

    def first(self, running: Sequence[object]) -> object:
        """Returns the first result."""
        import ray

        return ray.wait(list(running), num_returns=1)[0][0]

    def result(self, of: Any) -> list[Extraction]:
        """Returns a result.

        Raises:
            WorkerLost: The actor died each time.
            ResightError: It cannot load the model, or something of ours is wrong.
        """
        import ray

        try:
            found: list[Extraction] = ray.get(of)
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, ResightError) else error from None
        except ray.exceptions.ActorDiedError as error:
            # It cannot be started at all, which Ray says at length.
            raise ResightError(f"a worker cannot be started: {str(error).strip().splitlines()[-1]}") from None
        except ray.exceptions.RayActorError:
            raise WorkerLost from None
        return found

    def revive(self, worker: int) -> None:
        """Returns when an actor answers: until a dead machine is noticed, Ray starts it there in vain.

        Raises:
            ResightError: It does not answer for `_PATIENCE` seconds.
        """
        import ray

        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            try:
                ray.get(self._actors[worker].is_there.remote(), timeout=_PATIENCE)
            except ray.exceptions.RayActorError:
                time.sleep(1)
            except ray.exceptions.GetTimeoutError:
                break
            else:
                return
        raise ResightError(
            f"a worker that was lost has not been started again for {_PATIENCE} s: the cluster has no room "
            "for it; what is committed is intact, run the same again"
        )

    def close(self) -> None:
        """Ends the actors, and the cluster if it was started here."""
        import ray

        for actor in self._actors:
            ray.kill(actor)
        if self._started:
            ray.shutdown()
