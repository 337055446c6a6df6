"""Requests with photos: read within the limits, held in memory alone, and turned into values."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import final

from fastapi import Request
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from resight.files import did_you_mean
from resight.serving.refusals import Refusal
from resight.serving.settings import Limits

__all__ = ["Form", "Upload", "length_of", "read_form", "whole_number"]

_LONGEST_TEXT = 64 << 10
_MOST_FIELDS = 256
_DRAINED_SECONDS = 10.0
"""A client that sends too much reads the answer only when it has sent all of it."""

_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a request.

    Attributes:
        name: As the client calls it; any text.
        content: Its bytes.
    """

    name: str
    content: bytes


@final
@dataclass(frozen=True, slots=True)
class Form:
    """A request's files and texts by the name of their field."""

    files: Mapping[str, list[Upload]]
    texts: Mapping[str, list[str]]

    def text(self, name: str) -> str | None:
        """Returns the text of a field, None without one.

        Raises:
            Refusal: There are several.
        """
        held = self.texts.get(name, [])
        if len(held) > 1:
            raise Refusal(422, f"{name} is said {len(held)} times: say it once")
        return held[0] if held else None

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """Returns the whole number in a field.

        Raises:
            Refusal: It is none, or out of range.
        """
        text = self.text(name)
        return default if text is None else whole_number(name, text, least=least, most=most)

    def numbers(self, name: str, *, most: int) -> list[int]:
        """Returns the whole numbers in a field that may be repeated."""
        return [whole_number(name, text, least=0, most=most) for text in self.texts.get(name, [])]


def whole_number(name: str, text: str, *, least: int, most: int) -> int:
    """Returns the whole number that a text is.

    Raises:
        Refusal: It is none, or out of range.
    """
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise Refusal(422, f"{name} is a whole number from {least} to {most}, not {text[:40]!r}")
    return int(text)


def length_of(request: Request) -> int | None:
    """Returns how many bytes a request says that its body has; None where it does not say.

    Raises:
        Refusal: It says no number.
    """
    said = request.headers.get("content-length")
    return None if said is None else whole_number("content-length", said, least=0, most=10**18 - 1)


async def read_form(request: Request, limits: Limits, *, files: Iterable[str], texts: Iterable[str]) -> Form:
    """Returns the form of a request; its files stay in memory.

    Args:
        request: With a body of multipart/form-data.
        limits: On bytes, photos and time.
        files: Names of fields that hold files.
        texts: Names of fields that hold text.

    Raises:
        Refusal: The body is too large or too slow, no such form, or has a field of another name.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Refusal(415, "photos are sent as multipart/form-data, such as `curl -F photo=@query.jpg`")
    parser = _Parser(request.headers, _bounded(request, limits), limits)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(400, f"the form cannot be read: {error.message}") from None
    except ClientDisconnect:
        raise Refusal(400, "the request ended before its time") from None
    if not parser.is_whole:
        parser.close()
        raise Refusal(400, "the form cannot be read: it has no end")
    try:
        return await _sorted(form, files, texts)
    finally:
        await form.close()


async def _sorted(form: FormData, files: Iterable[str], texts: Iterable[str]) -> Form:
    """Returns the fields of a form by name.

    Raises:
        Refusal: There is a field of another name, or a file where a text belongs.
    """
    held = Form({name: [] for name in files}, {name: [] for name in texts})
    names = [*held.files, *held.texts]
    for name, value in form.multi_items():
        if name not in names:
            raise Refusal(422, f"there is no field {name[:40]!r}{did_you_mean(name, names)}")
        is_file = isinstance(value, UploadFile)
        if is_file != (name in held.files):
            raise Refusal(422, f"{name} is {'a text' if is_file else 'a file'}")
        if isinstance(value, UploadFile):
            held.files[name].append(Upload(value.filename or "", await value.read()))
        else:
            held.texts[name].append(value)
    return held


@final
class _Parser(MultiPartParser):
    """Holds files in memory: nothing of a request touches the disk."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], limits: Limits) -> None:
        super().__init__(
            headers,
            stream,
            max_files=limits.max_photos,
            max_fields=_MOST_FIELDS,
            max_part_size=_LONGEST_TEXT,
        )
        self.spool_max_size = limits.max_bytes + 1
        self.is_whole = False

    def on_end(self) -> None:
        """Notes that the last boundary has come."""
        self.is_whole = True

    def close(self) -> None:
        """Closes the files of parts that have no end, too."""
        for file in self._files_to_close_on_error:
            file.close()


async def _bounded(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """Yields the body of a request, as long as it keeps to the limits.

    Raises:
        Refusal: It does not.
    """
    stream, total = aiter(request.stream()), 0
    too_large = Refusal(413, f"the request is larger than {limits.max_bytes:,} bytes: send smaller photos")
    if (length_of(request) or 0) > limits.max_bytes:
        await _drain(stream)
        raise too_large
    while True:
        try:
            piece = await asyncio.wait_for(anext(stream), limits.body_seconds)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refusal(408, f"nothing came for {limits.body_seconds:g} s") from None
        total += len(piece)
        if total > limits.max_bytes:
            await _drain(stream)
            raise too_large
        yield piece


async def _drain(stream: AsyncIterator[bytes]) -> None:
    """Reads what is left of a body, and keeps nothing of it."""
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_DRAINED_SECONDS):
            async for _ in stream:
                pass
