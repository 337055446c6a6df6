"""Calls to Milvus: who can be called, how often one tries, and what is said where nothing answers.

A call that fails as the server is away, or as somebody else has the file open, is repeated after .1, .2,
.4 ... up to 5 seconds, until the patience is at its end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, final

from resight.errors import InvalidInput, MissingExtra, SearchUnreachable

if TYPE_CHECKING:
    from pymilvus import MilvusClient

__all__ = ["CALL_SECONDS", "PATIENCE", "MilvusCalls", "first_line", "quiet", "require_milvus"]

_Result = TypeVar("_Result")
_LOG = logging.getLogger(__name__)
_UNHEARD = logging.NullHandler()
_ASKING: ContextVar[bool] = ContextVar("asking", default=False)

PATIENCE = 60.0
"""Seconds in which a server may come back."""
CALL_SECONDS = 20.0
_LONGEST_PAUSE = 5.0
_REFUSED = frozenset({100, 1100, 1101, 1102, 1700, 1701, 1702, 1800, 1801})
"""Codes of errors that waiting does not mend: unknown or wrong collections, fields and parameters."""


def require_milvus(address: str) -> None:
    """Refuses an address at which no Milvus can be, before anything is sent there.

    Raises:
        InvalidInput: It is neither ``http://host:port`` nor a file that ends in ``.db``.
        MissingExtra: pymilvus, or for a file milvus-lite, is not installed.
    """
    if "://" not in address and not address.endswith(".db"):
        raise InvalidInput(
            f"{address!r} is no address of Milvus: give http://HOST:PORT, or a file that ends in .db"
        )
    try:
        import pymilvus  # noqa: F401 (said here and not in the middle of a call)

        if "://" not in address:
            import milvus_lite  # noqa: F401

            # It logs a traceback of each error that it hands back, which nobody has asked to see.
            logging.getLogger("milvus_lite").addHandler(_UNHEARD)
    except ImportError:
        raise MissingExtra("milvus", "searching through Milvus") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps pymilvus from printing a traceback of each error that it raises."""
    # Its own handlers print whatever comes to them. A filter, as others may use it in other threads.
    for handler in logging.getLogger("pymilvus").handlers:
        handler.addFilter(_is_heard)
    asking = _ASKING.set(True)
    try:
        yield
    finally:
        _ASKING.reset(asking)


def _is_heard(_: logging.LogRecord) -> bool:
    return not _ASKING.get()


@final
class MilvusCalls:
    """Calls through one client, made anew after each error.

    Args:
        address: ``http://host:port``, or the path of a file that ends in ``.db``.
        patience: Seconds in which the server may come back.

    Raises:
        InvalidInput: The address is neither.
        MissingExtra: pymilvus, or for a file milvus-lite, is not installed.
    """

    def __init__(self, address: str, patience: float) -> None:
        require_milvus(address)
        self._address, self._patience = address, patience
        self._client: MilvusClient | None = None

    @property
    def is_file(self) -> bool:
        """Whether Milvus Lite runs in this process, and keeps its rows in a file."""
        return "://" not in self._address

    def __call__(self, call: Callable[[MilvusClient], _Result]) -> _Result:
        """Returns what a call gives.

        Raises:
            SearchUnreachable: The server stays away, or refuses the call.
        """
        from grpc import RpcError
        from pymilvus import MilvusException

        ends, pause = time.monotonic() + self._patience, 0.1
        while True:
            is_open = False
            try:
                with quiet():
                    client = self._connected()
                    is_open = True
                    return call(client)
            except (MilvusException, RpcError, OSError) as error:
                # pymilvus lets some of gRPC's errors through, such as a deadline that has passed.
                self._client = None
                # Whoever runs in this process stays as it is: on a full disk, or over a damaged file.
                refused = isinstance(error, MilvusException) and (
                    error.code in _REFUSED or (is_open and self.is_file)
                )
                if refused or time.monotonic() + pause > ends:
                    raise SearchUnreachable(self._sentence(error, refused=refused)) from None
                _LOG.info("Milvus at %s: %s; again in %.1f s", self._address, first_line(error), pause)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _connected(self) -> MilvusClient:
        if self._client is None:
            from pymilvus import MilvusClient

            if self.is_file:
                Path(self._address).parent.mkdir(parents=True, exist_ok=True)
            self._client = MilvusClient(uri=self._address, timeout=CALL_SECONDS)
        return self._client

    def _sentence(self, error: Exception, *, refused: bool) -> str:
        """Returns what is wrong, and what to do."""
        what, to_do, repair = "does not answer", "start the server", "run resight check --repair"
        if refused and self.is_file:
            what = "cannot be used"
            to_do = f"make room if its disk is full, or remove it if it is damaged, then {repair}"
        elif refused:
            what, to_do = "refuses", repair
        elif self.is_file:
            what, to_do = "cannot be opened", "end what else has it open"
        other = "or choose another by resight index --search-index exact"
        return f"the search index at {self._address} {what} ({first_line(error)}): {to_do}, {other}"


def first_line(error: Exception) -> str:
    """Returns the first line of an error, without the code and the trace of a server."""
    return str(getattr(error, "message", error)).strip().split("\n")[0][:150]
