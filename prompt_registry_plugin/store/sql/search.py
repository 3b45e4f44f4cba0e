"""`search_prompts` in SQL: a parsed filter as a condition, and pages that begin where the last one ended.

Tags and aliases are looked up in their own indexes (`name IN (…)`), not compared for each prompt, so that the cost of a search grows
with its results and not with the registry. A page begins after the values of the last row, not after a count of rows: prompts that
are registered between two pages shift no row.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from prompt_registry_plugin.errors import InvalidFilter
from prompt_registry_plugin.records import digest
from prompt_registry_plugin.store.filters import And, Expression, Not, Or, Predicate, parse_filter, parse_order
from prompt_registry_plugin.store.sql.database import Dialect, as_words, iso

COLUMNS = "p.name, p.latest_version, p.created_at, p.archived_at"
_FIELDS = {"name": 0, "latest_version": 1, "created_at": 2}  # what can be ordered by, and its position in COLUMNS


class Query:
    """A search. `sql` and `parameters` return one row more than `limit` if there is a next page."""

    def __init__(
        self, dialect: Dialect, filter_string: str | None, limit: int, order_by: Sequence[str], page_token: str | None
    ) -> None:
        self.dialect = dialect
        self.limit = limit
        self.order = parse_order(order_by)
        if "name" not in [field for field, _ in self.order]:
            self.order.append(("name", "ASC"))
        self.mark = digest([filter_string, self.order])[:8]
        expression = parse_filter(filter_string) if filter_string and filter_string.strip() else None
        conditions, self.parameters = ["p.latest_version > 0"], list[Any]()
        if expression is None or not _mentions(expression, "archived"):
            conditions.append("p.archived_at IS NULL")
        extra = [self._where(expression)] if expression is not None else []
        extra += [self._where_after(page_token)] if page_token else []
        for sql, parameters in extra:
            conditions.append(sql)
            self.parameters += parameters
        order = ", ".join(f"p.{field} {direction}" for field, direction in self.order)
        self.sql = f"SELECT {COLUMNS} FROM prompts p WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT {limit + 1}"

    def token(self, last: Sequence[Any]) -> str:
        """Return the token of the page after the one that ends with row `last`."""
        body = [self.mark, [last[_FIELDS[field]] for field, _ in self.order]]
        return base64.urlsafe_b64encode(json.dumps(body).encode()).decode()

    def _where_after(self, token: str) -> tuple[str, list[Any]]:
        try:
            mark, last = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
            valid = mark == self.mark and [type(value) for value in last] == [
                int if field == "latest_version" else str for field, _ in self.order
            ]
        except (ValueError, binascii.Error, TypeError):
            valid = False
        if not valid:
            raise InvalidFilter(f"page_token {token!r} did not come from this search; use the token of its last page, unchanged")
        # (a, b) after (x, y) is a > x OR (a = x AND b > y), each with its own direction.
        sql, parameters = "", list[Any]()
        for (field, direction), value in reversed(list(zip(self.order, last, strict=True))):
            beyond = f"p.{field} {'>' if direction == 'ASC' else '<'} ?"
            sql = f"({beyond} OR (p.{field} = ? AND {sql}))" if sql else beyond
            parameters = [value, *([value] if parameters else []), *parameters]
        return sql, parameters

    def _where(self, expression: Expression) -> tuple[str, list[Any]]:
        if isinstance(expression, Not):
            sql, parameters = self._where(expression.operand)
            return f"NOT ({sql})", parameters
        if isinstance(expression, And | Or):
            word = " AND " if isinstance(expression, And) else " OR "
            sides = [self._where(operand) for operand in expression.operands]
            return "(" + word.join(sql for sql, _ in sides) + ")", [value for _, values in sides for value in values]
        return self._where_predicate(expression)

    def _where_predicate(self, predicate: Predicate) -> tuple[str, list[Any]]:
        field, operator, value = predicate.field, predicate.operator, predicate.value
        if predicate.is_tag or field == "alias":
            inner = "=" if operator == "!=" else operator
            word = "NOT IN" if operator == "!=" else "IN"
            sql, parameters = self._where_tag(field, inner, value) if predicate.is_tag else self._where_alias(inner, value)
            return f"p.name {word} ({sql})", parameters
        if field == "text":
            return self.dialect.has_words.format("p.number"), [self.dialect.words(as_words(value))]
        if field == "archived":
            shown = (value.lower() == "true") == (operator == "=")
            return f"p.archived_at IS {'NOT ' if shown else ''}NULL", []
        if field == "created_at":
            return f"p.created_at {operator} ?", [iso(predicate.moment)]
        return self._where_text("p.name", operator, value)

    def _where_tag(self, key: str, operator: str, value: str) -> tuple[str, list[Any]]:
        # A tag of the prompt or of its newest version: `register_prompt(tags=…)` writes the latter.
        sql, parameters = self._where_text("t.value", operator, value)
        return (
            f"SELECT t.name FROM prompt_tags t WHERE t.key = ? AND {sql} UNION "
            f"SELECT t.name FROM version_tags t JOIN prompts q ON q.name = t.name AND q.latest_version = t.version "
            f"WHERE t.key = ? AND {sql}"
        ), [key, *parameters] * 2

    def _where_alias(self, operator: str, value: str) -> tuple[str, list[Any]]:
        sql, parameters = self._where_text("a.alias", operator, value)
        return f"SELECT a.name FROM prompt_aliases a WHERE {sql}", parameters

    def _where_text(self, column: str, operator: str, value: str) -> tuple[str, list[Any]]:
        if operator in ("LIKE", "ILIKE"):
            form = self.dialect.like if operator == "LIKE" else self.dialect.ilike
            return form.format(column), [self.dialect.pattern(value) if operator == "LIKE" else value]
        return f"{column} {operator} ?", [value]


def _mentions(expression: Expression, field: str) -> bool:
    if isinstance(expression, Not):
        return _mentions(expression.operand, field)
    if isinstance(expression, And | Or):
        return any(_mentions(operand, field) for operand in expression.operands)
    return expression.field == field and not expression.is_tag
