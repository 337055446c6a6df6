"""The file of an exact index: ids and descriptors as safetensors, a checksum, the model's fingerprint."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Int64

from resight.errors import CollectionDamaged, CollectionNotFound, ModelMismatch, StorageFailed
from resight.files import reading, whole_file

FORMAT, VERSION = "resight-exact-index", "1"


def write_index(
    path: Path, ids: Int64[np.ndarray, " n"], halves: Float16[np.ndarray, "n dim"], *, fingerprint: str
) -> None:
    """Writes a file, whole or not at all.

    Raises:
        StorageFailed: The disk refuses.
    """
    header = {
        "__metadata__": {
            "format": FORMAT,
            "version": VERSION,
            "fingerprint": fingerprint,
            "crc32": str(_checksum(ids, halves)),
        },
        "ids": {"dtype": "I64", "shape": list(ids.shape), "data_offsets": [0, ids.nbytes]},
        "descriptors": {
            "dtype": "F16",
            "shape": list(halves.shape),
            "data_offsets": [ids.nbytes, ids.nbytes + halves.nbytes],
        },
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    try:
        with whole_file(path, device=False) as stream:
            stream.write(len(text).to_bytes(8, "little") + text)
            # Written by hand because the safetensors package would hold a second copy of everything.
            stream.write(ids.data)
            stream.write(halves.data)
    except OSError as error:
        raise StorageFailed(f"cannot write the index {path}: {error.strerror or error}") from error


def read_index(
    path: Path, *, fingerprint: str | None
) -> tuple[Int64[np.ndarray, " n"], Float16[np.ndarray, "n dim"], str]:
    """Returns ids, descriptors, and the fingerprint of the model that made them.

    Args:
        path: The file.
        fingerprint: Of the model whose queries will come; another file is refused.

    Raises:
        CollectionNotFound: There is no such file.
        CollectionDamaged: The file is damaged, or something else.
        ModelMismatch: Another model made the descriptors.
    """
    from safetensors import safe_open

    if not path.is_file():
        raise CollectionNotFound(f"there is no index at {path}")
    sentence = f"{path} is no index of Resight or a damaged one"
    with (
        reading(path, sentence, refusal=CollectionDamaged, advice="build the index again"),
        safe_open(path, framework="numpy") as stream,
    ):
        metadata = stream.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise CollectionDamaged(f"{path} is no index of Resight; build the index again")
        if metadata.get("version") != VERSION:
            raise CollectionDamaged(
                f"the index {path} has format version {metadata.get('version')}, "
                f"this Resight reads {VERSION}; update Resight or build the index again"
            )
        ids, halves = stream.get_tensor("ids"), stream.get_tensor("descriptors")
    if metadata.get("crc32") != str(_checksum(ids, halves)) or halves.ndim != 2:
        raise CollectionDamaged(f"the index {path} is damaged (wrong checksum); build the index again")
    made_by = metadata.get("fingerprint", "")
    if fingerprint is not None and made_by != fingerprint:
        raise ModelMismatch(
            f"the index {path} was made by the model {made_by[:16]}, the queries by {fingerprint[:16]}; "
            "search with the model that made the index, or build the index again"
        )
    return ids, halves, made_by


def _checksum(ids: np.ndarray, halves: np.ndarray) -> int:
    return zlib.crc32(halves.data, zlib.crc32(ids.data)) if ids.size and halves.size else 0
