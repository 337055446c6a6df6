"""What a server tells of itself."""

from __future__ import annotations

import re

from resight.serving import Limits


def test_requests_are_counted_by_route_and_status(live, query):
    def counts() -> dict[str, float]:
        text = live.get("metrics").text
        return {key: float(value) for key, value in re.findall(r"^(resight_\S+) (\S+)$", text, re.MULTILINE)}

    before = counts()
    for _ in range(3):
        live.post("search", files={"photo": query}, data={"verify": "0"})
    live.post("search", files={"photo": b"none"})
    live.get("photos/1/info")
    live.get("nothing/of/the/kind")
    after = counts()

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    route = 'route="/search"'
    assert more(f'resight_requests_total{{{route},status="200"}}') == 3
    assert more(f'resight_requests_total{{{route},status="422"}}') == 1
    assert more(f"resight_request_seconds_count{{{route}}}") == 4
    assert more("resight_scanned_queries_total") == 3
    # No counter is named by what a client makes up.
    assert not any("nothing" in name or "photos/1" in name for name in after)
    assert any('route="/photos/{photo_id}/info"' in name for name in after)


def test_limits_and_permissions_are_told(live):
    told = live.get("server").json()
    assert told["limits"]["max_bytes"] == Limits().max_bytes
    assert (told["folders"], told["token"]) == (True, False)
    shape = live.get("collection").json()
    assert (shape["photos"], shape["model"], shape["verifies"]) == (15, "sift", True)
    assert set(shape["metadata"]) == {"label", "view"}
    assert shape["changed"][:2] == "20"


def test_the_description_has_examples_and_every_refusal(live):
    described = live.get("openapi.json").json()
    form = described["paths"]["/api/v1/search"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert {"photo", "box", "top", "verify", "where"} <= form["schema"]["properties"].keys()
    assert form["schema"]["properties"]["box"]["example"]
    assert "404" in described["paths"]["/api/v1/matches"]["get"]["responses"]
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert {"401", "403", "422", "503"} <= operation["responses"].keys(), path
            assert operation["summary"]
