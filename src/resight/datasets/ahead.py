"""Work on many files in threads, a few ahead of the reader and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from resight.errors import InvalidInput
from resight.models.extract import available_cpus

__all__ = ["ahead"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Enough that no thread waits for the reader, little enough that decoded photos do not fill the memory.
_JOBS_PER_THREAD = 4


def ahead(
    work: Callable[[Item], Answer], items: Iterable[Item], *, workers: int | None = None
) -> Generator[Answer, None, None]:
    """Yields ``work(item)`` of each item in order; at most four items a thread are under way or waiting.

    Args:
        work: Called in threads; what it raises is raised here, at its item's turn.
        items: Consumed a few ahead.
        workers: Threads; by default the processors available.

    Raises:
        InvalidInput: ``workers`` is not positive.
    """
    threads = available_cpus() if workers is None else workers
    if threads < 1:
        raise InvalidInput(f"workers must be at least 1, not {threads}")
    source = iter(items)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="resight-read")
    try:
        waiting: deque[Future[Answer]] = deque(
            pool.submit(work, item) for item in islice(source, _JOBS_PER_THREAD * threads)
        )
        while waiting:
            answer = waiting.popleft().result()
            waiting.extend(pool.submit(work, item) for item in islice(source, 1))
            yield answer
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
