"""Searches, matches of two photos and labels, from a request to its answer."""

from __future__ import annotations

from typing import Annotated, Final, Literal, cast, get_args

import numpy as np
from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as Parameter

from resight.collection import Answer, Query, RefineMethod
from resight.collection.describing import Described
from resight.collection.searching import Ranked
from resight.features import Box
from resight.serving import examples
from resight.serving.answers import label_shape, matches_shape, search_shape
from resight.serving.forms import Form, length_of, read_form, whole_number
from resight.serving.refusals import Refusal
from resight.serving.service import Service
from resight.serving.settings import Limits
from resight.serving.shapes import Label, Matches, SearchAnswer

__all__ = ["LARGEST_ID", "PhotoId", "search_routes"]

LARGEST_ID: Final = 2**53 - 1
"""Largest whole number that every reader of JSON knows exactly."""

PhotoId = Annotated[int, Path(ge=0, le=LARGEST_ID)]

_TOP = 10
_MOST_EXPANDED = 100
_SEARCH_FILES = ("photo", "without")
_SEARCH_TEXTS = ("id", "without_id", "box", "top", "offset", "verify", "where", "expand", "refine")


def search_routes(service: Service) -> APIRouter:
    """Returns the routes that look for what a photo shows."""
    routes = APIRouter(tags=["search"])
    limits, searcher = service.limits, service.collection.searcher

    @routes.post(
        "/search",
        response_model=SearchAnswer,
        summary="Photos that show the same thing, best first",
        openapi_extra=examples.SEARCH_BODY,
        responses=examples.TOO_LARGE,
    )
    async def search(request: Request) -> Response:
        async with service.admitted(length_of(request)):
            form = await read_form(request, limits, files=_SEARCH_FILES, texts=_SEARCH_TEXTS)
            offset = form.number("offset", 0, least=0, most=limits.max_top - 1)
            described, ids = await service.run(described_form, form, offset)
            ranked = await service.scans.rank(described)
            return await service.run(answered, ranked, ids, offset)

    # Few hops between threads: each waits for a processor.
    def described_form(form: Form, offset: int) -> tuple[Described, list[int | None]]:
        query, ids = _query(service, form, offset)
        return searcher.describe(query, remembered=service.seen), ids

    def answered(ranked: Ranked, ids: list[int | None], offset: int) -> Response:
        answer = searcher.answer(ranked)
        # One hit more than is shown tells whether there are more.
        top = ranked.described.query.top - 1 - offset
        shape = search_shape(answer, ids, offset=offset, top=top, most=limits.max_top)
        headers = {"Server-Timing": _timing(answer)}
        return Response(shape.model_dump_json(), media_type="application/json", headers=headers)

    async def matched(query: Query, query_id: int | None, answer_id: int) -> Matches:
        (photo,) = await service.run(service.library.photos, [answer_id])
        described = await service.run(searcher.describe, query, remembered=service.seen)
        ranked = await service.run(searcher.rank_these, described, np.array([photo.id], dtype=np.int64))
        answer = await service.run(searcher.answer, ranked)
        if not answer.hits:
            raise Refusal(404, f"the collection has no photo {answer_id}: it may have been removed")
        return matches_shape(answer, query_id)

    @routes.get("/matches", summary="Where two photos of the collection agree", responses=examples.NOT_HERE)
    async def matches(
        query: Annotated[int, Parameter(ge=0, le=LARGEST_ID, description="number of the query photo")],
        answer: Annotated[int, Parameter(ge=0, le=LARGEST_ID, description="number of the answer")],
        box: Annotated[str | None, Parameter(description="X0,Y0,X1,Y1 in the query photo, pixels")] = None,
    ) -> Matches:
        async with service.admitted(0):
            content = await service.run(_contents, service, [query])
            asked = Query(content, box=_box(box), top=1, verify=1, max_pixels=limits.max_pixels)
            return await matched(asked, query, answer)

    @routes.post(
        "/matches",
        summary="Where an uploaded photo and one of the collection agree",
        openapi_extra=examples.MATCHES_BODY,
        responses=examples.TOO_LARGE,
    )
    async def matches_of_upload(request: Request) -> Matches:
        async with service.admitted(length_of(request)):
            form = await read_form(request, limits, files=["photo"], texts=["answer", "box"])
            number = form.text("answer")
            if len(form.files["photo"]) != 1 or number is None:
                raise Refusal(422, "matches need one photo and the number of an answer")
            asked = Query(
                form.files["photo"][0].content,
                box=_box(form.text("box")),
                top=1,
                verify=1,
                max_pixels=limits.max_pixels,
            )
            return await matched(asked, None, whole_number("answer", number, least=0, most=LARGEST_ID))

    @routes.post(
        "/classify",
        summary="Which labelled thing a photo shows",
        openapi_extra=examples.CLASSIFY_BODY,
        responses=examples.TOO_LARGE,
    )
    async def classify(request: Request) -> Label:
        async with service.admitted(length_of(request)):
            form = await read_form(request, limits, files=["photo"], texts=["id", "label"])
            contents = [upload.content for upload in form.files["photo"]]
            contents += await service.run(_contents, service, form.numbers("id", most=LARGEST_ID))
            if len(contents) != 1:
                raise Refusal(422, f"one photo is classified at a time, not {len(contents)}")
            label = form.text("label") or None
            return await service.run(label_shape, service.collection, contents[0], label, limits.max_pixels)

    return routes


