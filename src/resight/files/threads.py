"""Work in threads: a few pieces ahead of the reader, and in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from typing import TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it comes without types

from resight.errors import InvalidInput

__all__ = ["available_cpus", "in_threads"]

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

# Enough that no thread waits for the reader, little enough that decoded photos do not fill the memory.
_ITEMS_PER_THREAD = 4


def available_cpus() -> int:
    """Returns how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(
    work: Callable[[Item], Outcome],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    ahead: int | None = None,
    blas_threads: int | None = None,
) -> Generator[Outcome, None, None]:
    """Yields ``work(item)`` of each item, in order.

    Leaving the iteration early waits for the items under way and starts no more. Ctrl-C waits for none.

    Args:
        work: Called in threads. An error of it is raised at its item's turn.
        items: Consumed in the caller's thread, ``ahead`` items early.
        workers: Threads; by default the processors available.
        ahead: Items that are under way or done before their turn; by default four a thread.
        blas_threads: Threads of each matrix product meanwhile; by default as many as ever. With 1, one thread
            counts while the other multiplies, and none waits for another inside a product.

    Raises:
        InvalidInput: ``workers`` is not positive.
    """
    threads = available_cpus() if workers is None else workers
    if threads < 1:
        raise InvalidInput(f"workers must be at least 1, not {threads}")
    pool = ThreadPoolExecutor(threads, thread_name_prefix="resight")
    is_interrupted = False
    try:
        with nullcontext() if blas_threads is None else threadpool_limits(blas_threads, user_api="blas"):
            yield from _in_order(pool, work, items, ahead or _ITEMS_PER_THREAD * threads)
    except KeyboardInterrupt:
        is_interrupted = True
        raise
    finally:
        pool.shutdown(wait=not is_interrupted, cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Outcome], items: Iterable[Item], ahead: int
) -> Generator[Outcome, None, None]:
    source = iter(items)
    waiting = deque(pool.submit(work, item) for item in islice(source, ahead))
    while waiting:
        outcome = waiting.popleft().result()
        waiting.extend(pool.submit(work, item) for item in islice(source, 1))
        yield outcome
