"""Pages for people: one HTML file each, that needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face

if TYPE_CHECKING:
    from resight.reports.evaluation import write_report
    from resight.reports.sheet import write_sheet
    from resight.reports.verdict import Verdict, verdict

__all__ = ["Verdict", "verdict", "write_report", "write_sheet"]

_HOMES = {"Verdict": "verdict", "verdict": "verdict", "write_report": "evaluation", "write_sheet": "sheet"}

# So that a sheet of answers imports nothing of the evaluation.
__getattr__, __dir__ = face(__name__, __all__, _HOMES)
