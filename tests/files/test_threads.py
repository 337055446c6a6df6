"""Work in threads comes back in order, a few pieces ahead of its reader."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from resight.errors import InvalidInput
from resight.files import in_threads

INTERRUPTED = """
import signal, threading, time
from resight.files import in_threads
# A shell that runs the tests in the background has its jobs ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
main = threading.main_thread().ident
threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
start = time.monotonic()
try:
    list(in_threads(lambda seconds: time.sleep(seconds), [3.0] * 8, workers=2))
except KeyboardInterrupt:
    print(time.monotonic() - start)
"""


def test_outcomes_are_in_order():
    def work(number: int) -> int:
        time.sleep(0.01 * (5 - number % 5))
        return number * number

    assert list(in_threads(work, range(20), workers=4)) == [number**2 for number in range(20)]
    assert list(in_threads(work, [])) == []


def test_an_error_comes_at_its_turn_and_ends_the_work():
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    outcomes = in_threads(work, range(100), workers=2)
    assert [next(outcomes) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(outcomes)
    assert list(outcomes) == []


@pytest.mark.parametrize(("ahead", "drawn"), [(3, 4), (None, 9)])
def test_items_are_drawn_a_bounded_number_ahead(ahead, drawn):
    source = iter(range(100))
    outcomes = in_threads(lambda number: number, source, workers=2, ahead=ahead)
    assert next(outcomes) == 0
    assert next(source) == drawn
    outcomes.close()


def test_matrix_products_get_the_threads_they_are_given():
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))

    def blas(_: int) -> set[int]:
        pools = [pool for pool in threadpool_info() if "numpy" in pool["filepath"]]
        return {pool["num_threads"] for pool in pools}

    assert set.union(*in_threads(blas, range(4), workers=2, blas_threads=1)) == {1}


def test_leaving_early_leaves_no_thread():
    before = set(threading.enumerate())
    outcomes = in_threads(lambda _: time.sleep(0.05), range(100), workers=3)
    next(outcomes)
    assert set(threading.enumerate()) > before
    outcomes.close()
    assert set(threading.enumerate()) <= before


def test_no_workers_are_refused():
    with pytest.raises(InvalidInput, match="workers must be at least 1, not 0"):
        next(in_threads(str, [1], workers=0))


def test_an_interrupt_does_not_wait_for_the_work():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2.8
