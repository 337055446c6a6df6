"""Conditions on photos as people write them in SQL, checked and rewritten for the table.

The table's own engine reads some conditions otherwise than SQL does: ``"label" = 'cat'`` compares two texts
there, and takes all photos or none. So each condition is parsed here, names and types are checked against
the columns, and the engine is handed an unambiguous condition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NoReturn, final

import pyarrow as pa

from resight.collection.schema import metadata_names
from resight.errors import InvalidInput
from resight.files.nearest import did_you_mean

__all__ = ["filter_columns", "table_condition"]

_PUBLIC = ("path", "width", "height", "file_size", "modified_ns")
"""Our own columns that a condition may use."""

_MOST_BRACKETS = 50
"""Brackets and NOTs inside each other; each costs a level of recursion."""

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

_SIGNS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d)?)?)?)?")
"""A moment of ISO 8601, or the year, month, day or minute that holds it."""

Kind = Literal["text", "number", "truth", "moment", "nothing", "other"]

_NOUNS: Mapping[Kind, str] = {
    "text": "text",
    "number": "a number",
    "truth": "true or false",
    "moment": "a date",
    "nothing": "NULL",
    "other": "neither text nor number",
}

_FUNCTIONS: Mapping[str, tuple[tuple[Kind, ...], Kind]] = {
    "lower": (("text",), "text"),
    "upper": (("text",), "text"),
    "length": (("text",), "number"),
    "abs": (("number",), "number"),
    "round": (("number",), "number"),
    "starts_with": (("text", "text"), "truth"),
    "ends_with": (("text", "text"), "truth"),
    "contains": (("text", "text"), "truth"),
}


def filter_columns(schema: pa.Schema) -> list[str]:
    """Returns the names that a condition on a table may use, sorted."""
    return sorted([*_PUBLIC, *metadata_names(schema)])


def table_condition(where: str, schema: pa.Schema) -> str:
    """Returns a user's SQL condition as the table understands it, with every name and type checked.

    Taken are comparisons (``=``, ``!=``, ``<>``, ``<``, ``<=``, ``>``, ``>=``), ``LIKE``, ``ILIKE``, ``IN``,
    ``BETWEEN``, ``IS NULL``, ``AND``, ``OR``, ``NOT``, brackets, arithmetic, and the functions lower, upper,
    length, abs, round, starts_with, ends_with and contains. Names are taken without regard to case, plain, in
    double quotes or in backticks; text stands in single quotes. A number in quotes is a number where it is
    compared with one. The column ``taken`` is compared with dates: ``'2024-05'`` is all of May 2024.

    Args:
        where: The condition.
        schema: Of the table.

    Raises:
        InvalidInput: It cannot be understood, names no column, or compares what cannot be compared.
    """
    return _Parser(where, schema).condition()


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of the condition: ``kind`` is text, quoted, number, word, sign or end."""

    kind: str
    text: str
    place: int


@dataclass(frozen=True, slots=True)
class _Term:
    """A value or condition.

    Attributes:
        sql: As the table understands it.
        kind: What it holds.
        shown: As the user knows it.
        literal: The text or number as written, where it is one.
        type: Of the column, where it is one.
    """

    sql: str
    kind: Kind
    shown: str
    literal: str | None = None
    type: pa.DataType | None = None


