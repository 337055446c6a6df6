"""A page is its template's words with every value escaped, and needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from resight import reports
from resight.reports.page import render

FOLDER = Path(reports.__file__).parent


@dataclass
class Nameless:
    card: str = "no title"


def test_a_value_that_the_page_lacks_is_an_error():
    with pytest.raises(UndefinedError, match="title"):
        render("evaluation.html", Nameless())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("templates/*.html")), ids=lambda path: path.name)
def test_no_template_switches_escaping_off(path):
    text = path.read_text(encoding="utf-8")
    assert "|safe" not in text.replace(" ", "")
    assert "autoescape" not in text


@pytest.mark.parametrize("path", sorted(FOLDER.glob("static/*")), ids=lambda path: path.name)
def test_no_static_file_loads_anything_or_ends_its_element(path):
    text = path.read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text
    assert "</" not in text
