"""Counters of a server, in a registry of its own."""

from __future__ import annotations

import time
from typing import final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resight.serving.guard import API

__all__ = ["Counted", "Metrics"]

_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@final
class Metrics:
    """What a server counts; `registry` holds all of it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "resight_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "resight_request_seconds",
            "Wall time of requests by route.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.held = Gauge("resight_held_requests", "Requests with photos held now.", registry=self.registry)
        self.scans = Counter("resight_scans", "Scans of the collection.", registry=self.registry)
        self.scanned = Counter("resight_scanned_queries", "Queries of all scans.", registry=self.registry)


@final
class Counted:
    """Counts the requests of an application by their route, as the description names it, and their status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as the application does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            # A path of a client's making is no name for a counter: there would be one for each.
            route = str(getattr(scope.get("route"), "path", "other")).removeprefix(API)
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - started)
