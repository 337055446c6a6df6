"""One scan of the collection for all searches that wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import final

from resight.collection.describing import Described
from resight.collection.searching import Ranked
from resight.errors import InvalidInput

__all__ = ["Scans"]


@final
class Scans:
    """Gathers described queries while a scan runs; the next scan takes all of them.

    Args:
        rank: Scans for several queries at once.
        on_scan: Called with the number of queries of each scan.
        most: Queries of one scan at most: what it takes in memory grows with them.
    """

    def __init__(
        self,
        rank: Callable[[Sequence[Described]], list[Ranked | InvalidInput]],
        on_scan: Callable[[int], None],
        most: int,
    ) -> None:
        self._rank = rank
        self._on_scan = on_scan
        self._most = most
        self._waiting: list[tuple[Described, asyncio.Future[Ranked]]] = []
        self._scanning: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="resight-scan")

    async def rank(self, described: Described) -> Ranked:
        """Returns a query with its nearest photos.

        Raises:
            InvalidInput: Its filter cannot be used.
            CollectionError: The collection cannot be read.
        """
        future: asyncio.Future[Ranked] = asyncio.get_running_loop().create_future()
        self._waiting.append((described, future))
        if self._scanning is None:
            self._scanning = asyncio.create_task(self._scan())
        return await future

    def stop(self) -> None:
        """Ends after the scan that runs."""
        self._thread.shutdown()

    async def _scan(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                self._on_scan(len(batch))
                try:
                    ranked: Sequence[Ranked | Exception] = await loop.run_in_executor(
                        self._thread, self._rank, [described for described, _ in batch]
                    )
                except Exception as error:  # Whatever it is, nobody may wait for ever.
                    ranked = [error] * len(batch)
                for (_, future), outcome in zip(batch, ranked, strict=True):
                    if future.done():
                        continue
                    if isinstance(outcome, Exception):
                        future.set_exception(outcome)
                    else:
                        future.set_result(outcome)
        finally:
            self._scanning = None
