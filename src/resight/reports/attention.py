"""A model's attention written over the photo it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from resight.errors import InvalidInput
from resight.features import ReceptiveField
from resight.images import Photo

__all__ = ["attention_over", "contact_sheet"]

_COLOUR = 0.6
"""Share of the colour where attention is highest; where it is lowest a third of that is left."""

_SHEET_HEIGHT, _SHEET_WIDTH, _GAP = 420, 1680, 8


def attention_over(
    photo: Photo, attention: Float32[np.ndarray, "cells_down cells_across"], field: ReceptiveField
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns the photo with its attention in colours over it, from blue (its lowest) to red (its highest).

    Between the centres of cells attention is interpolated bilinearly; beyond the outermost ones it is theirs.

    Args:
        photo: As the model was given it.
        attention: One value a cell, larger is more.
        field: What a cell sees of that photo.

    Raises:
        InvalidInput: The map is empty.
    """
    if attention.size == 0:
        raise InvalidInput("there is no attention to draw: the map is empty")
    rows, columns = photo.pixels.shape[:2]
    down, across = (
        ((np.arange(size) - field.first_centre) / field.stride).astype(np.float32) for size in (rows, columns)
    )
    shown = cv2.remap(
        np.ascontiguousarray(attention, dtype=np.float32),
        np.repeat(across[None], rows, axis=0),
        np.repeat(down[:, None], columns, axis=1),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    low, high = float(attention.min()), float(attention.max())
    heat = np.clip((shown - low) / (high - low), 0, 1) if high > low else np.zeros_like(shown)
    colours = cv2.applyColorMap((heat * 255).round().astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    # The photo's own colours would be taken for the map's.
    grey = cv2.cvtColor(photo.pixels, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    share = (_COLOUR * (1 + 2 * heat) / 3)[..., None]
    mixed: UInt8[np.ndarray, "rows columns 3"] = (
        (share * colours + (1 - share) * grey).round().astype(np.uint8)
    )
    return mixed


def contact_sheet(
    pictures: Sequence[UInt8[np.ndarray, "rows columns 3"]],
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns the pictures side by side on white: one as it is, several at one height in lines of a page.

    Raises:
        InvalidInput: There is none.
    """
    if not pictures:
        raise InvalidInput("there is no picture to show")
    if len(pictures) == 1:
        return pictures[0]
    lines: list[list[UInt8[np.ndarray, "rows columns 3"]]] = [[]]
    for picture in pictures:
        width = max(1, round(picture.shape[1] * _SHEET_HEIGHT / picture.shape[0]))
        small = cv2.resize(picture, (width, _SHEET_HEIGHT), interpolation=cv2.INTER_AREA)
        if lines[-1] and sum(one.shape[1] + _GAP for one in lines[-1]) + width > _SHEET_WIDTH:
            lines.append([])
        lines[-1].append(np.asarray(small, dtype=np.uint8))
    across = max(sum(one.shape[1] + _GAP for one in line) - _GAP for line in lines)
    sheet = np.full((len(lines) * (_SHEET_HEIGHT + _GAP) - _GAP, across, 3), 255, dtype=np.uint8)
    for number, line in enumerate(lines):
        top, left = number * (_SHEET_HEIGHT + _GAP), 0
        for one in line:
            sheet[top : top + _SHEET_HEIGHT, left : left + one.shape[1]] = one
            left += one.shape[1] + _GAP
    return sheet
