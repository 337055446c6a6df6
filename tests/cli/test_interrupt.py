"""Ctrl-C ends the process at any moment, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows delivers Ctrl-C to whole process groups")

STOPPED = "resight: stopped: what was committed stays, and the same command can be run again\n"
# Minutes in native code, which does not look for signals.
NATIVE = "import hashlib; print('ready', flush=True); hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2**31 - 1)"


@pytest.fixture
def started():
    """Starts Python code as a terminal would; yields a function."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    processes = []

    def start(code: str) -> subprocess.Popen:
        command = [sys.executable, "-c", code]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    signal.signal(signal.SIGINT, before)
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("presses", [1, 2])
def test_native_code_is_not_waited_for(started, presses):
    process = started(f"from resight.__main__ import _watch; _watch(); {NATIVE}")
    assert process.stdout.readline() == "ready\n"
    # Until the native code has begun; before that the interpreter itself would hear of it.
    time.sleep(1.0)
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, STOPPED)


def test_while_importing(started):
    # What is imported first stands for all that is.
    process = started(
        "import sys, types; fake = sys.modules['resight.cli.app'] = types.ModuleType('app')\n"
        "def wait(name):\n"
        "    import time; print('ready', flush=True); time.sleep(600)\n"
        "fake.__getattr__ = wait\n"
        "from resight.__main__ import run; run()"
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, STOPPED)
