"""The pieces of an SQL condition."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

__all__ = ["WORDS", "Token", "tokens_of"]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`)
    | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<word>(?![neb]')[^\W\d]\w*)
    | (?P<sign><=(?!>)|>=|<>|!=|==|[=>](?![<>])|<(?!\s+>|<|=)|[(),+*%]|/(?!\*)|-(?!-))
    | (?P<end>$)
    )""",
    re.VERBOSE | re.IGNORECASE,
)

_HINTS = (
    {
        ";": "one condition is taken, without a semicolon",
        "--": "comments are not taken",
        "/*": "comments are not taken",
        "#": "comments are not taken",
        "=>": "at least is written >=",
        "=<": "at most is written <=",
        "<=>": "equal is written =",
        "!>": "at most is written <=",
        "!<": "at least is written >=",
        "< ": "not equal is written !=",
        "||": "write OR, or several conditions",
        "&&": "write AND",
        "!": "write NOT",
        "[": 'a column stands plain or in double quotes: "my column"',
        "'": "the text has no end; a quote inside a text is written twice: 'it''s'",
        '"': "the name has no end; text stands in single quotes",
        "`": "the name has no end",
        "~": "write LIKE '%word%'",
        "::": "write CAST(column AS text)",
        ".": "columns stand without the name of a table",
    }
    | dict.fromkeys("?:$@", "write the value itself")
    | dict.fromkeys(("n'", "e'", "b'"), "text stands in single quotes, without a letter before them")
    | dict.fromkeys("‘’“”", "text stands in straight single quotes: 'cat'")
)


WORDS: Mapping[str, str] = (
    dict.fromkeys(("glob", "regexp", "rlike", "similar", "match"), "write LIKE 'word%' or ILIKE")
    | dict.fromkeys(("select", "where", "from"), "one condition is taken, such as year >= 2020")
    | dict.fromkeys(
        ("order", "limit", "group", "having"), "one condition is taken; --top says how many answers"
    )
    | dict.fromkeys(
        ("case", "when", "exists", "any", "all", "some"), "comparisons are joined by AND, OR and NOT"
    )
    | dict.fromkeys(("filename", "file", "name"), "the file is path: ends_with(path, 'name.jpg')")
    | dict.fromkeys(("size", "bytes", "filesize"), "the bytes of a file are file_size")
    | dict.fromkeys(
        (
            "now",
            "year",
            "month",
            "extract",
            "strftime",
            "date",
            "current_date",
            "date_part",
            "to_date",
            "datetime",
        ),
        "a date is compared as it is: taken >= '2024-05'",
    )
    | dict.fromkeys(("substr", "substring", "left", "right", "instr", "position"), "write LIKE '%word%'")
    | dict.fromkeys(("coalesce", "ifnull", "nvl", "nullif", "isnan"), "write column IS NULL")
    | dict.fromkeys(("trim", "ltrim", "rtrim", "replace", "concat"), "write LIKE '%word%'")
    | dict.fromkeys(("max", "min", "count", "avg", "sum"), "a condition looks at one photo at a time")
    | {
        "xor": "write !=",
        "collate": "write lower(column) = 'word', or ILIKE",
        "div": "write /",
        "mod": "write %",
    }
)
"""What to write for words of SQL that have no place here, and for names of columns that others use."""


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
            lowered = rest.lower()
            hint = next((f": {hint}" for sign, hint in _HINTS.items() if lowered.startswith(sign)), "")
            refuse(f"{rest.split(maxsplit=1)[0][:40]} is not expected there{hint}")
        # The names of the pattern's groups are the kinds.
        yield Token(cast(Literal["text"], match.lastgroup), match[match.lastgroup])
        place = match.end()
