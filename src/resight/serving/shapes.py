"""What the API answers: the JSON of each route, as programs see it in the OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Broken",
    "CollectionShape",
    "Detail",
    "Folder",
    "GroupShape",
    "Groups",
    "Health",
    "HitShape",
    "Job",
    "Label",
    "Matches",
    "MetadataKind",
    "MetadataShape",
    "PhotoList",
    "PhotoShape",
    "Preview",
    "Problems",
    "QueryShape",
    "Ready",
    "SearchAnswer",
    "ServerShape",
    "VoteShape",
]

Verdict = Literal["confirmed", "partial", "likely", "unlikely", "unchecked"]
MetadataKind = Literal["text", "number", "truth", "moment"]
Value = str | int | float | bool | None
Corners = Annotated[tuple[float, float, float, float], Field(description="x0, y0, x1, y1, pixels")]
Id = Annotated[int, Field(description="number of a photo, the same as long as the collection has it", ge=0)]


class Shape(BaseModel):
    """A frozen JSON object."""

    model_config = ConfigDict(frozen=True)


class Detail(Shape):
    """Why a request is not answered."""

    detail: Annotated[str, Field(description="one sentence: what is wrong, and what to do")]


class Health(Shape):
    """The server is alive."""

    status: Literal["ok"] = "ok"
    version: str


class Ready(Shape):
    """The server can answer searches."""

    ready: bool
    photos: int


class HitShape(Shape):
    """A photo that was found."""

    id: Id
    path: str
    rank: Annotated[int, Field(description="from 1", ge=1)]
    score: Annotated[float, Field(description="similarity of the descriptors, larger is better")]
    inliers: Annotated[int | None, Field(description="matched points of one transform; null: not checked")]
    verdict: Verdict
    box: Annotated[Corners | None, Field(description="where the thing is in this photo")]
    probability: Annotated[
        float | None, Field(description="that both show the same thing; null before `resight calibrate`")
    ]
    expected: Annotated[float | None, Field(description="inliers that chance would reach")]
    why: Annotated[str, Field(description="the reason of the verdict in one sentence")]
    query: Annotated[int | None, Field(description="number of the query photo it matches, from 0")]
    width: int
    height: int
    metadata: dict[str, Value]
    missing: Annotated[bool, Field(description="the file is not there, or may not be shown")]
    changed: Annotated[bool, Field(description="the file is another than when it was indexed")]


class QueryShape(Shape):
    """A photo that was searched for."""

    id: Annotated[int | None, Field(description="of a photo of the collection; null for an upload")]
    width: int
    height: int
    box: Corners | None
    wanted: Annotated[bool, Field(description="false for what the answers must not show")]


class SearchAnswer(Shape):
    """What a search found, best first."""

    hits: list[HitShape]
    searched: Annotated[int, Field(description="photos that were searched, after the filter")]
    seconds: Annotated[float, Field(description="wall time of the search")]
    queries: list[QueryShape]
    found: Annotated[
        bool | None, Field(description="whether any photo is likelier than not to show it; null: not known")
    ]
    more: Annotated[bool, Field(description="a larger offset brings further hits")]
    notes: Annotated[list[str], Field(description="what is amiss with the collection's folders")]


class Matches(Shape):
    """Where two photos agree. Positions are pixels of the whole upright photos."""

    query: QueryShape
    answer: QueryShape
    inliers: int
    expected: float
    verdict: Verdict
    probability: float | None
    why: str
    points: Annotated[
        list[tuple[float, float, float, float]],
        Field(description="matched points: x, y in the query photo, x, y in the answer"),
    ]
    region: Annotated[
        list[tuple[float, float]] | None,
        Field(description="corners of the query (or its box) in the answer, from its upper left clockwise"),
    ]
    box: Annotated[Corners | None, Field(description="bounds of the region inside the answer")]
    transform: Annotated[
        list[list[float]] | None,
        Field(description="3 x 3, carries query pixels (x, y, 1) to answer pixels; null: none fits"),
    ]


class PhotoShape(Shape):
    """A photo of the collection."""

    id: Id
    path: str
    name: str
    width: int
    height: int
    metadata: dict[str, Value]
    missing: bool


class PhotoList(Shape):
    """A page of the collection's photos, by path."""

    photos: list[PhotoShape]
    total: Annotated[int, Field(description="photos of all pages")]
    offset: int


