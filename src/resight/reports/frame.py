"""The frame of every page: one HTML file that needs nothing else, in the same look, by day and by night."""

from __future__ import annotations

from html import escape

__all__ = ["page"]

_MARK = (
    '<svg viewBox="0 0 26 18" aria-hidden="true"><path d="M5 9 L21 9"/>'
    '<circle class="dot" cx="5" cy="9" r="3"/><circle cx="21" cy="9" r="4"/></svg>'
)

_THEME = """
:root {
  color-scheme: light dark;
  --paper: #f6f5f1; --card: #ffffff; --mat: #eceae4; --ink: #1d1c1a; --soft: #5f5c56; --line: #dedbd3;
  --confirmed: #0a7a54; --confirmed-wash: #e0f3ea; --likely: #8a5a00; --likely-wash: #fbeed3;
  --similar: #46566b; --similar-wash: #e8ecf2; --unlikely: #6b6862; --unlikely-wash: #eeece7;
  --outline: #ffd43b; --shadow: 0 1px 2px rgb(40 35 20 / .06), 0 6px 24px rgb(40 35 20 / .06);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #131416; --card: #1c1e21; --mat: #0e0f11; --ink: #ecebe8; --soft: #a3a19b; --line: #303338;
    --confirmed: #52d6a2; --confirmed-wash: #12342a; --likely: #f0bf62; --likely-wash: #3a2d12;
    --similar: #a9bbd3; --similar-wash: #252d38; --unlikely: #a3a19b; --unlikely-wash: #2a2b2e;
    --shadow: none;
  }
}
* { box-sizing: border-box; margin: 0; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
main, .top, .foot { max-width: 1160px; margin-inline: auto; padding-inline: clamp(16px, 4vw, 40px); }
.top { padding-block: clamp(28px, 5vw, 56px) 24px; }
.brand { display: flex; align-items: center; gap: 9px; color: var(--soft); font-weight: 600; }
.brand svg { width: 26px; height: 18px; }
.brand svg * { fill: none; stroke: var(--confirmed); stroke-width: 2; }
.brand svg .dot { fill: var(--confirmed); }
h1 { font-size: clamp(1.6rem, 1.1rem + 2.2vw, 2.5rem); line-height: 1.15; letter-spacing: -.022em; }
h1 { margin-top: 14px; }
.summary { margin-top: 10px; color: var(--soft); font-size: 1.06rem; }
.summary strong { color: var(--confirmed); }
h2 { font-size: 1.05rem; letter-spacing: -.005em; line-height: 1.3; }
.foot { padding-block: 20px 48px; color: var(--soft); font-size: .86rem; border-top: 1px solid var(--line); }
.pill {
  display: inline-block; padding: 3px 10px; border-radius: 99px; font-size: .8rem; font-weight: 600;
  line-height: 1.35; background: var(--similar-wash); color: var(--similar);
}
@media print {
  :root { --paper: #fff; --card: #fff; --mat: #fff; --ink: #000; --soft: #444; --line: #ccc; --shadow: none; }
  body { font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
"""


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
