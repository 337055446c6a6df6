"""The server's process: bound, told of in one line, ended without losing what it took."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import final

import uvicorn

from resight.errors import InvalidInput
from resight.serving.app import create_app
from resight.serving.service import Service

__all__ = ["serve"]

_GRACE = 30
"""Seconds that requests have to end when the server is stopped."""

_IDLE = 30
"""Seconds that a connection without requests is kept."""

_MOST_CONNECTIONS = 512
"""Beyond, a connection is told 503: one that sends nothing takes a place for as long as it likes."""

_TICK = 0.05
_INTERRUPTED = 130


@final
class _Server(uvicorn.Server):
    """Ends by the signals as this program does, and not by raising them again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Yields at once: `serve` has set the handlers."""
        yield


def serve(service: Service, port: int, *, on_ready: Callable[[str], None]) -> None:
    """Serves until the process is asked to end (Ctrl-C, SIGTERM), or ``service.stopping`` is set.

    What was taken is finished; being asked a second time ends it at once.

    Args:
        service: What is served, and on which address.
        port: 0 takes a free one.
        on_ready: Called with the address of the page when searches are answered.

    Raises:
        InvalidInput: The address cannot be bound.
    """
    bound = _bound(service.access.host, port)
    host = service.access.host if ":" not in service.access.host else f"[{service.access.host}]"
    url = f"http://{host}:{bound.getsockname()[1]}/"
    config = uvicorn.Config(
        create_app(service),
        http="h11",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        # Who asks is not for a header to say.
        proxy_headers=False,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=32 << 10,
        limit_concurrency=_MOST_CONNECTIONS,
    )
    asyncio.run(_serve(_Server(config), bound, service, lambda: on_ready(url)))


async def _serve(
    server: _Server, bound: socket.socket, service: Service, on_ready: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if server.should_exit:
            # Whatever is being written is whole or not there, as after any other sudden end.
            os._exit(_INTERRUPTED)
        server.should_exit = True
        # Streams of events end now; connections are waited for.
        service.stopping.set()

    if threading.current_thread() is threading.main_thread() and sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    is_told = False
    while not serving.done():
        if server.started and not is_told:
            is_told = True
            on_ready()
        if service.stopping.is_set():
            server.should_exit = True
        await asyncio.wait([serving], timeout=_TICK)
    await serving


def _bound(host: str, port: int) -> socket.socket:
    bound = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        if sys.platform != "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # asyncio sets this for sockets that it makes itself. Without it the second piece of an answer waits
        # for the client to acknowledge the first, 40 milliseconds.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind(address)
    except OSError as error:
        if bound is not None:
            bound.close()
        raise InvalidInput(
            f"nothing can be served at {host}, port {port} ({error.strerror}): choose others (--port, --host)"
        ) from None
    return bound
