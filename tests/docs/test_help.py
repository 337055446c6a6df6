"""``help(resight)``: its example runs, and every name it lists is there."""

from __future__ import annotations

import doctest
import pydoc
import re
import shutil

import resight
from resight import errors


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


def test_help_is_a_page_that_a_person_reads_and_then_the_classes():
    lines = pydoc.render_doc(resight, renderer=pydoc.plaintext).splitlines()
    assert lines.index("PACKAGE CONTENTS") < 50
    assert len(lines) < 1000
    # Still there for people who type them.
    assert set(errors.__all__) <= set(dir(resight))
    assert all(getattr(resight, name) is getattr(errors, name) for name in errors.__all__)