@final
class _Parser:
    """Reads one condition from left to right; a method for each level of SQL's precedence."""

    def __init__(self, where: str, schema: pa.Schema) -> None:
        self._where = where
        self._schema = schema
        self._columns = {name.lower(): name for name in filter_columns(schema)}
        self._depth = 0
        self._tokens = self._split()
        self._next = next(self._tokens)

    def condition(self) -> str:
        """Returns the whole condition."""
        term = self._alternatives()
        if self._next.kind != "end":
            self._fail(f"{self._next.text} is not expected there")
        return self._truth(term)

    def _split(self) -> Iterator[_Token]:
        place = 0
        while True:
            match = _TOKEN.match(self._where, place)
            if match is None or match.lastgroup is None:
                rest = self._where[place:].lstrip()
                hint = next((hint for sign, hint in _HINTS.items() if rest.startswith(sign)), None)
                word = rest.split(maxsplit=1)[0]
                self._fail(f"{word[:40]} is not expected there" + (f": {hint}" if hint else ""))
            yield _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
            place = match.end()

    def _fail(self, reason: str) -> NoReturn:
        shown = self._where if len(self._where) <= 200 else self._where[:199] + "…"
        columns = ", ".join(self._columns.values())
        raise InvalidInput(
            f"the filter {shown!r} cannot be understood: {reason[:300]}; write an SQL condition on {columns}"
        )

    def _take(self, *words: str) -> str | None:
        """Returns the next word or sign in lower case and moves on, if it is one of these; else None."""
        token = self._next
        if token.kind in ("word", "sign") and token.text.lower() in words:
            self._next = next(self._tokens)
            return token.text.lower()
        return None

    def _need(self, word: str) -> None:
        if self._take(word) is None:
            got = self._next.text or "the end"
            self._fail(f"{word.upper()} is expected where {got} stands")

    def _truth(self, term: _Term) -> str:
        """Returns a term that must be a condition."""
        if term.kind != "truth":
            self._fail(f"{term.shown} is {_NOUNS[term.kind]} and no condition: compare it with something")
        return term.sql

    def _alternatives(self) -> _Term:
        return self._chain("or", self._conjunction)

    def _conjunction(self) -> _Term:
        return self._chain("and", self._negation)

    def _chain(self, word: str, part: Callable[[], _Term]) -> _Term:
        first = part()
        conditions = []
        while self._take(word):
            conditions.append(self._truth(part()))
        if not conditions:
            return first
        return _condition(_joined([self._truth(first), *conditions], word.upper()))

    def _negation(self) -> _Term:
        if self._take("not"):
            with_not = self._deeper(self._negation)
            return _condition(f"(NOT {self._truth(with_not)})")
        return self._predicate()

    def _deeper(self, part: Callable[[], _Term]) -> _Term:
        self._depth += 1
        if self._depth > _MOST_BRACKETS:
            self._fail(f"more than {_MOST_BRACKETS} brackets stand inside each other")
        term = part()
        self._depth -= 1
        return term

    def _predicate(self) -> _Term:
        left = self._sum()
        sign = self._take(*_SIGNS)
        if sign is not None:
            right = self._sum()
            return _condition(self._comparison(left, _SIGNS[sign], right))
        if self._take("is"):
            return self._is(left)
        negated = "NOT " if self._take("not") else ""
        if (word := self._take("like", "ilike")) is not None:
            return self._like(left, f"{negated}{word.upper()}")
        if self._take("in"):
            return _condition(f"({negated}{self._in(left)})")
        if self._take("between"):
            low = self._sum()
            self._need("and")
            between = [self._comparison(left, ">=", low), self._comparison(left, "<=", self._sum())]
            return _condition(f"({negated}{_joined(between, 'AND')})")
        if negated:
            self._fail("after NOT, LIKE, ILIKE, IN or BETWEEN is expected")
        return left

    def _is(self, left: _Term) -> _Term:
        negated = "NOT " if self._take("not") else ""
        word = self._take("null", "true", "false")
        if word is None:
            self._fail(f"after IS, NULL, TRUE or FALSE is expected, not {self._next.text or 'the end'}")
        if word != "null":
            self._truth(left)
        return _condition(f"({left.sql} IS {negated}{word.upper()})")

    def _like(self, left: _Term, word: str) -> _Term:
        pattern = self._sum()
        for term in (left, pattern):
            if term.kind not in ("text", "moment"):
                self._fail(f"LIKE compares text, and {term.shown} is {_NOUNS[term.kind]}")
        if pattern.literal is None:
            self._fail("after LIKE a text in single quotes is expected")
        if left.literal is not None:
            self._fail(f"{left.shown} is a text and no column: columns stand without single quotes")
        if self._take("escape"):
            self._fail("ESCAPE is not taken: a backslash before % or _ takes away its meaning")
        return _condition(f"({left.sql} {word} {pattern.sql})")

    def _in(self, left: _Term) -> str:
        if self._take("(") is None:
            self._fail("after IN a list in brackets is expected")
        parts = [self._comparison(left, "=", self._sum())]
        while self._take(","):
            parts.append(self._comparison(left, "=", self._sum()))
        self._need(")")
        return _joined(parts, "OR")

    def _comparison(self, left: _Term, sign: str, right: _Term) -> str:
        """Returns a comparison of two terms of one kind, of which one at least is no literal."""
        for one, other in ((left, right), (right, left)):
            if one.kind == "nothing":
                self._fail(f"nothing equals NULL: write {other.shown} IS NULL or IS NOT NULL")
            if one.kind == "other":
                self._fail(f"{one.shown} is {_NOUNS[one.kind]}: it can only be IS NULL or IS NOT NULL")
        if left.literal is not None and right.literal is not None:
            self._fail(
                f"{left.shown} and {right.shown} are both values: a column stands plain or in double quotes"
            )
        if "moment" in (left.kind, right.kind):
            return self._moments(left, sign, right)
        left, right = self._alike(left, right), self._alike(right, left)
        if left.kind != right.kind:
            hint = f": write '{right.literal}'" if right.literal and left.kind == "text" else ""
            self._fail(f"{left.shown} is {_NOUNS[left.kind]} and {right.shown} is {_NOUNS[right.kind]}{hint}")
        return f"({_widened(left, right)} {sign} {_widened(right, left)})"

    def _alike(self, term: _Term, other: _Term) -> _Term:
        """Returns a text in quotes as the number or truth that it is compared with, where it is one."""
        if term.kind != "text" or term.literal is None:
            return term
        number = re.fullmatch(r"\s*([+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?)\s*", term.literal)
        if other.kind == "number" and number is not None:
            return _number(number[1])
        if other.kind == "truth" and term.literal.lower() in ("true", "false"):
            return _Term(term.literal.upper(), "truth", term.shown, term.literal)
        return term

    def _moments(self, left: _Term, sign: str, right: _Term) -> str:
        """Returns a comparison with the column ``taken``; a date without a time is all of that day."""
        if left.kind == right.kind == "moment":
            return f"({left.sql} {sign} {right.sql})"
        if left.kind != "moment":
            left, right, sign = right, left, sign.translate(str.maketrans("<>", "><"))
        date = right.literal or ""
        if not _is_date(date):
            self._fail(
                f"{left.shown} is a date and {right.shown} is none: write '2024', '2024-05', '2024-05-31' or "
                "'2024-05-31T18:30:00'"
            )
        # Moments are stored as ISO 8601, which sorts as text; ~ comes after all that may follow.
        first, last = f"'{date.replace(' ', 'T')}'", f"'{date.replace(' ', 'T')}~'"
        within = f"({left.sql} >= {first} AND {left.sql} < {last})"
        ranges = {"=": within, "!=": f"(NOT {within})", ">": f"({left.sql} > {last})"}
        ranges |= {">=": f"({left.sql} >= {first})", "<": f"({left.sql} < {first})"}
        return ranges.get(sign, f"({left.sql} < {last})")

    def _sum(self) -> _Term:
        return self._arithmetic(("+", "-"), self._product)

    def _product(self) -> _Term:
        return self._arithmetic(("*", "/", "%"), self._operand)

    def _arithmetic(self, signs: Sequence[str], part: Callable[[], _Term]) -> _Term:
        left = part()
        while (sign := self._take(*signs)) is not None:
            right = part()
            for term in (left, right):
                if term.kind != "number":
                    self._fail(f"{sign} takes numbers, and {term.shown} is {_NOUNS[term.kind]}")
            is_whole = all(_is_whole(term) for term in (left, right))
            kind, name = (pa.int64(), "bigint") if is_whole else (pa.float64(), "double")
            first, second = (f"CAST({term.sql} AS {name})" for term in (left, right))
            shown = f"{left.shown} {sign} {right.shown}"
            left = _Term(f"({first} {sign} {second})", "number", shown, type=kind)
        return left

    def _operand(self) -> _Term:
        token = self._next
        if self._take("("):
            term = self._deeper(self._alternatives)
            self._need(")")
            return term
        if self._take("+", "-"):
            if self._next.kind != "number":
                inner = self._deeper(self._operand)
                if inner.kind != "number":
                    self._fail(f"{inner.shown} is {_NOUNS[inner.kind]} and takes no sign")
                return _Term(f"({token.text}{inner.sql})", "number", inner.shown, type=inner.type)
            number = self._next.text
            self._next = next(self._tokens)
            return _number(f"-{number}" if token.text == "-" else number)
        if token.kind in ("end", "sign") or (word := token.text.lower()) in {"and", "or", "in", "like"}:
            self._fail(f"a column or value is expected before {token.text or 'the end'}")
        self._next = next(self._tokens)
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "text":
            text = token.text[1:-1].replace("''", "'")
            return _Term(token.text, "text", token.text, text)
        if token.kind == "word":
            if word in ("true", "false"):
                return _Term(word.upper(), "truth", word.upper(), word)
            if word == "null":
                return _Term("NULL", "nothing", "NULL")
            if word in ("date", "timestamp") and self._next.kind == "text":
                return self._operand()
            if self._take("("):
                return self._function(word)
        return self._column(token)

    def _column(self, token: _Token) -> _Term:
        quote = token.text[0] if token.kind == "quoted" else ""
        name = token.text[1:-1].replace(quote * 2, quote) if quote else token.text
        column = self._columns.get(name.lower())
        if column is None:
            near = did_you_mean(name, self._columns.values())
            hint = "" if quote == "`" else f"; if it is a text, write '{name[:80]}' in single quotes"
            self._fail(f"there is no column {name[:80]}{near}{hint}")
        kind = self._schema.field(column).type
        escaped = column.replace("`", "``")
        return _Term(f"`{escaped}`", _kind_of(column, kind), column, type=kind)

    def _function(self, name: str) -> _Term:
        if name not in _FUNCTIONS:
            near = did_you_mean(name, _FUNCTIONS)
            self._fail(f"there is no function {name[:80]}{near} (known are {', '.join(sorted(_FUNCTIONS))})")
        kinds, result = _FUNCTIONS[name]
        arguments = [self._deeper(self._sum)]
        while self._take(","):
            arguments.append(self._deeper(self._sum))
        self._need(")")
        given = ["text" if argument.kind == "moment" else argument.kind for argument in arguments]
        if given != list(kinds):
            wanted = " and ".join(_NOUNS[kind] for kind in kinds)
            self._fail(f"the function {name} takes {wanted}")
        shown = f"{name}({', '.join(argument.shown for argument in arguments)})"
        return _Term(f"{name}({', '.join(argument.sql for argument in arguments)})", result, shown)


