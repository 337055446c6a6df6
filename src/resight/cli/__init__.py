"""The command line: ``resight VERB``."""

from resight.cli.app import main, run

__all__ = ["main", "run"]
