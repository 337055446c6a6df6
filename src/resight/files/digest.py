"""What stands for the bytes of files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from resight.errors import InvalidInput

__all__ = ["sha256_of"]


def sha256_of(paths: Sequence[Path]) -> str:
    """Returns the SHA-256 of a file's bytes; of several files, that of their names and their SHA-256.

    Returns:
        64 hexadecimal digits; of one file those of ``sha256sum``.

    Raises:
        InvalidInput: A file cannot be read.
    """
    digests = []
    for path in paths:
        try:
            with path.open("rb") as stream:
                digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
        except OSError as error:
            raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from None
    if len(digests) == 1:
        return digests[0]
    lines = (f"{path.name}\t{digest}\n" for path, digest in zip(paths, digests, strict=True))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
