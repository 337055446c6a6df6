"""What a server takes at most, and whom it answers: each setting once, with its meaning."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, get_type_hints

from resight.errors import InvalidInput
from resight.files import available_cpus
from resight.files.budget import read_within
from resight.settings.marks import Meaning

__all__ = ["Access", "Limits", "read_token"]

_MEBIBYTE = 1 << 20
_MOST_TOKEN = 2**16

SHORT_TOKEN = 16
"""A token of fewer characters may be guessed."""

_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes at most. What is beyond is refused with a status and a sentence.

    Raises:
        InvalidInput: A limit is below its least value.
    """

    max_bytes: Annotated[int, Meaning("Most bytes of one request, all its photos together.", 1)] = (
        64 * _MEBIBYTE
    )
    max_held_bytes: Annotated[int, Meaning("Most bytes of all requests that are held at once.", 1)] = (
        512 * _MEBIBYTE
    )
    max_pixels: Annotated[int, Meaning("Most pixels of a photo that is decoded.", 1)] = 100_000_000
    max_photos: Annotated[int, Meaning("Most photos of one request.", 1)] = 32
    max_top: Annotated[int, Meaning("Most answers of a search, those before its offset included.", 1)] = 1000
    max_verify: Annotated[int, Meaning("Most answers of a search that geometry checks.", 0)] = 200
    max_waiting: Annotated[int, Meaning("Most searches that are held at once.", 1)] = 64
    max_batch: Annotated[int, Meaning("Most searches that share one scan of the collection.", 1)] = 15
    max_remembered: Annotated[
        int,
        Meaning("Most query photos that are remembered as the model sees them, about a megabyte each.", 0),
    ] = 64
    threads: Annotated[int, Meaning("Threads that describe, verify and draw photos.", 1)] = available_cpus()
    body_seconds: Annotated[float, Meaning("Most seconds between two pieces of a request.", 0.1)] = 30.0
    max_cache_bytes: Annotated[int, Meaning("Most bytes of thumbnails that are kept on the disk.", 0)] = (
        1024 * _MEBIBYTE
    )

    def __post_init__(self) -> None:
        hints = get_type_hints(Limits, include_extras=True)
        for field in fields(self):
            meaning: Meaning = hints[field.name].__metadata__[0]
            value = getattr(self, field.name)
            if not value >= meaning.least:
                raise InvalidInput(f"{field.name} must be at least {meaning.least:g}, not {value}")

    def lines(self) -> list[str]:
        """Returns each limit as ``name=value``."""
        return [f"{field.name}={getattr(self, field.name)}" for field in fields(self)]


@dataclass(frozen=True, slots=True)
class Access:
    """Whom a server answers.

    Attributes:
        host: The address it is bound to.
        token: Bearer token that every request must carry; None for none.
        names: Names by which it may be called, beside those of the address itself.

    Raises:
        InvalidInput: The address is not a loopback one and there is no token, or the token cannot be used.
    """

    host: str = "127.0.0.1"
    token: str | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is None and not self.is_loopback:
            raise InvalidInput(
                f"whoever reaches {self.host} could see and change the photos: name a file that holds a "
                f"secret word, such as `openssl rand -hex 32` writes (--token-file), or serve on 127.0.0.1"
            )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise InvalidInput(
                "a token is one word of letters, digits and signs, such as `openssl rand -hex 32` writes"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine reaches the address."""
        try:
            found = socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return False
        return bool(found) and all(ipaddress.ip_address(str(each[4][0])).is_loopback for each in found)


def read_token(path: Path) -> tuple[str, list[str]]:
    """Returns the token in a file, without the white space around it, and what is unsafe about it.

    Raises:
        InvalidInput: The file cannot be read.
    """
    try:
        is_open = bool(path.stat().st_mode & 0o077)
        token = read_within(path, _MOST_TOKEN).decode("utf-8").strip()
    except (InvalidInput, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the token file {path} cannot be read: {error}") from None
    notes = []
    if is_open:
        notes.append(f"other users may read the token file {path}: `chmod 600 {path}` keeps it from them")
    if len(token) < SHORT_TOKEN:
        notes.append(f"the token has {len(token)} characters and may be guessed: take {SHORT_TOKEN} or more")
    return token, notes
