"""Lets `--run` reach Resight under torchrun."""

from __future__ import annotations

import sys
from pathlib import Path


def keep_run() -> None:
    """Says `--into` for the `--run` of a command line of torchrun that starts Resight.

    torchrun's parser looks for its own options among those of the program that it starts, too: before
    Python 3.12 it takes `--run` for the beginning of its `--run-path` and its `--run_path`, and ends. torch
    calls this while it is imported (entry point ``torch.backends``): before torchrun reads its line.
    """
    starters = {"torch.distributed.run", "torch.distributed.launch"}
    if not (starters.intersection(sys.orig_argv) or sys.argv[0].endswith("torchrun")):
        return
    # After -m or --no-python, or as the script's path.
    names = [Path(each).name for each in sys.argv]
    if "resight" in names:
        program = names.index("resight")
        sys.argv[program:] = [_said_otherwise(each) for each in sys.argv[program:]]


def _said_otherwise(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return f"--into{equals}{value}" if name == "--run" else argument
