"""What a collection says of itself: format, model, roots. Kept in the schema metadata of its table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from resight._version import __version__
from resight.collection.roots import Root
from resight.errors import CollectionDamaged, CollectionNotFound, ModelMismatch
from resight.files import ObjectPath, shown
from resight.models.model import Model
from resight.search.index import SearchChoice, SearchFigures
from resight.search.probability import PairProbability
from resight.search.recognition import Calibration, VotingRule

__all__ = ["FORMAT", "HEADER_KEY", "Header"]

FORMAT = 2
"""Version of the format of a collection that this version writes, and the newest it reads."""

HEADER_KEY = "resight.collection"


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a collection.

    Attributes:
        identity: Random, made with the collection; another collection at the same path has another.
        model: Name of the model that made all descriptors.
        fingerprint: Fingerprint of that model.
        dim: Length of a descriptor.
        roots: Folders the photos lie in.
        purging: A removal has begun whose bytes may still be on the disk.
        written_by: Version of Resight that made the collection.
        place: Where the collection's directory was when it was written last, absolute; empty in format 1.
        exclude: Patterns of files and folders that indexing leaves out.
        files: Name and CRC-32 of each data file of the table when it was written last.
        format: Version of the format that its rows have.
        recognition: How its labels recognise things, and when not; ``None`` before
            ``resight classify --calibrate``.
        probability: How likely an answer shows the same thing; ``None`` before that was learned.
        search_choice: How the collection is searched.
        search_figures: What was measured of that search last; ``None`` before.
    """

    identity: str
    model: str
    fingerprint: str
    dim: int
    roots: tuple[Root, ...] = ()
    purging: bool = False
    written_by: str = __version__
    place: str = ""
    exclude: tuple[str, ...] = ()
    files: tuple[tuple[str, int], ...] = ()
    format: int = FORMAT
    recognition: Calibration | None = None
    probability: PairProbability | None = None
    search_choice: SearchChoice = field(default_factory=SearchChoice)
    search_figures: SearchFigures | None = None

    def to_metadata(self) -> dict[str, str | None]:
        """Returns the header as schema metadata: one JSON text, so that it changes as a whole."""
        values: dict[str, object] = {
            "format": self.format,
            "identity": self.identity,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "dim": self.dim,
            "roots": [{"number": root.number, "path": root.stored, "seal": root.seal} for root in self.roots],
            "purging": self.purging,
            "written_by": self.written_by,
            "place": self.place,
            "exclude": list(self.exclude),
            "files": dict(self.files),
        }
        if self.recognition is not None:
            values["recognition"] = asdict(self.recognition)
        if self.probability is not None:
            values["probability"] = asdict(self.probability)
        if self.search_figures is not None:
            values["search_index"] = {**asdict(self.search_choice), "measured": self.search_figures.to_json()}
        return {HEADER_KEY: json.dumps(values, ensure_ascii=False)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes] | None, path: Path | ObjectPath) -> Header:
        """Returns the header that ``to_metadata`` made.

        Raises:
            CollectionNotFound: The table is of another program.
            CollectionDamaged: The header is of a newer version, or cannot be understood.
        """
        text = (metadata or {}).get(HEADER_KEY.encode())
        if text is None:
            raise CollectionNotFound(f"{path} holds a Lance table, but it is no Resight collection")
        try:
            values = json.loads(text)
            if values["format"] > FORMAT:
                raise CollectionDamaged(
                    f"the collection {path} has format {values['format']}, written by a newer Resight "
                    f"({values.get('written_by', 'unknown')}); this is {__version__}, which reads up to "
                    f"format {FORMAT}: update Resight"
                )
            return cls(
                str(values["identity"]),
                str(values["model"]),
                str(values["fingerprint"]),
                int(values["dim"]),
                tuple(map(_root, values["roots"])),
                bool(values["purging"]),
                str(values["written_by"]),
                str(values.get("place", "")),
                tuple(str(pattern) for pattern in values.get("exclude", ())),
                tuple((str(name), int(checksum)) for name, checksum in values.get("files", {}).items()),
                int(values["format"]),
                None if "recognition" not in values else _calibration(values["recognition"]),
                None if "probability" not in values else _probability(values["probability"]),
                _choice(values.get("search_index")),
                _figures(values.get("search_index")),
            )
        except CollectionDamaged:
            raise
        except Exception as error:
            raise CollectionDamaged(
                f"the header of the collection {path} cannot be understood ({shown(repr(error))}): "
                f"index the photos into a new collection"
            ) from None

    def require(self, model: Model, path: Path | ObjectPath) -> None:
        """Returns if the model is the one that made the collection.

        Raises:
            ModelMismatch: It is another, even one of the same dimension.
        """
        if model.fingerprint != self.fingerprint:
            raise ModelMismatch(
                f"the collection {path} was made with the model {self.model!r} "
                f"({self.dim} dimensions, fingerprint {self.fingerprint[:12]}), not with {model.name!r} "
                f"({model.dim} dimensions, fingerprint {model.fingerprint[:12]}): use it with the model that "
                f"made it, or index the photos into a new collection with {model.name!r}"
            )


def _root(values: Mapping[str, Any]) -> Root:
    path = str(values["path"])
    # Not every text can be a path.
    if b"\0" in path.encode():
        raise ValueError("the path of a root holds a null character")
    return Root(int(values["number"]), path, str(values.get("seal", "")))


def _calibration(values: Mapping[str, Any]) -> Calibration:
    rule = VotingRule(*(int(values["rule"][name]) for name in ("neighbours", "verify", "max_inliers")))
    return Calibration(
        str(values["label"]),
        rule,
        float(values["threshold"]),
        int(values["known"]),
        int(values["unknown"]),
        float(values["precision"]),
        float(values["recall"]),
        float(values["rejected"]),
    )


def _probability(values: Mapping[str, Any]) -> PairProbability:
    verified = values["verified"]
    return PairProbability(
        tuple(map(float, values["plain"])),
        None if verified is None else tuple(map(float, verified)),
        str(values["source"]),
        int(values["pairs"]),
        int(values["same"]),
        float(values["brier"]),
    )


def _choice(values: Mapping[str, Any] | None) -> SearchChoice:
    if values is None:
        return SearchChoice()
    memory = values["memory"]
    return SearchChoice(
        values["kind"],
        str(values["address"]),
        None if memory is None else int(memory),
        float(values["recall"]),
        str(values.get("label", "")),
    )


def _figures(values: Mapping[str, Any] | None) -> SearchFigures | None:
    return None if values is None else SearchFigures.from_json(values["measured"])
