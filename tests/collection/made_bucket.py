"""Buckets in memory behind HTTP: what Lance and Resight ask of S3, conditional writes with it.

Requests are not signed against anything; who asks must sign them, though, as a store refuses strangers.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest

from resight.files import objects

__all__ = ["ENVIRONMENT", "MOTO", "Bucket", "name_store", "serving", "store"]

MOTO = os.environ.get("RESIGHT_S3")
"""Command of a moto server."""

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "tester",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
}


def name_store(monkeypatch: pytest.MonkeyPatch, address: str, **others: str) -> None:
    """Sets the environment that names a store; a client that was made before is made anew."""
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": address} | others).items():
        monkeypatch.setenv(name, value)
    objects._client.cache_clear()


@dataclass(frozen=True)
class _Object:
    data: bytes
    modified: datetime

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data).hexdigest()}"'


@dataclass
class Bucket:
    """A bucket of that name, and what was asked of it.

    Attributes:
        objects: By key.
        asked: Method and key of each request.
        conditional: Whether it honours conditions on writes; some stores do not know them.
    """

    name: str
    objects: dict[str, _Object] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    conditional: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, key: str, data: bytes) -> None:
        """Stores an object."""
        self.objects[key] = _Object(data, datetime.now(UTC))

    def keys(self, prefix: str = "") -> list[str]:
        """Returns the keys below a prefix, sorted."""
        return sorted(key for key in self.objects if key.startswith(prefix))


@contextmanager
def store(name: str) -> Iterator[str]:
    """Yields the address of a server with an empty bucket: moto's where RESIGHT_S3 is set, else ours."""
    with _moto(MOTO, name) if MOTO else serving(Bucket(name)) as address:
        yield address


