"""Objects of a bucket, ``s3://bucket/key``, with the few methods of a path that Resight needs.

A store has no folders: what lies "below" an address are objects whose keys begin with its own and a slash.
An object is written whole or not at all. Credentials, region and endpoint come from the usual environment
variables (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``), which the
client reads by itself.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, final

from resight.errors import InvalidInput, MissingExtra
from resight.files.budget import shown

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["ObjectChanged", "ObjectPath", "ObjectStatus", "StoreRefused", "object_path", "with_both_slashes"]

_ADDRESS = re.compile(r"s3://([^/]*)(?:/(.*))?", re.DOTALL)

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")

RETRIES, RETRY_SECONDS, CONNECT_SECONDS = 3, 15, 5
"""Of every client of a store."""


class StoreRefused(OSError):
    """The store does not answer, or refuses: what is wrong and what to do, in a sentence."""


class ObjectChanged(Exception):
    """A conditional write was refused: the object is there already, or another than it was."""


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """What a store says of an object.

    Attributes:
        size: Bytes.
        etag: Another one for other bytes.
        modified: When it was written.
    """

    size: int
    etag: str
    modified: datetime

    @property
    def modified_ns(self) -> int:
        """Nanoseconds since 1970: those of the second it was written in, and below it 29 bits of the ETag.

        Stores know times to the second. Two writes within one are told apart by the rest.
        """
        digits = int.from_bytes(self.etag.encode()[-32:], "big") % 500_000_003
        return int(self.modified.timestamp()) * 1_000_000_000 + digits


@final
@dataclass(frozen=True, slots=True)
class ObjectPath:
    """The address of an object, or of all objects below it.

    Attributes:
        bucket: Name of the bucket.
        key: Without slashes at its ends; empty for the whole bucket.
    """

    bucket: str
    key: str
    _store: S3Store = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"

    def __reduce__(self) -> tuple[object, ...]:
        return object_path, (str(self),)

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(self.bucket, f"{self.key}/{name}" if self.key else name, self._store)

    @property
    def parent(self) -> ObjectPath:
        """The address that this one lies directly below."""
        return ObjectPath(self.bucket, self.key.rpartition("/")[0], self._store)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return os.path.splitext(self.name)[0]  # noqa: PTH122 (of a name, not of a path of this machine)

    def read_bytes(self) -> bytes:
        """Returns the object's bytes.

        Raises:
            FileNotFoundError: There is no such object.
            StoreRefused: The store does not answer, or refuses.
        """
        return self.read()[0]

    def read(self, most: int | None = None) -> tuple[bytes, ObjectStatus]:
        """Returns the object's bytes and its status, both of one version of it.

        Args:
            most: Bytes that are read; of a larger object, none.

        Raises:
            FileNotFoundError: There is no such object.
            StoreRefused: The store does not answer, or refuses.
        """
        import obstore

        with self._asking():
            found = obstore.get(self._store, self.key)
            status = _status(found.meta)
            is_small = most is None or status.size <= most
            return bytes(found.bytes()) if is_small else b"", status

    def status(self) -> ObjectStatus:
        """Returns what the store says of the object.

        Raises:
            FileNotFoundError: There is no such object.
            StoreRefused: The store does not answer, or refuses.
        """
        import obstore

        with self._asking():
            return _status(obstore.head(self._store, self.key))

    def exists(self) -> bool:
        """Returns whether there is such an object.

        Raises:
            StoreRefused: The store does not answer, or refuses.
        """
        try:
            self.status()
        except FileNotFoundError:
            return False
        return True

    def write_bytes(self, data: bytes) -> None:
        """Writes the object in place of what there was.

        Raises:
            StoreRefused: The store does not answer, or refuses.
        """
        import obstore

        with self._asking():
            obstore.put(self._store, self.key, data)

    def write_if(self, data: bytes, etag: str | None) -> str:
        """Writes the object on a condition, and returns its ETag.

        Args:
            data: Its bytes.
            etag: What it must have now; None: there must be no such object.

        Raises:
            ObjectChanged: The condition does not hold.
            StoreRefused: The store does not answer, or refuses.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._asking():
            try:
                result = obstore.put(
                    self._store,
                    self.key,
                    data,
                    mode="create" if etag is None else {"e_tag": etag},
                    use_multipart=False,
                )
            except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                if "NoSuchBucket" in str(error):
                    raise
                raise ObjectChanged(str(self)) from None
            return result["e_tag"] or ""

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Deletes the object.

        Raises:
            FileNotFoundError: There is none, and that was not to be passed over.
            StoreRefused: The store does not answer, or refuses.
        """
        import obstore

        if not missing_ok:
            self.status()
        with self._asking():
            obstore.delete(self._store, self.key)

    def mkdir(self, *, exist_ok: bool = True) -> None:
        """Does nothing: keys need no folder."""

    def iterdir(self) -> Iterator[ObjectPath]:
        """Yields what lies directly below: objects, and the beginnings of longer keys.

        Raises:
            StoreRefused: The store does not answer, or refuses.
        """
        import obstore

        with self._asking():
            listed = obstore.list_with_delimiter(self._store, self.key or None)
            keys = [*(one["path"] for one in listed["objects"]), *listed["common_prefixes"]]
        for key in sorted(keys):
            yield ObjectPath(self.bucket, key, self._store)

    def has_below(self) -> bool:
        """Returns whether any object lies below.

        Raises:
            StoreRefused: The store does not answer, or refuses.
        """
        import obstore

        with self._asking():
            return any(batch for batch in obstore.list(self._store, self.key or None, chunk_size=1))

    def below(self) -> Iterator[tuple[ObjectPath, ObjectStatus]]:
        """Yields all objects below, sorted by their keys, with their status.

        Raises:
            StoreRefused: The store does not answer, or refuses.
        """
        import obstore

        with self._asking():
            found = sorted(
                (one["path"], _status(one))
                for batch in obstore.list(self._store, self.key or None)
                for one in batch
            )
        for key, status in found:
            yield ObjectPath(self.bucket, key, self._store), status

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turns what the client raises into `FileNotFoundError` or `StoreRefused`."""
        try:
            yield
        except (ObjectChanged, OSError) as error:
            if "NoSuchBucket" in str(error):
                raise _refused(self.bucket, str(error)) from None
            if isinstance(error, FileNotFoundError):
                raise FileNotFoundError(errno.ENOENT, "there is no such object", str(self)) from None
            raise
        except BaseException as error:
            # A panic of the client, over an endpoint that is no address, is no `Exception`.
            if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | MemoryError):
                raise
            raise _refused(self.bucket, str(error)) from None


