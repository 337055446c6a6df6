"""The pieces of an SQL condition."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

__all__ = ["Token", "tokens_of"]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`)
    | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<word>[^\W\d]\w*)
    | (?P<sign><=|>=|<>|!=|==|[=<>(),+*/%]|-(?!-))
    | (?P<end>$)
    )""",
    re.VERBOSE,
)

_HINTS = {
    ";": "one condition is taken, without a semicolon",
    "--": "comments are not taken",
    "/*": "comments are not taken",
    "||": "write OR, or several conditions",
    "&&": "write AND",
    "!": "write NOT",
    "[": 'a column with spaces in its name stands in double quotes: "my column"',
    "'": "the text has no end; a quote inside a text is written twice: 'it''s'",
    '"': "the name has no end; text stands in single quotes",
    "`": "the name has no end",
    "~": "write LIKE '%word%'",
    "?": "write the value itself",
} | dict.fromkeys("‘’“”", "text stands in straight single quotes: 'cat'")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a condition.

    Attributes:
        kind: What it is; ``quoted`` is a name in double quotes or backticks.
        text: As it is written, quotes included.
    """

    kind: Literal["text", "quoted", "number", "word", "sign", "end"]
    text: str


def tokens_of(where: str, refuse: Callable[[str], NoReturn]) -> Iterator[Token]:
    """Yields the pieces of a condition from left to right, then ``end`` for ever.

    Args:
        where: The condition.
        refuse: Called with the reason where no piece begins.
    """
    place = 0
    while True:
        match = _TOKEN.match(where, place)
        if match is None or match.lastgroup is None:
            rest = where[place:].lstrip()
            hint = next((f": {hint}" for sign, hint in _HINTS.items() if rest.startswith(sign)), "")
            refuse(f"{rest.split(maxsplit=1)[0][:40]} is not expected there{hint}")
        # The names of the pattern's groups are the kinds.
        yield Token(cast(Literal["text"], match.lastgroup), match[match.lastgroup])
        place = match.end()
