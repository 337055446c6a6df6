"""Opens a file only where it lies below one of some folders, whatever links and dots its path holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import PurePath

from resight.files import is_address, is_below
from resight.images.opening import ObjectStream, open_file, open_photo

__all__ = ["NotBelow", "open_below"]


class NotBelow(Exception):
    """A file that lies below none of the folders, or is no file."""


@contextmanager
def open_below(folders: Iterable[str], path: str) -> Iterator[BufferedReader | ObjectStream]:
    """Opens a regular file, or an object below an address, for the time of the block.

    The path is resolved once and then walked from the folder down without following a link, so that nothing
    can be put in its way in between.

    Raises:
        NotBelow: Where its links lead, it lies below none of the folders, or it is no regular file.
        OSError: The system refuses it.
    """
    if is_address(path):
        if not any(is_below(path, folder) for folder in folders):
            raise NotBelow(path)
        with open_photo(path) as stream:
            yield stream
        return
    real = PurePath(os.path.realpath(path))
    bases = [PurePath(os.path.realpath(folder)) for folder in folders]
    base = next((base for base in bases if real != base and real.is_relative_to(base)), None)
    if base is None:
        raise NotBelow(path)
    with ExitStack() as held:
        yield held.enter_context(_walked(base, real.relative_to(base).parts, held))


def _walked(base: PurePath, parts: tuple[str, ...], held: ExitStack) -> BufferedReader:
    if os.open not in os.supports_dir_fd:
        # Windows: the path was resolved just now.
        return open_file(str(base.joinpath(*parts)))
    descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    held.callback(os.close, descriptor)
    for part in parts[:-1]:
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
        held.callback(os.close, descriptor)
    # A pipe is not waited for.
    file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise NotBelow(parts[-1])
    return os.fdopen(file, "rb")
