"""The result sheet: one HTML file that shows a search and why its answers are answers."""

from resight.reports.sheet.page import write_sheet

__all__ = ["write_sheet"]
