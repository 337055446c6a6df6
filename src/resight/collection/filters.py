"""Conditions on photos as people write them in SQL, checked and rewritten for the table.

The table's own engine reads some conditions otherwise than SQL does: ``"label" = 'cat'`` compares two texts
there, and takes all photos or none. So each condition is parsed here, names and types are checked against
the columns, and the engine is handed an unambiguous condition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, final

import pyarrow as pa

from resight.collection.filter_terms import (
    NOUNS,
    Kind,
    Term,
    computed,
    condition_of,
    forms_of,
    is_date,
    joined,
    kind_of,
    number_of,
    widened,
)
from resight.collection.filter_tokens import WORDS, Token, tokens_of
from resight.collection.schema import metadata_names
from resight.errors import InvalidInput
from resight.files.nearest import did_you_mean

__all__ = ["filter_columns", "table_condition"]

_PUBLIC = ("path", "width", "height", "file_size", "modified_ns")
"""Our own columns that a condition may use."""

_MOST_BRACKETS = 50
"""Brackets and NOTs inside each other; each costs a level of recursion."""

_SIGNS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

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


_CASTS: Mapping[str, tuple[Kind, str]] = (
    dict.fromkeys(("text", "string", "varchar", "char"), ("text", "STRING"))
    | dict.fromkeys(("int", "integer", "bigint"), ("number", "bigint"))
    | dict.fromkeys(("double", "float", "real"), ("number", "double"))
)
"""Types of ``CAST``: what holds them here, and their names there."""


def filter_columns(schema: pa.Schema) -> list[str]:
    """Returns the names that a condition on a table may use, sorted."""
    return sorted([*_PUBLIC, *metadata_names(schema)])


def table_condition(where: str, schema: pa.Schema) -> str:
    """Returns a user's SQL condition as the table understands it, with every name and type checked.

    Taken are comparisons (``=``, ``!=``, ``<>``, ``<``, ``<=``, ``>``, ``>=``), ``LIKE``, ``ILIKE``, ``IN``,
    ``BETWEEN``, ``IS NULL``, ``AND``, ``OR``, ``NOT``, brackets, arithmetic, and the functions lower, upper,
    length, abs, round, starts_with, ends_with, contains and CAST. Names are taken without regard to case,
    plain, in double quotes or in backticks; text stands in single quotes. A number in quotes is a number
    where it is compared with one, and accents are the same composed and decomposed. ``taken`` is compared
    with dates: ``'2024-05'`` is all of May 2024.

    Args:
        where: The condition.
        schema: Of the table.

    Raises:
        InvalidInput: It cannot be understood, names no column, or compares what cannot be compared.
    """
    return _Parser(where, schema).condition()


@final
class _Parser:
    """Reads one condition from left to right; a method for each level of SQL's precedence."""

    def __init__(self, where: str, schema: pa.Schema) -> None:
        self._where = where
        self._schema = schema
        self._columns = {name.lower(): name for name in filter_columns(schema)}
        self._depth = 0
        self._tokens = tokens_of(where, self._fail)
        self._next = next(self._tokens)

    def condition(self) -> str:
        """Returns the whole condition."""
        term = self._alternatives()
        if self._next.kind != "end":
            word = self._next.text
            hint = WORDS.get(word.lower(), "")
            if word in _SIGNS:
                hint = "two comparisons are joined by AND, or write BETWEEN"
            self._fail(f"{word} is not expected there{hint and ': ' + hint}")
        return self._truth(term)

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

    def _truth(self, term: Term) -> str:
        """Returns a term that must be a condition."""
        if term.kind != "truth":
            self._fail(f"{term.shown} is {NOUNS[term.kind]} and no condition: compare it with something")
        return term.sql

    def _alternatives(self) -> Term:
        return self._chain("or", self._conjunction)

    def _conjunction(self) -> Term:
        return self._chain("and", self._negation)

    def _chain(self, word: str, part: Callable[[], Term]) -> Term:
        first = part()
        conditions = []
        while self._take(word):
            conditions.append(self._truth(part()))
        if not conditions:
            return first
        return condition_of(joined([self._truth(first), *conditions], word.upper()))

    def _negation(self) -> Term:
        if self._take("not"):
            with_not = self._deeper(self._negation)
            return condition_of(f"(NOT {self._truth(with_not)})")
        return self._predicate()

    def _deeper(self, part: Callable[[], Term]) -> Term:
        self._depth += 1
        if self._depth > _MOST_BRACKETS:
            self._fail(f"more than {_MOST_BRACKETS} brackets stand inside each other")
        term = part()
        self._depth -= 1
        return term

    def _predicate(self) -> Term:
        left = self._sum()
        sign = self._take(*_SIGNS)
        if sign is not None:
            right = self._sum()
            return condition_of(self._comparison(left, _SIGNS[sign], right))
        if self._take("is"):
            return self._is(left)
        if (word := self._take("isnull", "notnull")) is not None:
            return condition_of(f"({left.sql} IS {'NOT ' if word == 'notnull' else ''}NULL)")
        negated = "NOT " if self._take("not") else ""
        if (word := self._take("like", "ilike")) is not None:
            return self._like(left, f"{negated}{word.upper()}")
        if self._take("in"):
            return condition_of(f"({negated}{self._in(left)})")
        if self._take("between"):
            low = self._sum()
            self._need("and")
            between = [self._comparison(left, ">=", low), self._comparison(left, "<=", self._sum())]
            return condition_of(f"({negated}{joined(between, 'AND')})")
        if negated:
            self._fail("after NOT, LIKE, ILIKE, IN or BETWEEN is expected")
        return left

    def _is(self, left: Term) -> Term:
        negated = "NOT " if self._take("not") else ""
        word = self._take("null", "true", "false")
        if word is None:
            got = self._next.text or "the end"
            self._fail(f"after IS, NULL, TRUE or FALSE is expected, not {got}: equal is written =")
        if word != "null":
            self._truth(left)
        return condition_of(f"({left.sql} IS {negated}{word.upper()})")

    def _like(self, left: Term, word: str) -> Term:
        pattern = self._sum()
        for term in (left, pattern):
            if term.kind not in ("text", "moment"):
                self._fail(f"LIKE compares text, and {term.shown} is {NOUNS[term.kind]}")
        if pattern.literal is None:
            self._fail("after LIKE a text in single quotes is expected")
        if left.literal is not None:
            self._fail(f"{left.shown} is a text and no column: columns stand without single quotes")
        if re.search(r"(?<!\\)(\\\\)*\\$", pattern.literal):
            self._fail(f"{pattern.shown} ends in a backslash, which takes away a meaning: write it twice")
        self._below(left, pattern)
        if self._take("escape") and self._literal() != "\\":
            self._fail("ESCAPE is not taken: a backslash before % or _ takes away its meaning")
        alike = [f"({left.sql} {word} {form})" for form in forms_of(pattern)]
        return condition_of(joined(alike, "AND" if word.startswith("NOT") else "OR"))

    def _literal(self) -> str | None:
        """Returns the text in quotes that comes next and moves on; None where another piece comes."""
        term = self._operand()
        return term.literal if term.kind == "text" else None

    def _in(self, left: Term) -> str:
        if self._take("(") is None:
            self._fail("after IN a list in brackets is expected")
        parts = [self._comparison(left, "=", self._sum())]
        while self._take(","):
            parts.append(self._comparison(left, "=", self._sum()))
        self._need(")")
        return joined(parts, "OR")

    def _comparison(self, left: Term, sign: str, right: Term) -> str:
        """Returns a comparison of two terms of one kind, of which one at least is no literal."""
        for one, other in ((left, right), (right, left)):
            if one.kind == "nothing":
                self._fail(f"nothing equals NULL: write {other.shown} IS NULL or IS NOT NULL")
            if one.kind == "other":
                self._fail(f"{one.shown} is {NOUNS[one.kind]}: it can only be IS NULL or IS NOT NULL")
        if left.literal is not None and right.literal is not None:
            self._fail(
                f"{left.shown} and {right.shown} are both values: a column stands plain or in double quotes"
            )
        self._below(left, right)
        self._below(right, left)
        if "moment" in (left.kind, right.kind):
            return self._moments(left, sign, right)
        left, right = self._alike(left, right), self._alike(right, left)
        if left.kind != right.kind:
            hint = f": write '{right.literal}'" if right.literal and left.kind == "text" else ""
            if {left.kind, right.kind} == {"text", "number"} and sign not in ("=", "!="):
                # As texts, '10' comes before '9'.
                text = left.shown if left.kind == "text" else right.shown
                hint = f": write CAST({text} AS double)"
            self._fail(f"{left.shown} is {NOUNS[left.kind]} and {right.shown} is {NOUNS[right.kind]}{hint}")
        if left.kind != "text" or sign not in ("=", "!="):
            return f"({widened(left, right)} {sign} {widened(right, left)})"
        equal = [f"({one} {sign} {other})" for one in forms_of(left) for other in forms_of(right)]
        return joined(equal, "OR" if sign == "=" else "AND")

    def _below(self, column: Term, value: Term) -> None:
        """Refuses to compare paths, which begin at the indexed folder, with one from the disk's root."""
        if column.shown == "path" and (value.literal or "").startswith(("/", "~", "./", "../")):
            begins = "at the current folder" if value.shown.startswith("'.") else "at the disk's root"
            self._fail(
                f"path is the way below the indexed folder, and {value.shown} begins {begins}: "
                "write ends_with(path, 'name.jpg')"
            )

    def _alike(self, term: Term, other: Term) -> Term:
        """Returns a text in quotes as the number or truth that it is compared with, where it is one."""
        if term.kind != "text" or term.literal is None:
            return term
        number = re.fullmatch(r"\s*([+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?)\s*", term.literal)
        if other.kind == "number" and number is not None:
            return number_of(number[1])
        if other.kind == "truth" and term.literal.lower() in ("true", "false"):
            return Term(term.literal.upper(), "truth", term.shown, term.literal)
        return term

    def _moments(self, left: Term, sign: str, right: Term) -> str:
        """Returns a comparison with the column ``taken``; a date without a time is all of that day."""
        if left.kind == right.kind == "moment":
            return f"({left.sql} {sign} {right.sql})"
        if left.kind != "moment":
            left, right, sign = right, left, sign.translate(str.maketrans("<>", "><"))
        date = right.literal or ""
        if not is_date(date):
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

    def _sum(self) -> Term:
        return self._arithmetic(("+", "-"), self._product)

    def _product(self) -> Term:
        return self._arithmetic(("*", "/", "%"), self._operand)

    def _arithmetic(self, signs: Sequence[str], part: Callable[[], Term]) -> Term:
        left = part()
        while (sign := self._take(*signs)) is not None:
            right = part()
            for term in (left, right):
                if term.kind != "number":
                    self._fail(f"{sign} takes numbers, and {term.shown} is {NOUNS[term.kind]}")
            left = computed(left, sign, right)
        return left

    def _operand(self) -> Term:
        token = self._next
        if self._take("("):
            term = self._deeper(self._alternatives)
            self._need(")")
            return term
        if self._take("+", "-"):
            if self._next.kind != "number":
                inner = self._deeper(self._operand)
                if inner.kind != "number":
                    self._fail(f"{inner.shown} is {NOUNS[inner.kind]} and takes no sign")
                sign = "-" if token.text == "-" else ""
                return Term(f"({sign}{inner.sql})", "number", inner.shown, type=inner.type)
            number = self._next.text
            self._next = next(self._tokens)
            return number_of(f"-{number}" if token.text == "-" else number)
        if token.kind in ("end", "sign") or (word := token.text.lower()) in {"and", "or", "in", "like"}:
            self._fail(f"a column or value is expected before {token.text or 'the end'}")
        self._next = next(self._tokens)
        if token.kind == "number":
            return number_of(token.text)
        if token.kind == "text":
            text = token.text[1:-1].replace("''", "'")
            return Term(token.text, "text", token.text, text)
        if token.kind == "word":
            if word in ("true", "false"):
                return Term(word.upper(), "truth", word.upper(), word)
            if word == "null":
                return Term("NULL", "nothing", "NULL")
            if word in ("date", "timestamp") and self._next.kind == "text":
                return self._operand()
            if self._take("("):
                return self._function(word)
        return self._column(token)

    def _column(self, token: Token) -> Term:
        quote = token.text[0] if token.kind == "quoted" else ""
        name = token.text[1:-1].replace(quote * 2, quote) if quote else token.text
        column = self._columns.get(name.lower())
        if column is None:
            if quote and any(sign in name for sign in "=<>"):
                self._fail(f"the whole condition {token.text[:80]} stands in quotes: leave them out")
            near, text = did_you_mean(name, self._columns.values()), name[:80].replace("'", "''")
            hint = "" if quote == "`" else f"; if it is a text, write '{text}' in single quotes"
            word = WORDS.get(name.lower(), "") if not quote else ""
            self._fail(f"there is no column {name[:80]}{near}{hint}{word and '; ' + word}")
        kind = self._schema.field(column).type
        escaped = column.replace("`", "``")
        return Term(f"`{escaped}`", kind_of(column, kind), column, type=kind)

    def _cast(self) -> Term:
        term = self._deeper(self._sum)
        self._need("as")
        kind = _CASTS.get(self._next.text.lower())
        if kind is None:
            self._fail(f"CAST takes text, bigint or double, not {self._next.text or 'the end'}")
        self._next = next(self._tokens)
        self._need(")")
        # Of what is no number the cast is NULL; the engine takes NaN for the largest of all.
        sql = f"TRY_CAST({term.sql} AS {kind[1]})"
        sql = f"NULLIF({sql}, CAST('NaN' AS double))" if kind[1] == "double" else sql
        return Term(sql, kind[0], f"CAST({term.shown} AS {kind[1]})")

    def _function(self, name: str) -> Term:
        if name == "cast":
            return self._cast()
        if name not in _FUNCTIONS:
            near = f": {WORDS[name]}" if name in WORDS else did_you_mean(name, _FUNCTIONS)
            self._fail(f"there is no function {name[:80]}{near} (known are {', '.join(sorted(_FUNCTIONS))})")
        kinds, result = _FUNCTIONS[name]
        arguments = [self._deeper(self._sum)]
        while self._take(","):
            arguments.append(self._deeper(self._sum))
        self._need(")")
        given = ["text" if argument.kind == "moment" else argument.kind for argument in arguments]
        if given != list(kinds):
            wanted = " and ".join(NOUNS[kind] for kind in kinds)
            self._fail(f"the function {name} takes {wanted}")
        shown = f"{name}({', '.join(argument.shown for argument in arguments)})"
        first = [argument.sql for argument in arguments[:-1]]
        last = forms_of(arguments[-1]) if result == "truth" else [arguments[-1].sql]
        return Term(joined([f"{name}({', '.join([*first, form])})" for form in last], "OR"), result, shown)
