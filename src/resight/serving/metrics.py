"""Counters of a server, in a registry of its own."""

from __future__ import annotations

from typing import final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Metrics"]

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
