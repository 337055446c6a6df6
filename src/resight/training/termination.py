"""SIGTERM, and of several processes Ctrl-C, put off until the run is on the disk."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, final

import torch
import torch.distributed as distributed

__all__ = ["Termination"]


@final
class Termination:
    """Notes signals that end a process while a block runs, in the main thread; `follow` lets them do it then.

    Of several processes each may be told at another step, or one alone: `agreed` asks all of them. They put
    off Ctrl-C as well, because what starts them (torchrun) sends it to each once more.
    """

    def __init__(self, *, processes: int) -> None:
        """Takes how many processes run together; all of them enter the block."""
        self._noted = 0
        self._processes = processes
        self._signals = (signal.SIGTERM,) if processes == 1 else (signal.SIGTERM, signal.SIGINT)
        self._before: dict[int, Any] = {}
        self._wakeup = -1
        self._group: distributed.ProcessGroup | None = None

    def __enter__(self) -> Termination:
        if self._processes > 1 and distributed.get_backend() != "gloo":
            # A question to a GPU would wait for all that it has to do.
            self._group = distributed.new_group(backend="gloo")
        if threading.current_thread() is threading.main_thread():
            # What the process was started to ignore, as in the background of a shell, it goes on to ignore.
            minded = [number for number in self._signals if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._note) for number in minded}
            if signal.SIGINT in self._signals:
                # The command line ends a process that does not end within a second of Ctrl-C.
                self._wakeup = signal.set_wakeup_fd(-1)
        return self

    def __exit__(self, *_: object) -> None:
        self._put_back()
        if self._group is not None:
            distributed.destroy_process_group(self._group)
        if self._noted:
            # It came after the last step: it is not lost.
            os.kill(os.getpid(), self._noted)

    def agreed(self) -> int:
        """Returns the signal that one of the processes was sent, the same number in all; 0 for none."""
        if self._processes == 1:
            return self._noted
        noted = torch.tensor([self._noted])
        distributed.all_reduce(noted, distributed.ReduceOp.MAX, group=self._group)
        return int(noted)

    def follow(self, number: int) -> None:
        """Sends a signal to this process, to whom it was meant for."""
        self._noted = 0
        self._put_back()
        os.kill(os.getpid(), number)

    def _put_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._before and signal.SIGINT in self._signals:
            signal.set_wakeup_fd(self._wakeup)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._noted = number
