"""Which status and which sentence a request gets that is not answered."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from resight.errors import (
    CollectionError,
    CollectionLocked,
    InvalidInput,
    ModelError,
    ResightError,
    StorageFailed,
    UnreadableImage,
)

__all__ = ["Refusal", "answer_refusals", "refusal_of"]

RETRY_SECONDS = 1
"""When a server that has too much to do is asked again."""


class Refusal(Exception):
    """A request that is not answered.

    Attributes:
        status: Of HTTP.
        sentence: What is wrong and what to do.
        headers: Of the response.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.headers = dict(headers or {})

    @classmethod
    def overloaded(cls, sentence: str) -> Refusal:
        """Returns the refusal of a server that has too much to do."""
        return cls(503, sentence, {"Retry-After": str(RETRY_SECONDS)})

    def response(self) -> JSONResponse:
        """Returns it as a response."""
        return JSONResponse({"detail": self.sentence}, self.status, self.headers)


def refusal_of(error: Exception) -> Refusal:
    """Returns the refusal for an error of ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, InvalidInput | UnreadableImage):
        return Refusal(422, str(error))
    if isinstance(error, CollectionLocked):
        return Refusal.overloaded(str(error))
    if isinstance(error, StorageFailed):
        return Refusal(507, str(error))
    if isinstance(error, CollectionError | ModelError):
        return Refusal(503, str(error))
    return Refusal(500, str(error) if isinstance(error, ResightError) else "something went wrong here")


def answer_refusals(app: FastAPI) -> None:
    """Makes an application answer errors with ``{"detail": SENTENCE}``."""

    async def ours(request: Request, error: Exception) -> JSONResponse:
        del request
        return refusal_of(error).response()

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        del request
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        return Refusal(422, "; ".join(map(_sentence, problems))).response()

    async def http(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            return refusal_of(error).response()
        sentence = error.detail
        if error.status_code == 400:
            # Of bytes that are no text; text that is no JSON is `invalid`, which has this status, too.
            return Refusal(422, "the request: its body is no JSON in UTF-8").response()
        if error.status_code == 404:
            sentence = f"there is nothing at {request.url.path[:200]}"
        elif error.status_code == 405:
            sentence = f"{request.url.path[:200]} takes no {request.method[:20]}"
        return Refusal(error.status_code, sentence, error.headers).response()

    for kind in (Refusal, ResightError, Exception):
        app.add_exception_handler(kind, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _sentence(problem: Mapping[str, object]) -> str:
    """Returns what pydantic says of one value as a sentence."""
    place = problem.get("loc")
    name = ".".join(str(part) for part in place[1:]) if isinstance(place, tuple | list) else ""
    words = str(problem.get("msg", "it cannot be right"))
    return f"{name or 'the request'}: {words[0].lower()}{words[1:]}"
