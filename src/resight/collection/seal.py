"""Which folders were named on this machine: others may be the reader's, named by a foreign collection."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from pathlib import Path

__all__ = ["seal_of"]

_MACHINE_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")


def seal_of(folder: str, identity: str) -> str:
    """Returns what only this machine can say of a folder of a collection, 32 hexadecimal digits.

    BLAKE2b with the machine's identity as its key, which a collection from elsewhere cannot know.

    Args:
        folder: The folder, absolute.
        identity: Of the collection.
    """
    text = os.fsencode(folder) + b"\0" + identity.encode()
    return hashlib.blake2b(text, digest_size=16, key=_machine()[:64]).hexdigest()


def _machine() -> bytes:
    for path in _MACHINE_FILES:
        with suppress(OSError):
            text = Path(path).read_bytes().strip()
            if text:
                return text
    return f"{uuid.getnode():012x}".encode()
