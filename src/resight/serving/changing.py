"""Adding, removing, undoing and watching, from a request to a job."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from fastapi.responses import Response, StreamingResponse
from pydantic import ConfigDict, Field

from resight.collection.scan import canonical
from resight.files import typed_path, write_whole
from resight.images.formats import ACCEPTED, HEAD, detect, what_else
from resight.serving import examples
from resight.serving.forms import Upload, length_of, read_form
from resight.serving.jobs import Removal
from resight.serving.library import LibraryPhoto
from resight.serving.refusals import Refusal
from resight.serving.searching import LARGEST_ID, PhotoId
from resight.serving.service import Service
from resight.serving.shapes import Detail, Job, Shape

__all__ = ["change_routes"]

_SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WebP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "PPM": ".ppm",
    "AVIF": ".avif",
    "HEIC": ".heic",
}
_EVENT_SECONDS = 0.2
_MOST_STREAMS = 64
_PING_SECONDS = 15.0
_REFUSED: dict[int | str, dict[str, object]] = {
    404: {"model": Detail, "description": "there is none"},
    409: {"model": Detail, "description": "not in this state"},
}


class FolderPath(Shape):
    """A folder of this machine."""

    model_config = ConfigDict(strict=True, extra="forbid")
    path: Annotated[str, Field(min_length=1, max_length=4096, examples=["~/Pictures"])]


class PhotoIds(Shape):
    """Photos of the collection."""

    model_config = ConfigDict(strict=True, extra="forbid")
    ids: Annotated[
        list[Annotated[int, Field(ge=0, le=LARGEST_ID)]],
        Field(min_length=1, max_length=10_000),
    ]


def change_routes(service: Service) -> APIRouter:
    """Returns the routes that change the collection."""
    routes = APIRouter(tags=["changes"], responses=_REFUSED)
    jobs, library = service.jobs, service.library

    @routes.post(
        "/photos",
        status_code=202,
        summary="Add photos: their files are kept in the server's folder of uploads",
        openapi_extra=examples.ADD_BODY,
        responses=examples.TOO_LARGE,
    )
    async def add(request: Request) -> Job:
        async with service.admitted(length_of(request)):
            form = await read_form(request, service.limits, files=["photo"], texts=[])
            if not form.files["photo"]:
                raise Refusal(422, "there is no photo to add: send one as `photo`")
            paths = await service.run(_keep, service.uploads, form.files["photo"])
            return jobs.add(paths, ", ".join(path.name for path in paths)[:200])

    @routes.post("/folders", status_code=202, summary="Add a folder of this machine (on loopback only)")
    async def add_folder(folder: FolderPath) -> Job:
        path = _folder(service, folder.path)
        return jobs.add([path], str(path))

    @routes.get("/watches", summary="Folders whose changes are followed")
    async def watches() -> list[str]:
        return service.watches.folders()

    @routes.post("/watches", status_code=202, summary="Add a folder and follow it (on loopback only)")
    async def watch(folder: FolderPath) -> Job:
        return await service.run(service.follow, _folder(service, folder.path))

    @routes.delete("/watches", status_code=204, summary="Follow a folder no longer")
    async def unwatch(path: Annotated[str, Parameter(min_length=1, max_length=4096)]) -> Response:
        if not service.watches.drop(path):
            raise Refusal(404, f"the folder {path[:200]} is not followed")
        return Response(status_code=204)

    async def removed(ids: Sequence[int]) -> Job:
        photos = await service.run(library.photos, ids)
        return jobs.remove(_removal(service, photos))

    @routes.post("/remove", status_code=202, summary="Take photos out of the collection; their files stay")
    async def remove(photos: PhotoIds) -> Job:
        return await removed(photos.ids)

    @routes.delete("/photos/{photo_id}", status_code=202, summary="Take a photo out; its file stays")
    async def remove_one(photo_id: PhotoId) -> Job:
        return await removed([photo_id])

    @routes.get("/jobs", summary="Changes since the start, the last first")
    async def all_jobs() -> list[Job]:
        return jobs.all()

    @routes.get("/jobs/{job_id}", summary="How far a change is")
    async def job(job_id: PhotoId) -> Job:
        return jobs.one(job_id)

    @routes.post("/jobs/{job_id}/undo", status_code=202, summary="Bring back what a removal took out")
    async def undo(job_id: PhotoId) -> Job:
        return jobs.undo(job_id)

    @routes.get(
        "/events",
        summary="Changes as they happen, as server-sent events named `jobs` and `collection`",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def events(request: Request) -> StreamingResponse:
        if service.streams >= _MOST_STREAMS:
            raise Refusal.overloaded(f"{_MOST_STREAMS} pages follow the events already")
        return StreamingResponse(_events(service, request), media_type="text/event-stream")

    return routes


def _folder(service: Service, text: str) -> Path:
    """Returns a folder that is named by path.

    Raises:
        Refusal: The server is not this machine's alone, or there is no such folder.
    """
    if not service.access.is_loopback:
        raise Refusal(403, "folders are named by path on the machine itself alone: send the photos")
    path = Path(canonical(typed_path(text)))
    if not os.path.isdir(path):  # noqa: PTH112 (Path raises where a name is too long)
        raise Refusal(422, f"there is no folder {str(path)[:200]}")
    return path


def _keep(folder: Path, uploads: Sequence[Upload]) -> list[Path]:
    """Writes uploaded photos into a folder, none where one is no photo, and returns their paths.

    A file is called as the client calls it, as far as that is a plain name, and by its bytes, so that a photo
    that is sent twice is kept once.

    Raises:
        Refusal: One is no photo.
    """
    named: list[tuple[Path, bytes]] = []
    for upload in uploads:
        kind = detect(upload.content[:HEAD])
        if kind is None:
            what = what_else(upload.content[:HEAD]) if upload.content else "empty"
            raise Refusal(422, f"{upload.name[:80]!r} is {what}; accepted are {ACCEPTED}")
        named.append((folder / _plain_name(upload, _SUFFIXES[kind]), upload.content))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, content in named:
        if not path.is_file():
            write_whole(path, content)
    return [path for path, _ in named]


def _plain_name(upload: Upload, suffix: str) -> str:
    last = upload.name.replace("\\", "/").rpartition("/")[2]
    stem = re.sub(r"[^\w-]+", "-", last.rpartition(".")[0]).strip("-_")[:60] or "photo"
    return f"{stem}-{blake2b(upload.content, digest_size=8).hexdigest()}{suffix}"


def _removal(service: Service, photos: Sequence[LibraryPhoto]) -> Removal:
    return Removal({photo.path: photo.metadata for photo in photos}, lambda: service.library.forget(photos))


async def _events(service: Service, request: Request) -> AsyncIterator[str]:
    """Yields an event whenever a job moves on or the collection changes, until the client or server goes."""
    revision, version, pinged = -1, -1, time.monotonic()
    service.streams += 1
    try:
        while not service.stopping.is_set() and not await request.is_disconnected():
            if service.jobs.revision != revision:
                revision = service.jobs.revision
                held = [job.model_dump() for job in service.jobs.all()[:20]]
                yield f"event: jobs\ndata: {json.dumps(held)}\n\n"
            if (now := await service.version()) != version:
                version = now
                yield f"event: collection\ndata: {json.dumps({'version': version})}\n\n"
            if time.monotonic() - pinged > _PING_SECONDS:
                pinged = time.monotonic()
                yield ": here\n\n"
            await asyncio.sleep(_EVENT_SECONDS)
    finally:
        service.streams -= 1
