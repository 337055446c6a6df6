"""The site: built without a warning, complete, and asking nothing of another host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built once for all processes that test."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
    return folder


class Resources(HTMLParser):
    """Collects the addresses that a browser loads by itself when it shows a page."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name == LOADED.get(tag) and value]


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        resources = Resources()
        resources.feed(page.read_text(encoding="utf-8"))
        assert resources.addresses
        assert not [address for address in resources.addresses if re.match(r"(https?:)?//", address)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(site):
    from resight import evaluation, losses, models, networks, search

    for room in (evaluation, losses, models, networks, search):
        page = (site / "reference" / f"{room.__name__.replace('.', '-')}.html").read_text(encoding="utf-8")
        assert not [name for name in room.__all__ if f'id="{room.__name__}.{name}"' not in page]


@pytest.mark.slow
def test_every_verb_and_its_options_are_in_the_reference(site):
    page = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for verb in ("index", "search", "evaluate", "train", "rerank", "demo"):
        assert f'id="resight-{verb}"' in page
    assert "--forget-missing" in page