def _query(service: Service, form: Form, offset: int) -> tuple[Query, list[int | None]]:
    """Returns the query of a form, one answer deeper than it is shown, and the numbers of its photos."""
    limits = service.limits
    top = form.number("top", _TOP, least=1, most=limits.max_top)
    if offset + top > limits.max_top:
        raise Refusal(422, f"offset and top are {limits.max_top} at most together, not {offset + top}")
    uploads, unwanted = ([each.content for each in form.files[name]] for name in _SEARCH_FILES)
    wanted_ids, unwanted_ids = (form.numbers(name, most=LARGEST_ID) for name in ("id", "without_id"))
    count = len(uploads) + len(unwanted) + len(wanted_ids) + len(unwanted_ids)
    if count > limits.max_photos:
        raise Refusal(422, f"a search takes {limits.max_photos} photos at most, not {count}")
    if not uploads and not wanted_ids:
        raise Refusal(422, "a search needs a photo: send one as `photo`, or the number of one as `id`")
    refine = form.text("refine") or None
    if refine is not None and refine not in get_args(RefineMethod):
        raise Refusal(422, f"refine is one of {', '.join(get_args(RefineMethod))}, not {refine[:40]!r}")
    query = Query(
        [*uploads, *_contents(service, wanted_ids)],
        without=[*unwanted, *_contents(service, unwanted_ids)],
        box=_box(form.text("box")),
        where=form.text("where") or None,
        expand=form.number("expand", 0, least=0, most=_MOST_EXPANDED),
        refine=cast("RefineMethod | None", refine),
        verify=_verify(form.text("verify"), limits),
        top=offset + top + 1,
        max_pixels=limits.max_pixels,
    )
    ids = [*[None] * len(uploads), *wanted_ids, *[None] * len(unwanted), *unwanted_ids]
    return query, ids


def _contents(service: Service, ids: list[int]) -> list[bytes]:
    """Returns the files of photos of the collection.

    Raises:
        Refusal: One is not there, may not be shown, or is too large.
    """
    contents = []
    for photo in service.library.photos(ids):
        with service.library.original(photo) as original:
            if original.size > service.limits.max_held_bytes:
                raise Refusal(413, f"the file of photo {photo.id} is too large to be a query")
            contents.append(original.stream.read())
    return contents


def _box(text: str | None) -> Box | None:
    return Box.parse(text) if text else None


def _verify(text: str | None, limits: Limits) -> int | Literal["auto"]:
    if text is None or text in ("", "auto", "true"):
        return "auto"
    return 0 if text == "false" else whole_number("verify", text, least=0, most=limits.max_verify)


def _timing(answer: Answer) -> str:
    """Returns where the time went, as browsers show it (Server-Timing), milliseconds."""
    spent = answer.seconds
    parts = {
        "describe": spent.describe,
        "load": spent.load,
        "search": spent.search,
        "verify": spent.verify,
    }
    return ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in parts.items())
