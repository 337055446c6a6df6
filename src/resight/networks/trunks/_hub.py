"""Whether weights that timm would fetch can be had, found out in seconds.

Without a network huggingface_hub asks six times for each of two file names, 47 seconds in all before it
gives up. So before timm's own code is let loose, one short request says whether it has a chance.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from resight.errors import WeightsUnavailable

__all__ = ["cached_file", "check_hub", "check_url", "unavailable"]

_TIMEOUT_SECONDS = 5.0

_OF_TIMM = (
    "copy the hub's cache folder (HF_HOME) from a machine that has it, name a folder with config.json and "
    "weights as timm:local-dir:PATH, or name a bundle's path"
)
"""What else can be done for a trunk of timm."""


def cached_file(repository: str, file_names: Sequence[str]) -> Path | None:
    """Returns the first of the files that is in the local cache of the hub; ``None`` where none is.

    Args:
        repository: Name on the hub, possibly followed by ``@`` and a revision.
        file_names: Files of which one is needed.
    """
    from huggingface_hub import try_to_load_from_cache

    name, _, revision = repository.partition("@")
    for file_name in file_names:
        # Anything but a path means "not here": the function marks known absence by an object of its own.
        path = try_to_load_from_cache(name, file_name, revision=revision or None)
        if isinstance(path, str):
            return Path(path)
    return None


def check_hub(repository: str, file_names: Sequence[str], *, wanted: str) -> None:
    """Returns if one of the files is in the local cache or the hub answers.

    Args:
        repository: Name on the hub, possibly followed by ``@`` and a revision.
        file_names: Files of which one is needed.
        wanted: What is being loaded, for the message.

    Raises:
        WeightsUnavailable: None is cached, and the hub cannot be reached or may not be asked.
    """
    from huggingface_hub import constants

    if cached_file(repository, file_names) is not None:
        return
    if constants.HF_HUB_OFFLINE:
        raise unavailable(wanted, f"{repository} is not in the local cache and HF_HUB_OFFLINE forbids to ask")
    reason = _silence(constants.ENDPOINT)
    if reason is not None:
        raise unavailable(
            wanted,
            f"{repository} is not in the local cache and {constants.ENDPOINT} cannot be reached ({reason})",
        )


def check_url(url: str, cache: Path, *, wanted: str, advice: str = _OF_TIMM) -> None:
    """Returns if the file behind an address is in the cache folder, or its server answers.

    Raises:
        WeightsUnavailable: It is not cached and the server cannot be reached.
    """
    if (cache / url.rpartition("/")[2]).is_file():
        return
    reason = _silence(url)
    if reason is not None:
        raise unavailable(
            wanted, f"{url} is not in the local cache and cannot be reached ({reason})", advice=advice
        )


def unavailable(wanted: str, reason: str, *, advice: str = _OF_TIMM) -> WeightsUnavailable:
    """Returns the error that says what was wanted, why it failed and what to do."""
    return WeightsUnavailable(
        f"cannot load the pretrained weights of {wanted}: {reason}; connect to the internet once to fill the "
        f"cache, {advice}"
    )


def _silence(url: str) -> str | None:
    """Returns why a server does not answer, or ``None`` where it does, be it with a refusal."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_TIMEOUT_SECONDS):
            return None
    except urllib.error.HTTPError:
        return None
    except urllib.error.URLError as error:
        # The hub's client brings certificates of its own: that ours do not fit says nothing about it.
        return None if isinstance(error.reason, ssl.SSLError) else str(error.reason)
    except OSError as error:
        return str(error)
