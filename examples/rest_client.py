"""A typed client of `resight serve`; it needs the package httpx.

python examples/rest_client.py query.jpg [http://127.0.0.1:8000] [TOKEN]
"""

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx


@dataclass(frozen=True)
class Hit:
    """An answer of a search; the box is (x0, y0, x1, y1) in pixels of the upright photo."""

    id: int
    path: str
    rank: int
    score: float
    inliers: int | None
    verdict: str
    probability: float | None
    box: tuple[float, float, float, float] | None


class Client:
    """A server of one collection; it raises `httpx.HTTPStatusError` where the server refuses a request."""

    def __init__(self, url: str = "http://127.0.0.1:8000", token: str | None = None) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def search(self, photos: list[Path] | None = None, **form: Any) -> list[Hit]:
        """Photos that show the same thing, best first; the form has the fields ``id``, ``box``, ``top``..."""
        hits = self._ask("POST", "search", files=_parts(photos or [], form)).json()["hits"]
        return [Hit(**{each.name: hit[each.name] for each in fields(Hit)}) for hit in hits]

    def get(self, route: str, **values: Any) -> httpx.Response:
        """Anything else that can be read: ``matches``, ``jobs/1``, ``photos/7/thumbnail``."""
        return self._ask("GET", route, params=values)

    def add(self, photos: list[Path]) -> int:
        """Adds photos; the number of the job that does so."""
        return int(self._ask("POST", "photos", files=_parts(photos, {})).json()["id"])

    def _ask(self, method: str, route: str, **request: Any) -> httpx.Response:
        request |= {"headers": self._headers, "timeout": 60}
        return httpx.request(method, self._url + route, **request).raise_for_status()


def _parts(photos: list[Path], texts: dict[str, Any]) -> list[tuple[str, Any]]:
    files: list[tuple[str, Any]] = [("photo", (photo.name, photo.read_bytes())) for photo in photos]
    return files + [(name, (None, str(value))) for name, value in texts.items()]


if __name__ == "__main__":
    for hit in Client(*sys.argv[2:]).search([Path(sys.argv[1])], top=10):
        print(f"{hit.rank:2}  {hit.verdict}  {hit.path}")