@contextmanager
def _moto(command: str, name: str) -> Iterator[str]:
    address = "http://127.0.0.1:5123"
    process = subprocess.Popen([command, "-p", "5123"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with suppress(urllib.error.URLError):
                urllib.request.urlopen(urllib.request.Request(f"{address}/{name}", method="PUT"))
                break
            time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()


@contextmanager
def serving(bucket: Bucket) -> Iterator[str]:
    """Yields the address of a server of the bucket."""

    class Handler(_Handler):
        pass

    Handler.bucket = bucket
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    bucket: Bucket
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def _asked(self) -> tuple[str, dict[str, str], bytes] | None:
        """Returns key, query and body; None after refusing the request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("x-amz-content-sha256", "").startswith("STREAMING"):
            body = _unchunked(body)
        parts = urlsplit(self.path)
        name, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {one: values[0] for one, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.bucket.asked.append((self.command, key))
        if "Credential=tester/" not in self.headers.get("Authorization", ""):
            self._refuse(403, "AccessDenied")
        elif name != self.bucket.name:
            self._refuse(404, "NoSuchBucket")
        else:
            return key, query, body
        return None

    def do_GET(self) -> None:
        if (asked := self._asked()) is None:
            return
        key, query, _ = asked
        if not key:
            self._list(query)
            return
        found = self.bucket.objects.get(key)
        if found is None:
            self._refuse(404, "NoSuchKey")
            return
        data, status, more = found.data, 200, {}
        if (span := self.headers.get("Range")) is not None:
            first, _, last = span.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, len(data) - int(last))
            stop = min(len(data), int(last) + 1 if first and last else len(data))
            more = {"Content_Range": f"bytes {start}-{stop - 1}/{len(data)}"}
            data, status = data[start:stop], 206
        self._answer(
            status, data, ETag=found.etag, Last_Modified=format_datetime(found.modified, usegmt=True), **more
        )

    do_HEAD = do_GET

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token", query.get("start-after", ""))
        rows, folders, count, last, truncated = [], [], 0, "", False
        most = int(query.get("max-keys", "1000"))
        with self.bucket.lock:
            keys = self.bucket.keys(prefix)
        for key in keys:
            folder = prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter if delimiter else ""
            is_below = bool(delimiter) and delimiter in key[len(prefix) :]
            if key <= after or (is_below and (folder in folders or (after and folder <= after))):
                continue
            if count == most:
                truncated = True
                break
            count, last = count + 1, folder if is_below else key
            one = self.bucket.objects.get(key)
            if is_below:
                folders.append(folder)
            elif one is not None:
                when = one.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")
                rows.append(
                    f"<Contents><Key>{escape(key)}</Key><LastModified>{when}</LastModified>"
                    f"<ETag>{escape(one.etag)}</ETag><Size>{len(one.data)}</Size></Contents>"
                )
        prefixes = "".join(
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders
        )
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if truncated else ""
        self._answer(
            200,
            f"<ListBucketResult><IsTruncated>{str(truncated).lower()}</IsTruncated>{token}"
            f"{''.join(rows)}{prefixes}</ListBucketResult>".encode(),
        )

    def do_PUT(self) -> None:
        if (asked := self._asked()) is None:
            return
        key, query, body = asked
        with self.bucket.lock:
            if "uploadId" in query:
                self.bucket.parts[query["uploadId"]][int(query["partNumber"])] = body
                self._answer(200, ETag=_Object(body, datetime.now(UTC)).etag)
            elif "x-amz-copy-source" in self.headers:
                source = unquote(self.headers["x-amz-copy-source"]).lstrip("/").partition("/")[2]
                self.bucket.put(key, self.bucket.objects[source].data)
                self._answer(
                    200,
                    f"<CopyObjectResult><ETag>{self.bucket.objects[key].etag}</ETag></CopyObjectResult>".encode(),
                )
            else:
                self._stored(key, body)

    def _stored(self, key: str, body: bytes) -> None:
        """Stores an object where the condition of the request holds."""
        held = self.bucket.objects.get(key)
        wanted = self.headers.get("If-Match")
        if self.bucket.conditional:
            if self.headers.get("If-None-Match") == "*" and held is not None:
                self._refuse(412, "PreconditionFailed")
                return
            if wanted is not None and held is None:
                self._refuse(404, "NoSuchKey")
                return
            if wanted is not None and held is not None and wanted.strip('"') != held.etag.strip('"'):
                self._refuse(412, "PreconditionFailed")
                return
        self.bucket.put(key, body)
        self._answer(200, ETag=self.bucket.objects[key].etag)

    def do_POST(self) -> None:
        if (asked := self._asked()) is None:
            return
        key, query, body = asked
        with self.bucket.lock:
            if "delete" in query:
                keys = [
                    one.text or "" for one in ElementTree.fromstring(body).iter() if one.tag.endswith("Key")
                ]
                for one in keys:
                    self.bucket.objects.pop(one, None)
                gone = "".join(f"<Deleted><Key>{escape(one)}</Key></Deleted>" for one in keys)
                self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())
            elif "uploads" in query:
                upload = f"upload{len(self.bucket.parts)}"
                self.bucket.parts[upload] = {}
                self._answer(
                    200,
                    f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode(),
                )
            else:
                parts = self.bucket.parts.pop(query["uploadId"])
                self.bucket.put(key, b"".join(parts[number] for number in sorted(parts)))
                etag = escape(self.bucket.objects[key].etag)
                self._answer(
                    200,
                    f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>".encode(),
                )

    def do_DELETE(self) -> None:
        if (asked := self._asked()) is None:
            return
        key, query, _ = asked
        with self.bucket.lock:
            if "uploadId" in query:
                self.bucket.parts.pop(query["uploadId"], None)
            else:
                self.bucket.objects.pop(key, None)
        self._answer(204)


def _unchunked(body: bytes) -> bytes:
    """Returns a body that was sent in chunks with signatures."""
    data = b""
    while body:
        head, _, body = body.partition(b"\r\n")
        size = int(head.partition(b";")[0], 16)
        if not size:
            break
        data, body = data + body[:size], body[size + 2 :]
    return data
