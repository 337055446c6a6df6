"""From a template and its values to a page: one HTML file that needs nothing else."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from resight.files.names import escape_controls

__all__ = ["render"]

_HERE = Path(__file__).parent


def render(template: str, page: object) -> str:
    """Returns a template of ``templates/`` as HTML.

    Every text is escaped, what cannot be seen in it too (`escape_controls`), and a name that the page does
    not have is an error. ``static(name)`` puts a file
    of ``static/`` into the page, which may load nothing.

    Args:
        template: Its file's name.
        page: What the template calls ``page``, with the attribute ``title``.
    """
    return _environment().get_template(template).render(page=page)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        finalize=_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters |= {"number": _number, "count": _count, "tenths": _tenths}
    environment.globals["static"] = _static
    return environment


def _seen(value: object) -> object:
    """Returns a text of others with its control characters shown; markup of ours as it is."""
    return escape_controls(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _static(name: str) -> Markup:
    """Returns a style sheet or a script of ours, which is no text to escape."""
    return Markup((_HERE / "static" / name).read_text(encoding="utf-8"))


def _number(value: float | None) -> str:
    """Returns a fraction with four digits, a dash where there is none."""
    return "–" if value is None else f"{value:.4f}"


def _count(value: int) -> str:
    """Returns a whole number with a comma between thousands."""
    return f"{value:,}"


def _tenths(value: float) -> str:
    """Returns a length in a drawing, which needs one digit."""
    return f"{value:.1f}"
