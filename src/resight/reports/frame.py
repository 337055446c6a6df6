"""The frame of every page: one HTML file that needs nothing else, in the same look, by day and by night."""

from __future__ import annotations

from html import escape
from pathlib import Path

__all__ = ["page"]

_MARK = (
    '<svg viewBox="0 0 26 18" aria-hidden="true"><path d="M5 9 L21 9"/>'
    '<circle class="dot" cx="5" cy="9" r="3"/><circle cx="21" cy="9" r="4"/></svg>'
)

_THEME = (Path(__file__).parent / "static" / "page.css").read_text(encoding="utf-8")


def page(*, title: str, summary: str, main: str, foot: str, style: str = "", script: str = "") -> str:
    """Returns a page as HTML.

    Args:
        title: Headline, plain text.
        summary: What stands below it, HTML.
        main: The content, HTML.
        foot: The last lines, HTML.
        style: CSS beyond the common look.
        script: JavaScript, if any.
    """
    running = f"<script>{script}</script>" if script else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{escape(title)} · Resight</title>
<style>{_THEME}{style}</style>
</head>
<body>
<header class="top">
<p class="brand">{_MARK} Resight</p>
<h1>{escape(title)}</h1>
<p class="summary">{summary}</p>
</header>
<main>
{main}
</main>
<footer class="foot">{foot}</footer>
{running}
</body>
</html>
"""
