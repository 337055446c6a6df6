"""Searches a collection that `resight serve` serves: a typed client by the standard library alone.

resight serve photos.resight                      (in another terminal)
python examples/rest_client.py query.jpg [http://127.0.0.1:8000] [TOKEN]
"""

from __future__ import annotations

import json
import sys
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hit:
    """A photo that was found."""

    id: int
    path: str
    rank: int
    score: float
    inliers: int | None
    verdict: str
    probability: float | None
    box: tuple[float, float, float, float] | None


class Client:
    """A server of one collection; it raises `urllib.error.HTTPError` where the server refuses a request."""

    def __init__(self, url: str = "http://127.0.0.1:8000", token: str | None = None) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/"
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def search(
        self,
        photos: Sequence[Path] = (),
        *,
        ids: Sequence[int] = (),
        box: tuple[float, float, float, float] | None = None,
        top: int = 10,
        where: str | None = None,
    ) -> list[Hit]:
        """Photos that show the same thing as some photos, or as some of the collection, best first."""
        fields = [("id", str(number)) for number in ids] + [("top", str(top))]
        fields += [] if box is None else [("box", ",".join(map(str, box)))]
        fields += [] if where is None else [("where", where)]
        found = self._form("search", fields, photos)["hits"]
        return [Hit(**{name: hit[name] for name in Hit.__dataclass_fields__}) for hit in found]

    def matches(self, query: int, answer: int) -> dict[str, Any]:
        """Where two photos of the collection agree: inliers, points, region, transform."""
        return self._json(f"matches?query={query}&answer={answer}")

    def add(self, photos: Sequence[Path]) -> int:
        """Adds photos; the number of the job that does it, for `job`."""
        return int(self._form("photos", [], photos)["id"])

    def job(self, number: int) -> dict[str, Any]:
        """How far a change is: its ``state`` is waiting, running, done or failed."""
        return self._json(f"jobs/{number}")

    def thumbnail(self, number: int, side: int = 512) -> bytes:
        """A photo of the collection as an upright JPEG."""
        with self._opened(f"photos/{number}/thumbnail?side={side}") as answer:
            return bytes(answer.read())

    def _form(self, route: str, fields: Sequence[tuple[str, str]], photos: Sequence[Path]) -> dict[str, Any]:
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Disposition: form-data; name="
        parts = [f'{head}"{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields]
        for photo in photos:
            name = photo.name.replace('"', "_")
            parts += [f'{head}"photo"; filename="{name}"\r\n\r\n'.encode(), photo.read_bytes(), b"\r\n"]
        body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
        return self._json(route, body, f"multipart/form-data; boundary={boundary}")

    def _json(self, route: str, body: bytes | None = None, kind: str = "application/json") -> dict[str, Any]:
        with self._opened(route, body, kind) as answer:
            return dict(json.load(answer))

    def _opened(self, route: str, body: bytes | None = None, kind: str = "") -> Any:
        headers = {**self._headers, **({"Content-Type": kind} if body is not None else {})}
        return urllib.request.urlopen(urllib.request.Request(self._url + route, body, headers))


if __name__ == "__main__":
    photo, *server = sys.argv[1:]
    for hit in Client(*server).search([Path(photo)]):
        likely = "" if hit.probability is None else f", {hit.probability:.0%} likely"
        print(f"{hit.rank:2}  {hit.verdict}{likely}  {hit.path}")
