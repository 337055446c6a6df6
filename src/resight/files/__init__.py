"""What crosses the disk: whole files, tables, JSON."""

from resight.files.json import JSON
from resight.files.whole import write_whole

__all__ = ["JSON", "write_whole"]
