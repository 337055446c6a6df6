"""The command line: ``resight VERB``."""

from resight.cli.app import main

__all__ = ["main"]