def _condition(sql: str) -> _Term:
    return _Term(sql, "truth", sql)


def _number(text: str) -> _Term:
    value = float(text)
    # The engine refuses 2020.0 beside whole numbers.
    whole = text if re.fullmatch(r"-?\d+", text) else f"{value:.0f}" if value.is_integer() else None
    if whole is not None and -(2**63) <= int(whole) < 2**63:
        return _Term(str(int(whole)), "number", text, text, pa.int64())
    return _Term(f"CAST('{value!r}' AS double)", "number", text, text, pa.float64())


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text + "0001-01-01T00:00:00"[len(text) :])
    except ValueError:
        return False
    return True


def _is_whole(term: _Term) -> bool:
    return term.type is not None and pa.types.is_integer(term.type)


def _widened(term: _Term, other: _Term) -> str:
    """Returns a number as the engine compares it with another: in the wider type of the two."""
    if term.kind != "number" or term.type == other.type:
        return term.sql
    return f"CAST({term.sql} AS {'bigint' if _is_whole(term) and _is_whole(other) else 'double'})"


def _kind_of(name: str, kind: pa.DataType) -> Kind:
    if pa.types.is_string(kind):
        return "moment" if name == "taken" else "text"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    return "truth" if pa.types.is_boolean(kind) else "other"


def _joined(conditions: Sequence[str], word: str) -> str:
    """Returns conditions joined in a balanced tree: the engine's depth grows with that of its brackets."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({_joined(conditions[:half], word)} {word} {_joined(conditions[half:], word)})"
