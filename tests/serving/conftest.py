"""A server on a free port, of a collection of rendered places that is made once."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

import httpx

from resight.collection import Collection
from resight.scenes import write_collection
from resight.serving import Access, Limits, Service, serve

PLACES, VIEWS, SIDE = 5, 3, 320


@dataclass(frozen=True)
class Live:
    """A running server, and a client of it."""

    service: Service
    url: str
    client: httpx.Client

    def get(self, path: str, **options) -> httpx.Response:
        return self.client.get(path, **options)

    def post(self, path: str, **options) -> httpx.Response:
        return self.client.post(path, **options)

    def ids(self) -> dict[str, int]:
        """Number of each photo by its name."""
        listed = self.get("photos", params={"limit": 500}).json()["photos"]
        return {photo["name"]: photo["id"] for photo in listed}

    def ended(self, job: dict) -> dict:
        """The state of a job when it is at its end."""
        for _ in range(600):
            job = self.get(f"jobs/{job['id']}").json()
            if job["state"] in ("done", "failed"):
                return job
            threading.Event().wait(0.05)
        raise AssertionError(job)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A folder with ``photos`` and their collection ``photos.resight``; not to be changed."""
    folder = tmp_path_factory.mktemp("served")
    write_collection(folder / "photos", places=PLACES, views=VIEWS, distractors=0, side=SIDE)
    collection = Collection.create(folder / "photos.resight", model="sift")
    values = {
        str(path): {"label": path.stem[:9], "view": int(path.stem[-1])}
        for path in (folder / "photos").iterdir()
    }
    collection.add(folder / "photos", metadata=values)
    return folder


@contextmanager
def running(
    collection: Path, tmp: Path, *, access: Access | None = None, port: int = 0, **limits
) -> Iterator[Live]:
    """A server of a collection for the time of the block."""
    service = Service.of(
        Collection.open(collection),
        access=access,
        limits=replace(Limits(), **limits),
        cache=tmp / "thumbnails",
        uploads=tmp / "uploads",
    )
    ready, address = threading.Event(), []

    def on_ready(url: str) -> None:
        address.append(url)
        ready.set()

    thread = threading.Thread(target=serve, args=(service, port), kwargs={"on_ready": on_ready})
    thread.start()
    try:
        assert ready.wait(30)
        url = address[0].replace("0.0.0.0", "127.0.0.1")
        headers = {"authorization": f"Bearer {access.token}"} if access and access.token else {}
        with httpx.Client(base_url=f"{url}api/v1/", headers=headers, timeout=30, trust_env=False) as client:
            yield Live(service, url, client)
    finally:
        service.stopping.set()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def serving():
    """Runs a server for the time of a block, see `running`."""
    return running


@pytest.fixture(scope="session")
def live(made, tmp_path_factory) -> Iterator[Live]:
    """The server of the collection that is not to be changed."""
    with running(made / "photos.resight", tmp_path_factory.mktemp("live")) as server:
        yield server


@pytest.fixture
def own(made, tmp_path) -> Iterator[Live]:
    """A server of a collection of one's own."""
    shutil.copytree(made, tmp_path / "made")
    with running(tmp_path / "made" / "photos.resight", tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def query(made) -> bytes:
    return (made / "photos" / "place_000_view_0.jpg").read_bytes()
