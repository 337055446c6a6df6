"""Files of ``torch.save`` from elsewhere: plain values, and tensors about as large as what the file holds."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from resight.errors import InvalidInput
from resight.files.budget import check_unpacked, require_file, shown

__all__ = ["load_bounded"]

_MOST_CLAIMED = 2**30
"""Bytes of all tensors of a file that is smaller."""


def load_bounded(path: str | Path) -> object:
    """Returns what a file of ``torch.save`` holds, on the CPU; nothing of it is run.

    Raises:
        InvalidInput: It is no regular file, it unpacks to far more than it has, or its tensors claim far more
            numbers than are stored.
        Exception: Whatever else torch raises on a file that it does not read.
    """
    require_file(path)
    if zipfile.is_zipfile(path):
        # torch writes its archives unpacked, and reads packed ones all the same.
        with zipfile.ZipFile(path) as archive:
            check_unpacked(sum(each.file_size for each in archive.infolist()), Path(path).stat().st_size)
    content: object = torch.load(path, map_location="cpu", weights_only=True)
    claimed, most = 0, max(_MOST_CLAIMED, Path(path).stat().st_size)
    for tensor in _tensors(content):
        # Of one stored number a view makes any shape.
        claimed += tensor.numel() * tensor.element_size()
        if claimed > most:
            raise InvalidInput(f"a tensor of shape {shown(tuple(tensor.shape))} has fewer numbers stored")
    return content


def _tensors(content: object) -> Iterator[Tensor]:
    """Yields the tensors in mappings and lists within each other, each list once."""
    left, seen = [content], set()
    while left:
        value = left.pop()
        if isinstance(value, Tensor) and not value.is_sparse:
            yield value
        elif isinstance(value, dict | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            left += value.values() if isinstance(value, dict) else value
