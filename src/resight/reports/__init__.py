"""Pages for people: one HTML file each, that needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face

if TYPE_CHECKING:
    from resight.reports.calibration import write_calibration
    from resight.reports.comparison import write_comparison
    from resight.reports.evaluation import write_report
    from resight.reports.groups import write_groups
    from resight.reports.sheet import write_sheet
    from resight.reports.verdict import VERDICT_WORDS, nothing_words, probability_words, verdict_reason
    from resight.reports.waterfall import write_waterfall

__all__ = [
    "VERDICT_WORDS",
    "nothing_words",
    "probability_words",
    "verdict_reason",
    "write_calibration",
    "write_comparison",
    "write_groups",
    "write_report",
    "write_sheet",
    "write_waterfall",
]

_HOMES = {
    "VERDICT_WORDS": "verdict",
    "nothing_words": "verdict",
    "probability_words": "verdict",
    "verdict_reason": "verdict",
    "write_calibration": "calibration",
    "write_comparison": "comparison",
    "write_groups": "groups",
    "write_report": "evaluation",
    "write_sheet": "sheet",
    "write_waterfall": "waterfall",
}

# So that a sheet of answers imports nothing of the evaluation.
__getattr__, __dir__ = face(__name__, __all__, _HOMES)
