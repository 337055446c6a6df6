"""A value as a notebook's cell or as a sheet.

Both are made in `resight.reports`, a layer above the rooms of these values. This module is the only import
against the layers, and the functions here import `resight.reports` only when they are called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.collection.answer import Answer
    from resight.reports.notebook import Shown

__all__ = ["notebook_html", "save_sheet"]


def notebook_html(value: Shown) -> str:
    """Returns a value as a notebook shows it: HTML without scripts that loads nothing."""
    from resight.reports.notebook import html_of

    return html_of(value)


def save_sheet(answer: Answer, path: str | Path) -> None:
    """Writes an answer as a sheet, see `resight.write_sheet`.

    Raises:
        OSError: The file cannot be written.
    """
    from resight.reports.sheet import write_sheet

    write_sheet(answer, path)
