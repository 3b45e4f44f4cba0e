"""The language of `search_prompts(filter_string=…)`.

    name = 'support'    name LIKE 'telco%'    name ILIKE 'TELCO%'    tags.use_case = 'technical_support'    alias = 'production'

Comparisons (`=`, `!=`, `LIKE`, `ILIKE`) are joined with `AND`, `OR`, `NOT` and parentheses. A key with special characters is
written in backticks: tags.`my key`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from prompt_registry_plugin.errors import InvalidFilter

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|(?P<operator>!=|=)|(?P<paren>[()])"
    r"|(?P<word>[A-Za-z_][\w.\-]*(?:`[^`]+`)?))"
)
_MAX_TOKENS = 400
_ORDER_FIELDS = ("name", "created_at", "latest_version")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field` is `"name"`, `"alias"`, or, when `is_tag`, the key of a tag."""

    field: str
    operator: str
    value: str
    is_tag: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """What `operand` is not."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class And:
    """All of the operands."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of the operands."""

    operands: tuple[Expression, ...]


Expression = Comparison | Not | And | Or


def parse_filter(text: str) -> Expression:
    """The expression that `text` is. Raises `InvalidFilter`, showing the place with a caret."""
    return _Parser(text).parse()


def parse_order(order_by: Sequence[str]) -> list[tuple[str, str]]:
    """(field, direction) pairs of clauses such as `"name DESC"`. Raises `InvalidFilter`."""
    pairs = []
    for clause in order_by:
        field, _, direction = clause.strip().partition(" ")
        direction = direction.strip().upper() or "ASC"
        if field not in _ORDER_FIELDS or direction not in ("ASC", "DESC"):
            raise InvalidFilter(f"cannot order by {clause!r}: write one of {', '.join(_ORDER_FIELDS)}, then ASC or DESC")
        pairs.append((field, direction))
    return pairs


class _Parser:
    """Recursive descent: OR binds weakest, then AND, then NOT."""

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
            return Not(self.single())
        kind, text, position = self.next("a field, NOT or '('")
        if (kind, text) == ("paren", "("):
            inner = self.either()
            if self.next("')'")[1] != ")":
                self.fail(self.tokens[self.at - 1][2], "')' expected")
            return inner
        field, is_tag = (text[5:].strip("`"), True) if text.startswith("tags.") and kind == "word" else (text, False)
        if not is_tag and (kind != "word" or field not in ("name", "alias")):
            self.fail(position, "a field is name, alias or tags.<key>")
        _, operator, position = self.next("an operator")
        operator = operator.upper()
        if operator not in ("=", "!=", "LIKE", "ILIKE"):
            self.fail(position, "an operator is =, !=, LIKE or ILIKE")
        kind, value, position = self.next("a quoted value")
        if kind != "string":
            self.fail(position, "a value is written in quotes")
        return Comparison(field, operator, value[1:-1].replace(value[0] * 2, value[0]), is_tag)

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
        raise InvalidFilter(f"cannot read the filter: {reason}\n  {self.text}\n  {' ' * position}^")
