"""The application: its routes under ``/api/v1``, the page at ``/``, the guard before both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles

from resight._version import __version__
from resight.serving.changing import change_routes
from resight.serving.guard import API, Guard
from resight.serving.looking import collection_routes, photo_routes
from resight.serving.metrics import Counted
from resight.serving.refusals import answer_refusals
from resight.serving.searching import search_routes
from resight.serving.service import Service
from resight.serving.session import session_routes
from resight.serving.shapes import Detail
from resight.serving.state import state_routes

__all__ = ["PAGE", "create_app"]

PAGE: Final = Path(__file__).parent / "page"
"""Files of the page, served as they are."""

_DESCRIPTION = (
    "Finds the same building, painting, product or place again in the photos of one collection. "
    'Positions and boxes are pixels of the whole upright photo. An error is `{"detail": SENTENCE}`.'
)


def create_app(service: Service) -> FastAPI:
    """Returns the application of a service; it starts and stops the service with itself."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        await service.run(service.start)
        yield
        service.stop()

    app = FastAPI(
        title="Resight",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        openapi_url=f"{API}/openapi.json",
        # Both pages load scripts from another host.
        docs_url=None,
        redoc_url=None,
    )
    refused: dict[int | str, dict[str, object]] = {
        status: {"model": Detail, "description": words}
        for status, words in (
            (401, "no token, or another"),
            (403, "called by a foreign name, or from a foreign page"),
            (422, "a value that cannot be right"),
            (503, "too much to do: try again after Retry-After"),
        )
    }
    api = APIRouter(prefix=API, responses=refused)
    for routes in (
        state_routes,
        search_routes,
        photo_routes,
        collection_routes,
        change_routes,
        session_routes,
    ):
        api.include_router(routes(service))
    app.include_router(api)
    answer_refusals(app)
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    # The last is the first that a request meets.
    app.add_middleware(Counted, metrics=service.metrics)
    app.add_middleware(Guard, access=service.access)
    return app
