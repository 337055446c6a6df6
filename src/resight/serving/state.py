"""Whether the server lives and can answer, and what it has done, for people and programs that watch it."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from resight._version import __version__
from resight.serving.refusals import Refusal
from resight.serving.service import Service
from resight.serving.shapes import Health, Ready, ServerShape

__all__ = ["state_routes"]


def state_routes(service: Service) -> APIRouter:
    """Returns the routes that tell of the server itself."""
    routes = APIRouter(tags=["server"])

    @routes.get("/health", summary="The server is alive")
    async def health() -> Health:
        return Health(version=__version__)

    @routes.get("/ready", summary="The server can answer searches")
    async def ready() -> Ready:
        if not service.is_ready:
            raise Refusal.overloaded("the model is being loaded")
        return Ready(ready=True, photos=await service.run(lambda: len(service.collection)))

    @routes.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/server", summary="Limits and permissions")
    async def server() -> ServerShape:
        return ServerShape(
            version=__version__,
            limits=asdict(service.limits),
            folders=service.access.is_loopback,
            token=service.access.token is not None,
        )

    return routes
