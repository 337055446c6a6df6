"""Searches that wait share one scan, and each hears of its own failure alone."""

from __future__ import annotations

import asyncio
import threading

import pytest

from resight.errors import CollectionDamaged, InvalidInput
from resight.serving.scans import Scans


def ranked_by(rank):
    """What each of six searches got; the first is being scanned while the others come."""
    sizes: list[int] = []
    began, go_on = threading.Event(), threading.Event()

    def slowly(queries):
        began.set()
        assert go_on.wait(30)
        return rank(queries)

    async def all_of_them():
        scans = Scans(slowly, sizes.append, 64)
        first = asyncio.create_task(scans.rank("0"))
        await asyncio.to_thread(began.wait, 30)
        others = [asyncio.create_task(scans.rank(str(number))) for number in range(1, 6)]
        await asyncio.sleep(0.01)
        go_on.set()
        got = await asyncio.gather(first, *others, return_exceptions=True)
        # The next search begins a scan of its own.
        got.append(await asyncio.gather(scans.rank("6"), return_exceptions=True))
        scans.stop()
        return got

    return asyncio.run(all_of_them()), sizes


def test_one_scan_serves_all_that_wait():
    got, sizes = ranked_by(lambda queries: [query * 2 for query in queries])
    assert sizes == [1, 5, 1]
    assert got == ["00", "11", "22", "33", "44", "55", ["66"]]


def test_a_filter_that_cannot_be_used_is_told_to_its_search_alone():
    got, _ = ranked_by(lambda queries: [InvalidInput("no") if query == "3" else query for query in queries])
    assert [isinstance(each, InvalidInput) for each in got] == [
        False,
        False,
        False,
        True,
        False,
        False,
        False,
    ]


def test_a_scan_that_fails_fails_its_searches_and_no_others():
    def rank(queries):
        if len(queries) > 1:
            raise CollectionDamaged("gone")
        return queries

    got, sizes = ranked_by(rank)
    assert sizes == [1, 5, 1]
    assert [isinstance(each, CollectionDamaged) for each in got] == [False, *[True] * 5, False]


def test_a_search_that_is_given_up_holds_up_no_other():
    go_on = threading.Event()

    def rank(queries):
        assert go_on.wait(10)
        return queries

    async def given_up():
        scans = Scans(rank, lambda queries: None, 64)
        task = asyncio.create_task(scans.rank("0"))
        other = asyncio.create_task(scans.rank("1"))
        await asyncio.sleep(0.01)
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        got = await other
        scans.stop()
        return got

    assert asyncio.run(given_up()) == "1"
