"""Bodies of forms and refusals with examples, for the OpenAPI description."""

from __future__ import annotations

from typing import Final

from resight.serving.shapes import Detail

__all__ = [
    "ADD_BODY",
    "CLASSIFY_BODY",
    "MATCHES_BODY",
    "NOT_HERE",
    "PREVIEW_BODY",
    "SEARCH_BODY",
    "TOO_LARGE",
]

_PHOTO: Final = {"type": "string", "format": "binary"}
_PHOTOS: Final = {"type": "array", "items": _PHOTO}
_ID: Final = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
_BOX: Final = {
    "type": "string",
    "description": "X0,Y0,X1,Y1: where the thing is in the query photo, pixels",
    "example": "120,40,500,420",
}


def _form(properties: dict[str, object], required: list[str]) -> dict[str, object]:
    schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


SEARCH_BODY: Final = _form(
    {
        "photo": {**_PHOTOS, "description": "photos of the thing"},
        "id": {"type": "array", "items": _ID, "description": "photos of the collection that show the thing"},
        "without": {**_PHOTOS, "description": "photos of what the answers must not show"},
        "without_id": {"type": "array", "items": _ID, "description": "such photos of the collection"},
        "box": _BOX,
        "top": {"type": "integer", "minimum": 1, "default": 10, "description": "answers"},
        "offset": {"type": "integer", "minimum": 0, "default": 0, "description": "answers to pass over"},
        "verify": {
            "type": "string",
            "default": "auto",
            "description": "answers that geometry checks: a number, 0 for none, or auto",
            "example": "100",
        },
        "where": {
            "type": "string",
            "description": "SQL condition on metadata, path, width, height, file_size, modified_ns",
            "example": "taken >= '2024-05'",
        },
        "expand": {
            "type": "integer",
            "minimum": 0,
            "default": 0,
            "description": "answers added to the query",
        },
        "refine": {"type": "string", "enum": ["diffusion", "reciprocal", "superglobal"]},
    },
    [],
)
MATCHES_BODY: Final = _form(
    {"photo": {**_PHOTO, "description": "the query"}, "answer": _ID, "box": _BOX}, ["photo", "answer"]
)
CLASSIFY_BODY: Final = _form(
    {
        "photo": {**_PHOTO, "description": "the photo"},
        "id": {**_ID, "description": "or a photo of the collection"},
        "label": {"type": "string", "description": "name of the metadata that holds labels"},
    },
    [],
)
PREVIEW_BODY: Final = _form({"photo": {**_PHOTO, "description": "the photo"}}, ["photo"])
ADD_BODY: Final = _form({"photo": {**_PHOTOS, "description": "photos to add"}}, ["photo"])

NOT_HERE: Final[dict[int | str, dict[str, object]]] = {404: {"model": Detail, "description": "no such photo"}}
TOO_LARGE: Final[dict[int | str, dict[str, object]]] = {
    400: {"model": Detail, "description": "the form cannot be read"},
    **NOT_HERE,
    408: {"model": Detail, "description": "the body came too slowly"},
    413: {"model": Detail, "description": "the request is too large"},
    415: {"model": Detail, "description": "the body is no form"},
}
