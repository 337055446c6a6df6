"""What a server holds: the collection with its model, its photos by number, the changes under way."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar, final

from resight.collection import Collection
from resight.collection.scan import canonical
from resight.collection.seen import SeenPhotos
from resight.errors import InvalidInput
from resight.files import typed_path
from resight.serving.cache import ThumbnailCache
from resight.serving.jobs import Jobs
from resight.serving.library import Library
from resight.serving.metrics import Metrics
from resight.serving.refusals import Refusal
from resight.serving.scans import Scans
from resight.serving.settings import Access, Limits
from resight.serving.shapes import Job
from resight.serving.watches import Watches

__all__ = ["Service"]

P = ParamSpec("P")
Value = TypeVar("Value")

_VERSION_SECONDS = 0.5


@final
@dataclass(slots=True)
class Service:
    """A collection behind a port.

    Attributes:
        collection: What is searched.
        access: Whom it answers.
        limits: What it takes at most.
        library: Its photos by number.
        jobs: Its changes.
        uploads: Folder that added photos are put in.
        stopping: Set when the server ends: streams end, too.
        metrics: What it counts.
        scans: Its scans, one for all searches that wait.
        seen: Photos of the last queries: the next page, filter or answer describes nothing again.
        watches: Folders that it follows.
        is_ready: Whether searches are answered.
        streams: Pages that follow the events.
    """

    collection: Collection
    access: Access
    limits: Limits
    library: Library
    jobs: Jobs
    uploads: Path
    stopping: threading.Event = field(default_factory=threading.Event)
    metrics: Metrics = field(default_factory=Metrics)
    scans: Scans = field(init=False)
    seen: SeenPhotos = field(init=False)
    watches: Watches = field(init=False)
    is_ready: bool = False
    streams: int = 0
    _version: tuple[float, int] = (-1.0, -1)
    _pool: ThreadPoolExecutor = field(init=False)
    _held: int = 0
    _held_bytes: int = 0

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.limits.threads, thread_name_prefix="resight-serve")
        self.scans = Scans(self.collection.searcher.rank, self._count_scan, self.limits.max_batch)
        self.seen = SeenPhotos(self.limits.max_remembered)
        self.watches = Watches(self._follow)

    @classmethod
    def of(
        cls,
        collection: Collection,
        *,
        access: Access | None = None,
        limits: Limits | None = None,
        cache: Path,
        uploads: Path | None = None,
    ) -> Service:
        """Returns the service of a collection.

        Args:
            collection: Opened.
            access: Whom it answers; by default this machine alone.
            limits: What it takes at most.
            cache: Folder of thumbnails that can be made anew.
            uploads: Folder that added photos are put in; by default one beside the collection, or here
                for a collection in a bucket.
        """
        limits = limits or Limits()
        folder = collection.path.parent if isinstance(collection.path, Path) else Path.cwd()
        kept = ThumbnailCache(cache, limits.max_cache_bytes)
        return cls(
            collection,
            access or Access(),
            limits,
            Library(collection.path, kept),
            Jobs(collection, limits.max_pixels),
            uploads or folder / f"{collection.path.stem}-uploads",
        )

    def start(self) -> None:
        """Loads the model and the descriptors, and begins to work on changes."""
        self.collection.warm()
        self.jobs.start()
        self.watches.start()
        self.is_ready = True

    def stop(self) -> None:
        """Ends all work; what was begun is finished."""
        self.is_ready = False
        self.stopping.set()
        self.watches.stop()
        self.jobs.stop()
        self.scans.stop()
        self._pool.shutdown()

    def follow(self, folder: Path) -> Job:
        """Follows the changes of a folder, and returns the job that adds its photos.

        Raises:
            InvalidInput: There is no such folder.
        """
        path = Path(canonical(typed_path(folder)))
        if not path.is_dir():
            raise InvalidInput(f"there is no folder {path} to be followed")
        self.watches.add(path)
        return self.jobs.add([path], str(path))

    async def run(self, work: Callable[P, Value], *args: P.args, **kwargs: P.kwargs) -> Value:
        """Returns what a function returns in one of the server's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args, **kwargs))

    async def version(self) -> int:
        """Returns the collection's version of at most half a second ago, larger after each change."""
        now = time.monotonic()
        if now - self._version[0] > _VERSION_SECONDS:
            # Others that ask meanwhile take the old one.
            self._version = (now, self._version[1])
            self._version = (now, await self.run(lambda: self.library.version))
        return self._version[1]

    @asynccontextmanager
    async def admitted(self, length: int | None) -> AsyncIterator[None]:
        """Holds a place for a request with photos.

        Args:
            length: Bytes of its body; None where the client does not say.

        Raises:
            Refusal: The server has too much to do.
        """
        limits = self.limits
        wanted = min(limits.max_bytes if length is None else length, limits.max_bytes)
        if self._held >= limits.max_waiting:
            raise Refusal.overloaded(f"{self._held} requests are being answered: try again in a second")
        if self._held and self._held_bytes + wanted > limits.max_held_bytes:
            raise Refusal.overloaded("the requests that are being answered fill the memory: try again")
        self._held += 1
        self._held_bytes += wanted
        self.metrics.held.set(self._held)
        try:
            yield
        finally:
            self._held -= 1
            self._held_bytes -= wanted
            self.metrics.held.set(self._held)

    def _count_scan(self, queries: int) -> None:
        self.metrics.scans.inc()
        self.metrics.scanned.inc(queries)

    def _follow(self, folder: Path) -> None:
        """Brings the collection up to date with a folder that has changed."""
        # Too many changes wait: the next one of this folder tries again.
        with suppress(Refusal):
            self.jobs.add([folder], str(folder), forget_missing=True)
