"""Searching a list of prompts with the registry's filter language, whose parser every store may use."""

from __future__ import annotations

import base64
import json
import operator
import re
from collections.abc import Mapping, Sequence
from functools import cmp_to_key, partial
from typing import Any

from prompt_registry_plugin import PromptVersion
from prompt_registry_plugin.errors import InvalidFilter
from prompt_registry_plugin.records import Page, Prompt, digest
from prompt_registry_plugin.store.filters import And, Expression, Not, Or, Predicate, parse_filter, parse_order

Row = tuple[Prompt, PromptVersion]  # a prompt and its newest version
Order = list[tuple[str, str]]
_TIMES = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def find(rows: Sequence[Row], filter_string: str | None, *, limit: int, order_by: Sequence[str], page_token: str | None) -> Page:
    """Return a page of the prompts that match. Raises `InvalidFilter`."""
    order = parse_order(order_by)
    if "name" not in [field for field, _ in order]:
        order.append(("name", "ASC"))
    expression = parse_filter(filter_string) if filter_string and filter_string.strip() else None
    if expression is None or not _mentions_archived(expression):
        rows = [row for row in rows if row[0].archived_at is None]
    found = [prompt for prompt, newest in rows if expression is None or _matches(expression, prompt, newest)]
    compare = partial(_compare, order)
    in_order = cmp_to_key(compare)
    keys = sorted(((_key(order, prompt), prompt) for prompt in found), key=lambda pair: in_order(pair[0]))
    search = digest([filter_string, order])
    if page_token:
        last = _read_token(page_token, search, order)
        keys = [pair for pair in keys if compare(pair[0], last) > 0]
    shown = keys[:limit]
    return Page([prompt for _, prompt in shown], _token(search, shown[-1][0]) if len(keys) > limit else None)


def _key(order: Order, prompt: Prompt) -> list[Any]:
    values = {"name": prompt.name, "latest_version": prompt.latest_version, "created_at": prompt.created_at.isoformat()}
    return [values[field] for field, _ in order]


def _compare(order: Order, one: list[Any], other: list[Any]) -> int:
    for (_, direction), a, b in zip(order, one, other, strict=True):
        if a != b:
            return (1 if a > b else -1) * (1 if direction == "ASC" else -1)
    return 0


def _token(search: str, last: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([search, last]).encode()).decode()


def _read_token(token: str, search: str, order: Order) -> list[Any]:
    try:
        of, last = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
    except (ValueError, TypeError):
        of, last = None, []
    if of != search or [type(value) for value in last] != [int if field == "latest_version" else str for field, _ in order]:
        raise InvalidFilter(f"page_token {token!r} did not come from this search; use the token of its last page, unchanged")
    values: list[Any] = last
    return values


def _matches(expression: Expression, prompt: Prompt, newest: PromptVersion) -> bool:
    if isinstance(expression, Not):
        return not _matches(expression.operand, prompt, newest)
    if isinstance(expression, And | Or):
        combine = all if isinstance(expression, And) else any
        return combine(_matches(operand, prompt, newest) for operand in expression.operands)
    field, value = expression.field, expression.value
    if expression.is_tag:  # a tag of the prompt, or of its newest version
        return _any_is(expression, [tags[field] for tags in (prompt.tags, newest.tags) if field in tags])
    if field == "alias":
        return _any_is(expression, list(prompt.aliases))
    if field == "name":
        return _any_is(expression, [prompt.name])
    if field == "archived":
        return ((prompt.archived_at is not None) == (value.lower() == "true")) == (expression.operator == "=")
    if field == "created_at":
        return bool(_TIMES[expression.operator](prompt.created_at, expression.moment))
    return _words(value) <= _words(newest.template)


def _any_is(predicate: Predicate, texts: Sequence[str]) -> bool:
    if predicate.operator in ("=", "!="):
        return (predicate.value in texts) == (predicate.operator == "=")
    pattern = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in predicate.value)
    flags = re.S if predicate.operator == "LIKE" else re.S | re.I
    return any(re.fullmatch(pattern, text, flags) for text in texts)


def _words(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(re.findall(r"[^\W_]+", value.lower()))
    items = [v for k, v in value.items() if k not in ("role", "type")] if isinstance(value, Mapping) else value
    return {word for item in items for word in _words(item)} if isinstance(items, list | tuple) else set()


def _mentions_archived(expression: Expression) -> bool:
    if isinstance(expression, Not):
        return _mentions_archived(expression.operand)
    if isinstance(expression, And | Or):
        return any(map(_mentions_archived, expression.operands))
    return expression.field == "archived" and not expression.is_tag
