"""Blocks of work in as many threads as there are processors, without those of the matrix library on top."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it comes without types

__all__ = ["in_threads"]

Block = TypeVar("Block")
Answer = TypeVar("Answer")


def in_threads(work: Callable[[Block], Answer], blocks: Iterable[Block]) -> Iterator[Answer]:
    """Yields what became of each block, in order.

    Each thread multiplies alone, so that one counts while the other multiplies, and no thread waits for
    another inside a product.
    """
    threads = os.cpu_count() or 1
    waiting: deque[Future[Answer]] = deque()
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        for block in blocks:
            waiting.append(pool.submit(work, block))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