def _refused(bucket: str, said: str) -> StoreRefused:
    """Returns the error of what a client says; the next client reads the environment anew."""
    _client.cache_clear()
    return StoreRefused(_refusal(bucket, said))


def _refusal(bucket: str, said: str) -> str:
    """Returns what is wrong and what to do, from what the client says."""
    if "NoSuchBucket" in said:
        return f"there is no bucket {bucket}: make it, or set AWS_ENDPOINT_URL to the store that has it"
    if "169.254" in said or "MissingAccessKeyId" in said or "MissingSecretAccessKey" in said:
        return (
            f"there are no credentials for the bucket {bucket}: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY (and AWS_REGION, and AWS_ENDPOINT_URL for a store other than AWS)"
        )
    if any(code in said for code in ("401 ", "403 ", "AccessDenied", "InvalidAccessKeyId")):
        return (
            f"the store refuses the credentials for the bucket {bucket}: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY to those of someone who may read it, and write it to index"
        )
    if "InvalidUri" in said or "builder error" in said:
        return f"the endpoint for the bucket {bucket} is no address: set AWS_ENDPOINT_URL to http(s)://HOST"
    if "invalid path" in said:
        key = said.split("Error parsing Path ")[-1].split(":")[0]
        return (
            f"the bucket {bucket} has an object whose key is no path, {shown(key)}: a part of it is empty, "
            ". or .., or holds a control character; rename it, or name addresses that it does not lie below"
        )
    if "HTTP error" in said:
        return (
            f"the store of the bucket {bucket} does not answer: check the network and AWS_ENDPOINT_URL, then "
            "run the same again"
        )
    return f"the store of the bucket {bucket} refused: {said.splitlines()[0][:300] if said else 'no reason'}"


def with_both_slashes(word: str) -> str:
    """Returns a word with the slash that ``Path`` has taken from the address of a bucket."""
    return re.sub(r"^s3:/(?!/)", "s3://", word)


def object_path(text: str | os.PathLike[str]) -> ObjectPath | None:
    """Returns the address ``s3://bucket/key``; None for a path of this machine.

    Raises:
        InvalidInput: The name of the bucket cannot be one.
        MissingExtra: The extra ``s3`` is not installed.
        StoreRefused: The environment has half of what the client needs.
    """
    spelled = os.fspath(text)
    match = _ADDRESS.fullmatch(with_both_slashes(spelled)) if isinstance(spelled, str) else None
    if match is None or os.path.lexists(spelled):
        return None
    bucket, key = match[1], (match[2] or "").strip("/")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidInput(f"{spelled:.200} names no bucket: an address is s3://BUCKET/KEY")
    return ObjectPath(bucket, key, _client(bucket))


@lru_cache(maxsize=16)
def _client(bucket: str) -> S3Store:
    """Returns the client of a bucket, which keeps its connections."""
    try:
        from obstore.store import S3Store
    except ImportError:
        raise MissingExtra("s3", "object storage") from None
    try:
        return S3Store(
            bucket,
            # An endpoint without TLS is the user's choice, by its own address.
            client_options={"allow_http": True, "connect_timeout": timedelta(seconds=CONNECT_SECONDS)},
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
        )
    except Exception as error:
        raise _refused(bucket, str(error)) from None


def _status(meta: object) -> ObjectStatus:
    """Returns the status out of a dictionary of the client."""
    if not isinstance(meta, dict):
        raise StoreRefused(f"the store's answer cannot be understood: {meta!r:.100}")
    return ObjectStatus(int(meta["size"]), str(meta["e_tag"] or ""), meta["last_modified"])
