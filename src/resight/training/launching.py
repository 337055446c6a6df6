"""Processes that train together, started on each of some hosts, and all started again when one is lost."""

from __future__ import annotations

import fcntl
import re
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous.api import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from resight.errors import InvalidInput, ResightError
from resight.files import shown

__all__ = ["Launch", "ProcessesFailed", "interface_towards", "launch"]

_ADDRESS = re.compile(r"^(?P<host>[^:\s]+):(?P<port>\d{1,5})$")
_MOST_PROCESSES, _MOST_HOSTS, _MOST_RESTARTS = 1024, 65_536, 10_000
"""A slip of the finger would start processes until the machine stands still."""
_PATIENCE = 900
"""Seconds in which all hosts have to come."""
_ADDRESS_OF_INTERFACE = 0x8915
"""SIOCGIFADDR of Linux."""


class ProcessesFailed(ResightError):
    """A process ended with an error, which it has said itself."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Which processes are started.

    Attributes:
        processes: On this host, as on every other.
        hosts: How many hosts; the same command is given on each of them.
        meet: HOST:PORT of one of them, where they meet; not needed for one host.
        restarts: How often all processes are started again after one of them was lost.

    Raises:
        InvalidInput: Fewer than one process or host, restarts below 0, more than can be meant, or no
            address to meet at.
    """

    processes: int
    hosts: int = 1
    meet: str | None = None
    restarts: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("processes", 1, _MOST_PROCESSES),
            ("hosts", 1, _MOST_HOSTS),
            ("restarts", 0, _MOST_RESTARTS),
        ):
            value = getattr(self, name)
            if value < least:
                raise InvalidInput(f"{name} is {value}; accepted are {least} and more")
            if value > most:
                raise InvalidInput(f"{name} is {shown(value)}; accepted are {least} to {most:,}")
        if self.hosts > 1 and self.meet is None:
            raise InvalidInput(
                f"{self.hosts} hosts need an address where they meet: --meet HOST:PORT, the same on all, "
                "HOST being one of them"
            )
        if self.meet is not None and not _ADDRESS.match(self.meet):
            raise InvalidInput(f"{self.meet!r} is no address: give HOST:PORT, such as host1:29500")


def launch(command: Sequence[str], wanted: Launch) -> None:
    """Runs a command of this Python in several processes, which find each other by their environment.

    They are started and watched by torch.distributed's elastic agent, as by ``torchrun``.

    Args:
        command: Arguments of the interpreter.
        wanted: How many, where, and how often again.

    Raises:
        InvalidInput: The hosts did not meet.
        ProcessesFailed: A process ended with an error, and no restart was left.
        KeyboardInterrupt: It was interrupted.
    """
    here, rendezvous = "127.0.0.1", {}
    if wanted.meet is not None:
        here, _ = interface_towards(wanted.meet)
        # torch compares names of hosts, of which a machine has several; addresses of the way to it are sure.
        is_host = here == socket.gethostbyname(wanted.meet.partition(":")[0])
        rendezvous = {"is_host": is_host, "timeout": _PATIENCE, "read_timeout": _PATIENCE}
    settings = LaunchConfig(
        min_nodes=wanted.hosts,
        max_nodes=wanted.hosts,
        nproc_per_node=wanted.processes,
        run_id="resight",
        rdzv_backend="c10d",
        rdzv_endpoint=wanted.meet or "127.0.0.1:0",
        max_restarts=wanted.restarts,
        monitor_interval=0.5,
        local_addr=here,
        rdzv_configs=dict(rendezvous),
    )
    try:
        elastic_launch(settings, sys.executable)(*command)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise ProcessesFailed(
            f"process {rank} ended with exit code {failure.exitcode}: its message stands above"
        ) from None
    except RendezvousError as error:
        raise InvalidInput(
            f"the {wanted.hosts} hosts have not met at {wanted.meet} in {_PATIENCE // 60} minutes: is the "
            f"command given on all of them, and the port open? ({type(error).__name__})"
        ) from None
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + int(error.sigval)) from None


def interface_towards(meet: str) -> tuple[str, str]:
    """Returns this host's address on the way to another one, and the name of its interface, "" if unknown.

    Raises:
        InvalidInput: The other one's name is not known.
    """
    found = _ADDRESS.match(meet)
    if found is None:
        raise InvalidInput(f"{meet!r} is no address: give HOST:PORT, such as host1:29500")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the system looks up the way.
            probe.connect((found["host"], int(found["port"])))
        # A port or a name beyond what there can be is no OSError.
        except (OSError, OverflowError, UnicodeError) as error:
            raise InvalidInput(f"{meet} cannot be reached from here: {error}") from None
        address = str(probe.getsockname()[0])
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _ADDRESS_OF_INTERFACE, request)
            except OSError:
                # An interface without an address.
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return address, name
    return address, ""
