"""The language of `search_prompts(filter_string=…)`.

    name = 'support'    name LIKE 'telco%'    name ILIKE 'TELCO%'    tags.use_case = 'technical_support'    alias = 'production'
    created_at >= '2026-01-01'    text MATCH 'refund policy'    archived = 'true'

Comparisons are joined with `AND`, `OR`, `NOT` and parentheses. `name`, `alias` and tags take `=`, `!=`, `LIKE` and `ILIKE`;
`created_at` takes `=`, `!=`, `<`, `<=`, `>` and `>=` with an ISO date or time (UTC where it names no zone); `text MATCH` finds all of
the words, in any order and case, in the newest version. Archived prompts are left out unless the filter names `archived`. A tag key
with special characters is written in backticks: tags.`my key`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from prompt_registry_plugin.errors import InvalidFilter

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|(?P<operator>!=|<=|>=|=|<|>)|(?P<paren>[()])"
    r"|(?P<word>[A-Za-z_][\w.\-]*(?:`[^`]+`)?))"
)
_MAX_TOKENS = 400  # SQLite takes 999 parameters in a statement, and a tag needs four
_MAX_DEPTH = 20  # SQLite refuses expressions that are nested deeply
_ORDER_FIELDS = ("name", "created_at", "latest_version")
_OF_TEXTS = ("=", "!=", "LIKE", "ILIKE")
_OPERATORS = {
    "name": _OF_TEXTS,
    "alias": _OF_TEXTS,
    "created_at": ("=", "!=", "<", "<=", ">", ">="),
    "text": ("MATCH",),
    "archived": ("=", "!="),
}


@dataclass(frozen=True, slots=True)
class Predicate:
    """One comparison in a filter, such as `name LIKE 'support%'`."""

    field: str
    """One of `name`, `alias`, `created_at`, `text` and `archived`, or the key of a tag."""
    operator: str
    """As in SQL, in upper case; `MATCH` for `text`."""
    value: str
    """Without its quotes."""
    is_tag: bool = False
    """Whether `field` is the key of a tag."""

    @property
    def moment(self) -> datetime:
        """The value as a time, in UTC if it names no zone. Raises `ValueError`."""
        moment = datetime.fromisoformat(self.value.strip())
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Not:
    """Matches prompts that `operand` does not match."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class And:
    """Matches prompts that all operands match."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Matches prompts that any operand matches."""

    operands: tuple[Expression, ...]


Expression = Predicate | Not | And | Or


def parse_filter(text: str) -> Expression:
    """Return the expression in `text`. Raises `InvalidFilter`, which shows the place of a mistake with a caret."""
    return _Parser(text).parse()


def parse_order(order_by: Sequence[str]) -> list[tuple[str, str]]:
    """Return (field, direction) pairs of clauses such as `"name DESC"`. Raises `InvalidFilter`."""
    pairs = []
    for clause in [order_by] if isinstance(order_by, str) else order_by:
        field, _, direction = clause.strip().partition(" ")
        direction = direction.strip().upper() or "ASC"
        if field not in _ORDER_FIELDS or direction not in ("ASC", "DESC"):
            raise InvalidFilter(f"cannot order by {clause!r}: write one of {', '.join(_ORDER_FIELDS)}, then ASC or DESC")
        pairs.append((field, direction))
    return pairs


class _Parser:
    """A parser by recursive descent: OR binds weakest, then AND, then NOT."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []  # kind, text, position
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                self.fail(len(text) - len(text[position:].lstrip()), "this cannot be read")
            self.tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            position = match.end()
            if len(self.tokens) > _MAX_TOKENS:
                self.fail(position, f"more than {_MAX_TOKENS} words and signs")
        self.at = 0
        self.depth = 0

    def parse(self) -> Expression:
        expression = self.either()
        if self.at < len(self.tokens):
            self.fail(self.tokens[self.at][2], "AND or OR expected")
        return expression

    def either(self) -> Expression:
        operands = [self.both()]
        while self.keyword("OR"):
            operands.append(self.both())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def both(self) -> Expression:
        operands = [self.single()]
        while self.keyword("AND"):
            operands.append(self.single())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def single(self) -> Expression:
        if self.keyword("NOT"):
            with self.deeper():
                return Not(self.single())
        kind, text, position = self.next("a field, NOT or '('")
        if (kind, text) == ("paren", "("):
            with self.deeper():
                inner = self.either()
            if self.next("')'")[1] != ")":
                self.fail(self.tokens[self.at - 1][2], "')' expected")
            return inner
        field, is_tag = (text[5:].strip("`"), True) if text.startswith("tags.") and kind == "word" else (text, False)
        if not is_tag and (kind != "word" or field not in _OPERATORS):
            self.fail(position, f"a field is {', '.join(_OPERATORS)} or tags.<key>")
        _, operator, position = self.next("an operator")
        operator = operator.upper()
        allowed = _OF_TEXTS if is_tag else _OPERATORS[field]
        if operator not in allowed:
            self.fail(position, f"{field} takes {' or '.join(filter(None, (', '.join(allowed[:-1]), allowed[-1])))}")
        kind, value, position = self.next("a quoted value")
        if kind != "string":
            self.fail(position, "a value is written in quotes")
        predicate = Predicate(field, operator, value[1:-1].replace(value[0] * 2, value[0]), is_tag)
        if not is_tag and (fault := _fault(predicate)):
            self.fail(position, fault)
        return predicate

    @contextmanager
    def deeper(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(self.tokens[self.at - 1][2], f"NOT and parentheses more than {_MAX_DEPTH} deep")
        yield
        self.depth -= 1

    def keyword(self, word: str) -> bool:
        found = self.at < len(self.tokens) and self.tokens[self.at][0] == "word" and self.tokens[self.at][1].upper() == word
        self.at += found
        return found

    def next(self, expected: str) -> tuple[str, str, int]:
        if self.at >= len(self.tokens):
            self.fail(len(self.text), f"{expected} expected")
        self.at += 1
        return self.tokens[self.at - 1]

    def fail(self, position: int, reason: str) -> NoReturn:
        # A filter may have several lines, and the caret has to stand under the right one.
        start = self.text.rfind("\n", 0, position) + 1
        end = self.text.find("\n", position)
        line = self.text[start : end if end >= 0 else None]
        raise InvalidFilter(f"cannot read the filter: {reason}\n  {line}\n  {' ' * (position - start)}^")


def _fault(predicate: Predicate) -> str | None:
    """Return what is wrong with the value of a predicate, or None."""
    if predicate.field == "archived" and predicate.value.lower() not in ("true", "false"):
        return "archived is 'true' or 'false'"
    if predicate.field == "text" and not re.search(r"[^\W_]", predicate.value):
        return "MATCH needs at least one word"
    if predicate.field == "created_at":
        try:
            predicate.moment.astimezone(UTC)
        except (ValueError, OverflowError):
            return "a time is written as '2026-01-31' or '2026-01-31T12:00:00'"
    return None