class Preview(Shape):
    """An upload as a browser can show it."""

    picture: Annotated[str, Field(description="reduced upright JPEG as a data URL")]
    width: Annotated[int, Field(description="of the whole upright photo, pixels")]
    height: int


class MetadataShape(Shape):
    """What the photos hold under one name."""

    name: str
    kind: MetadataKind
    photos: Annotated[int, Field(description="photos that have a value")]
    values: Annotated[list[str] | None, Field(description="all texts, sorted; null: too many, or no texts")]
    least: Annotated[Value, Field(description="smallest number or moment; null: none")]
    most: Annotated[Value, Field(description="largest number or moment; null: none")]


class Folder(Shape):
    """A folder that photos of the collection lie in."""

    path: str
    photos: Annotated[int, Field(description="files of the collection in it, broken ones included")]
    missing: int
    exists: bool
    watched: bool


class CollectionShape(Shape):
    """The collection in numbers."""

    path: str
    photos: int
    broken: int
    model: str
    dim: int
    verifies: Annotated[bool, Field(description="whether the model has local features for geometry")]
    metadata: Annotated[list[str], Field(description="names for filters")]
    folders: list[Folder]
    bytes_on_disk: int
    changed: Annotated[str | None, Field(description="time of the last change, ISO 8601")]
    version: Annotated[int, Field(description="larger after each change")]
    calibrated: bool
    notes: list[str]


class ServerShape(Shape):
    """What this server takes and allows."""

    version: str
    limits: dict[str, float]
    folders: Annotated[bool, Field(description="whether folders can be named by path (on loopback only)")]
    token: Annotated[bool, Field(description="whether requests need a token")]


class Broken(Shape):
    """A file that cannot be searched."""

    path: str
    reason: str


class Problems(Shape):
    """Files that are not searched, and why."""

    broken: list[Broken]
    passed_over: Annotated[
        dict[str, int],
        Field(description="files that are no photos, by suffix, in folders indexed since start"),
    ]
    left_out: Annotated[dict[str, int], Field(description="files and folders that a pattern leaves out")]
    notes: list[str]


class Job(Shape):
    """A change of the collection: waiting, running, or at its end."""

    id: int
    kind: Literal["add", "remove", "undo", "group"]
    state: Literal["waiting", "running", "done", "failed"]
    what: Annotated[str, Field(description="of what, in a few words")]
    done: Annotated[int, Field(description="photos done")]
    total: Annotated[int, Field(description="photos in all; 0: not known yet")]
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    broken: list[Broken] = []
    passed_over: dict[str, int] = {}
    error: Annotated[str | None, Field(description="why it failed")] = None
    can_undo: bool = False


class VoteShape(Shape):
    """A neighbour that voted for a label."""

    id: Id
    path: str
    label: str
    score: float


class Label(Shape):
    """Which labelled thing a photo shows."""

    label: Annotated[str | None, Field(description="null: none of the labelled things")]
    best: Annotated[str, Field(description="the likeliest label, above the threshold or not")]
    confidence: float
    threshold: float | None
    votes: list[VoteShape]
    others: list[VoteShape]


class GroupShape(Shape):
    """Photos that belong together."""

    kind: Annotated[str, Field(description="copies, things or scenes")]
    ids: Annotated[list[int], Field(description="photos, the one to keep first")]


class Groups(Shape):
    """Groups of the collection."""

    computed: Annotated[bool, Field(description="false: not computed, `resight groups` does it")]
    groups: list[GroupShape]
    note: str = ""
