"""``help(resight)``: its example runs, and every name it lists is there."""

from __future__ import annotations

import doctest
import re
import shutil

import resight


def test_the_example_of_the_package_runs(rendered, tmp_path, monkeypatch):
    shutil.copytree(rendered, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(resight, optionflags=doctest.ELLIPSIS)
    assert (result.failed, result.attempted) == (0, 6)


def test_what_help_lists_at_the_top_is_what_the_package_gives():
    listed = resight.__doc__.split("At the top of the package:")[1].split("In the rooms")[0]
    names = {name for name in resight.__all__ if name[0] != "_" and name in re.findall(r"\w+", listed)}
    rest = set(resight.__all__) - names - {"__version__"}
    assert all(issubclass(getattr(resight, name), resight.ResightError) for name in rest)
    assert names == {
        "Answer",
        "Box",
        "Collection",
        "Hit",
        "Model",
        "Query",
        "ResightError",
        "available",
        "load_model",
        "write_sheet",
    }
