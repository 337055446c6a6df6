"""The collection behind a port: an API for programs and a page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face

if TYPE_CHECKING:
    from resight.serving.app import create_app
    from resight.serving.server import serve
    from resight.serving.service import Service
    from resight.serving.settings import Access, Limits

__all__ = ["Access", "Limits", "Service", "create_app", "serve"]

_HOMES = {
    "Access": "settings",
    "Limits": "settings",
    "Service": "service",
    "create_app": "app",
    "serve": "server",
}

__getattr__, __dir__ = face(
    __name__,
    __all__,
    _HOMES,
    extra="serve",
    modules=("fastapi", "uvicorn", "python_multipart", "prometheus_client"),
    free=("Access", "Limits"),
)
