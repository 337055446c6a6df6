"""The authors' checkpoints by name: fetched once, converted, and kept as bundles in the user's cache.

What is known of each stands in ``checkpoints.json``; figures are those of the authors. Nothing here needs
torch until a checkpoint is converted.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from resight.errors import InvalidInput, StorageFailed, WeightsUnavailable
from resight.files import sha256_of
from resight.models import bundle as bundles
from resight.models.bundle import Bundle
from resight.models.download import fetch_file
from resight.models.parts import split

__all__ = ["Published", "cache_folder", "cached_bundle", "checkpoints", "keep", "load_published"]

_LOG = logging.getLogger(__name__)

# The tensors and whatever else training saved.
_LARGEST = 4
_SPARE_BYTES = 10**8


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint that its authors publish.

    Attributes:
        name: What people type.
        family: Whose reader converts it.
        about: What it is, in a few words.
        trunk: The trunk of its network, as a bundle names it.
        dim: Length of a descriptor.
        megabytes: Size of the network's weights, 10^6 bytes; ``None`` where unknown.
        licence: Of the repository that publishes it; ``unknown`` where it states none.
        page: Where its authors offer it.
        published: Their figures; ``None`` where no table of theirs was at hand.
        url: Its address, with the first digits of its SHA-256 at the end of its name; ``None`` where no
            program can fetch it.
        whitening: Name of the file's whitening that the figures were measured with.
        super_global: Whether it describes as SuperGlobal does.
    """

    name: str
    family: str
    about: str
    trunk: str
    dim: int
    megabytes: float | None
    licence: str
    page: str
    published: str | None = None
    url: str | None = None
    whitening: str | None = None
    super_global: bool = False


@functools.cache
def checkpoints() -> Mapping[str, Published]:
    """Returns the checkpoints by name."""
    rows = json.loads(Path(__file__).with_name("checkpoints.json").read_text(encoding="utf-8"))
    return MappingProxyType({row["name"]: Published(**row) for row in rows})


def cache_folder() -> Path:
    """Returns the folder where converted checkpoints are kept, ``~/.cache/resight/models``.

    Raises:
        StorageFailed: The user has no home folder, as in a container whose user has no name.
    """
    try:
        return Path.home() / ".cache" / "resight" / "models"
    except RuntimeError:
        raise StorageFailed("this user has no home folder to keep models in: set HOME to a folder") from None


def cached_bundle(published: Published) -> Path | None:
    """Returns the bundle of a checkpoint in the cache; ``None`` where there is none."""
    with suppress(StorageFailed):
        path = _bundle_path(published)
        return path if path.is_file() else None
    return None


def load_published(published: Published, *, download: bool = True) -> Bundle:
    """Returns the bundle of a checkpoint, fetched and converted where it is not in the cache.

    Licence and figures go to the log before the first fetch.

    Args:
        published: The checkpoint.
        download: Whether it may be fetched.

    Raises:
        WeightsUnavailable: It is not in the cache and cannot or may not be fetched, or is not what its
            authors published.
        InvalidBundle: The bundle in the cache is damaged.
    """
    path = cached_bundle(published)
    if path is None:
        path = _fetch(published) if download else None
    if path is None:
        raise WeightsUnavailable(
            f"the weights of {published.name} are not in the cache, and downloads were not allowed: name the "
            "model yourself once, or allow downloads"
        )
    return bundles.read(path)


def keep(published: Published, checkpoint: Path) -> Path:
    """Converts an authors' file and keeps it in the cache under a name; returns the bundle's path.

    Raises:
        InvalidInput: The file is no checkpoint, or not the network of that name.
        StorageFailed: The bundle cannot be written.
        MissingExtra: torch or timm is not installed.
    """
    from resight.models.published import ConversionConfig, convert
    from resight.networks.super_global import SuperGlobalConfig

    config = ConversionConfig(
        whitening=published.whitening,
        licence=published.licence,
        super_global=SuperGlobalConfig() if published.super_global else None,
    )
    converted = convert(checkpoint, config, family=published.family).bundle
    trunk = split(converted, name=published.name).describer.settings["trunk"]
    if trunk != published.trunk:
        raise InvalidInput(
            f"the checkpoint {checkpoint} has the trunk {trunk} and {published.name} has {published.trunk}: "
            "give the file of that name"
        )
    path = _bundle_path(published)
    path.parent.mkdir(parents=True, exist_ok=True)
    bundles.write(converted, path)
    return path


def _bundle_path(published: Published) -> Path:
    return cache_folder() / f"{published.name}.safetensors"


def _fetch(published: Published) -> Path:
    size = "" if published.megabytes is None else f", about {published.megabytes:.0f} MB"
    facts = f"licence {published.licence}; {published.published or 'no figures known'}"
    if published.url is None:
        raise WeightsUnavailable(
            f"the weights of {published.name} ({facts}) are offered at {published.page}, where no program "
            f"can fetch them: fetch the file there, and then: resight convert FILE --as {published.name}"
        )
    _LOG.warning("%s is fetched once from %s%s: %s", published.name, published.url, size, facts)
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    file_name = published.url.rpartition("/")[2]
    file = folder / file_name
    digest = Path(file_name).stem.rpartition("-")[2]
    # Of a command that was killed between fetching and converting; it may be damaged since.
    if not (file.is_file() and sha256_of([file]).startswith(digest)):
        most = int(_LARGEST * (published.megabytes or 0) * 1e6) + _SPARE_BYTES
        fetch_file(published.url, file, digest=digest, most_bytes=most, wanted=published.name)
    try:
        path = keep(published, file)
    except InvalidInput as error:
        raise WeightsUnavailable(f"cannot use what {published.url} holds: {error}") from None
    file.unlink()
    return path
