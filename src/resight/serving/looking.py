"""Photos of the collection and the collection itself, as JSON and as pictures."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from fastapi.responses import Response, StreamingResponse

from resight import images
from resight.collection.groups import GroupKind
from resight.collection.own_files import TABLE_NAME
from resight.images.opening import ObjectStream
from resight.serving import examples
from resight.serving.answers import groups_shape
from resight.serving.forms import read_form
from resight.serving.library import LibraryPhoto, as_jpeg
from resight.serving.refusals import Refusal
from resight.serving.searching import PhotoId
from resight.serving.service import Service
from resight.serving.shapes import (
    Broken,
    CollectionShape,
    Folder,
    Groups,
    Job,
    MetadataShape,
    PhotoList,
    PhotoShape,
    Preview,
    Problems,
)

__all__ = ["collection_routes", "photo_routes"]

_PIECE = 1 << 18
_SHOWN_SIDE = 1024
_KEPT = "private, max-age=0, must-revalidate"
"""A browser asks whether a picture has changed, and is told 304 where it has not."""

_PICTURE: dict[int | str, dict[str, object]] = {
    200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "as it was"},
    **examples.NOT_HERE,
}


def photo_routes(service: Service) -> APIRouter:
    """Returns the routes of the photos."""
    routes = APIRouter(tags=["photos"])
    library = service.library

    @routes.get("/photos", summary="Photos by path")
    async def photos(
        offset: Annotated[int, Parameter(ge=0, le=2**31)] = 0,
        limit: Annotated[int, Parameter(ge=1, le=500)] = 100,
        where: Annotated[str | None, Parameter(max_length=10_000, description="SQL condition")] = None,
    ) -> PhotoList:
        listed, total = await service.run(library.listed, offset, limit, where or None)
        return PhotoList(photos=[_shape(photo) for photo in listed], total=total, offset=offset)

    @routes.post(
        "/preview",
        summary="A photo as a browser can show it; nothing is kept",
        openapi_extra=examples.PREVIEW_BODY,
        responses=examples.TOO_LARGE,
    )
    async def preview(request: Request) -> Preview:
        length = request.headers.get("content-length")
        async with service.admitted(None if length is None else int(length)):
            form = await read_form(request, service.limits, files=["photo"], texts=[])
            if len(form.files["photo"]) != 1:
                raise Refusal(422, "one photo is shown at a time: send one as `photo`")
            return await service.run(_preview, form.files["photo"][0].content, service.limits.max_pixels)

    @routes.get("/photos/{photo_id}/info", summary="What is known of a photo", responses=examples.NOT_HERE)
    async def info(photo_id: PhotoId) -> PhotoShape:
        (photo,) = await service.run(library.photos, [photo_id])
        return _shape(photo)

    @routes.get(
        "/photos/{photo_id}/thumbnail",
        summary="A photo as an upright JPEG, made once",
        response_class=Response,
        responses=_PICTURE,
    )
    async def thumbnail(
        photo_id: PhotoId,
        request: Request,
        side: Annotated[Literal["256", "512", "1024", "2048"], Parameter(description="long side")] = "512",
    ) -> Response:
        (photo,) = await service.run(library.photos, [photo_id])
        content, tag = await service.run(library.thumbnail, photo, int(side), service.limits.max_pixels)
        headers = {"etag": f'"{tag}"', "cache-control": _KEPT}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="image/jpeg", headers=headers)

    @routes.get(
        "/photos/{photo_id}",
        summary="The file of a photo as it is",
        response_class=Response,
        responses=_PICTURE,
    )
    async def original(photo_id: PhotoId, request: Request) -> Response:
        (photo,) = await service.run(library.photos, [photo_id])
        held = ExitStack()
        opened = await service.run(held.enter_context, library.original(photo))
        headers = {
            "etag": f'"{opened.tag}"',
            "cache-control": _KEPT,
            "content-length": str(opened.size),
            # A picture cannot do anything, but what is opened by itself is a page of this server.
            "content-security-policy": "default-src 'none'; sandbox",
        }
        if request.headers.get("if-none-match") == headers["etag"]:
            held.close()
            del headers["content-length"]
            return Response(status_code=304, headers=headers)
        return StreamingResponse(
            _pieces(opened.stream, opened.size, held), media_type=opened.type, headers=headers
        )

    return routes


def _preview(content: bytes, max_pixels: int) -> Preview:
    shown = images.read(content, max_side=_SHOWN_SIDE, max_pixels=max_pixels)
    picture = b64encode(as_jpeg(shown)).decode("ascii")
    return Preview(picture=f"data:image/jpeg;base64,{picture}", width=shown.width, height=shown.height)


def _pieces(stream: BufferedReader | ObjectStream, size: int, held: ExitStack) -> Iterator[bytes]:
    """Yields the first bytes of a file, as many as were promised."""
    with held:
        while size and (piece := stream.read(min(_PIECE, size))):
            size -= len(piece)
            yield piece


def collection_routes(service: Service) -> APIRouter:
    """Returns the routes of the collection as a whole."""
    routes = APIRouter(tags=["collection"])

    @routes.get("/collection", summary="The collection in numbers")
    async def collection() -> CollectionShape:
        return await service.run(_collection, service)

    @routes.get("/metadata", summary="What the photos hold under each name, for filters")
    async def metadata() -> list[MetadataShape]:
        return await service.run(service.library.metadata)

    @routes.get("/problems", summary="Files that are not searched, and why")
    async def problems() -> Problems:
        return await service.run(_problems, service)

    @routes.get("/groups", summary="Photos that belong together, as far as that has been computed")
    async def groups(of: Annotated[GroupKind, Parameter(description="how")] = "copies") -> Groups:
        return await service.run(groups_shape, service.collection, of)

    @routes.post("/groups", status_code=202, summary="Compute which photos belong together")
    async def compute() -> Job:
        return service.jobs.group()

    return routes


def _shape(photo: LibraryPhoto) -> PhotoShape:
    return PhotoShape(
        id=photo.id,
        path=photo.path,
        name=FilePath(photo.path).name,
        width=photo.width,
        height=photo.height,
        metadata=photo.metadata,
        missing=not photo.is_here,
    )


def _collection(service: Service) -> CollectionShape:
    info = service.collection.info()
    watched = set(service.watches.folders())
    return CollectionShape(
        path=info.path,
        photos=info.photos,
        broken=len(info.broken),
        model=info.model,
        dim=info.dim,
        verifies=service.collection.model.facts.local is not None,
        metadata=info.metadata,
        folders=[
            Folder(
                path=root.path,
                photos=root.photos,
                missing=root.missing,
                exists=root.exists,
                watched=root.path in watched,
            )
            for root in info.roots
        ],
        bytes_on_disk=info.bytes_on_disk,
        changed=_changed(FilePath(info.path)),
        version=info.version,
        calibrated=info.probability is not None,
        notes=service.library.notes(),
    )


def _changed(path: FilePath) -> str | None:
    """Returns when the collection was written last."""
    times = [each.stat().st_mtime for each in (path / TABLE_NAME / "_versions").glob("*.manifest")]
    return datetime.fromtimestamp(max(times), UTC).isoformat(timespec="seconds") if times else None


def _problems(service: Service) -> Problems:
    passed_over, left_out = service.jobs.not_taken()
    return Problems(
        broken=[Broken(path=each.path, reason=each.reason) for each in service.collection.info().broken],
        passed_over=passed_over,
        left_out=left_out,
        notes=service.library.notes(),
    )
