"""Limits for what a Jinja template does on the way to its result: text made, items visited, calls.

The sandbox keeps a template from reading private data, and not from filling the memory or running forever. A budget in a
`ContextVar` counts the work of one rendering; operators, filters, methods, loops and calls draw on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sized
from contextvars import ContextVar
from functools import wraps
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import MAX_RANGE, ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MAX_TEXT = 1_000_000
"""The most characters, or items, of any value that a template makes."""
MAX_WORK = 4_000_000
"""The most characters written and items visited in one rendering."""
MAX_CALLS = 50_000
"""The most calls of macros, functions and filters in one rendering."""

_WORK: ContextVar[list[int]] = ContextVar("jinja_work")


class Rendering:
    """One rendering: a block in which the work of a template is counted."""

    def __enter__(self) -> None:
        self._token = _WORK.set([0, 0])

    def __exit__(self, *_error: object) -> None:
        _WORK.reset(self._token)


def _spend(work: int, calls: int = 0) -> None:
    spent = _WORK.get(None)
    if spent is None:
        return
    spent[0] += work
    spent[1] += calls
    if spent[0] > MAX_WORK or spent[1] > MAX_CALLS:
        raise SecurityError("the template works too long: it writes, visits or calls too much")


def _check_size(value: Any) -> Any:
    if isinstance(value, str | bytes | list | tuple | dict | set) and len(value) > MAX_TEXT:
        raise SecurityError(f"a value would have over {MAX_TEXT:,} characters or items")
    return value


def _check_arguments(name: str, arguments: Iterable[Any]) -> None:
    """Raise `SecurityError` if a method or filter would make a huge text, before it does."""
    given = list(arguments)
    numbers = [abs(each) for each in given if isinstance(each, int)]
    texts = [each for each in given if isinstance(each, str)]
    if max(numbers, default=0) > MAX_TEXT or any(
        re.search(r"[:%.][^{}%]{0,8}\d{6,}", text) for text in texts if "format" in name
    ):
        raise SecurityError(f"a number is too large for {name!r}")
    if name == "replace" and len(texts) > 2 and (texts[0].count(texts[1]) + 1) * len(texts[2]) > MAX_TEXT:
        raise SecurityError(f"a value would have over {MAX_TEXT:,} characters")
    places = texts[0].count("\n") + texts[0].count("\t") + 1 if name in ("indent", "expandtabs") and texts else 0
    if places * max(numbers, default=0) > MAX_TEXT:
        raise SecurityError(f"a value would have over {MAX_TEXT:,} characters")
    if name == "tojson" and max(numbers, default=0) > 100:
        raise SecurityError("an indentation of over 100")
    if name == "join" and texts:
        _check_join(given, texts)


def _check_join(given: list[Any], texts: list[str]) -> None:
    """Raise `SecurityError` if joining would make a huge text: of a list, of the characters of a text, or of what has no length."""
    items = next((each for each in given if isinstance(each, Iterable) and not isinstance(each, str)), None)
    if items is None:  # the characters of one text with another between them, whichever is which
        total = len(texts[0]) * len(texts[1]) if len(texts) > 1 else len(texts[0])
    elif isinstance(items, list | tuple):
        total = sum(len(str(item)) for item in items) + max(map(len, texts)) * len(items)
    else:
        total = max(map(len, texts)) * (len(items) if isinstance(items, Sized) else MAX_RANGE)  # no loop of a template is longer
    if total > MAX_TEXT:
        raise SecurityError(f"a value would have over {MAX_TEXT:,} characters")


def _limit_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def limited(*arguments: Any, **named: Any) -> Any:
        _spend(0, 1)
        _check_arguments(name, [*arguments, *named.values()])
        return _check_size(function(*arguments, **named))

    return limited


def concat(parts: Iterable[Any]) -> str:
    """Return the texts of an expression with `~`, joined."""
    texts = [str(part) for part in parts]
    if sum(map(len, texts)) > MAX_TEXT:
        raise SecurityError(f"a value would have over {MAX_TEXT:,} characters")
    return "".join(texts)


def count_items(items: Any, weight: int) -> Any:
    """Return the items of a loop, each of which draws `weight` on the budget."""
    if isinstance(items, Sized):
        _spend(len(items) * weight)
        return items
    return _counting(items, weight)


def _counting(items: Iterable[Any], weight: int) -> Iterator[Any]:
    for item in items:
        _spend(weight)
        yield item


def finalize(value: Any) -> Any:
    """Return a value that is written; its characters draw on the budget."""
    text = value if isinstance(value, str) else str(value)
    _spend(len(text))
    return _check_size(text)


class Limits(NodeTransformer):
    """Puts the limits into the tree of a template, where an environment has no place for them."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  named by jinja2
        """Replace `a ~ b` by a filter that checks the length."""
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes, lineno=node.lineno), "_concat", [], [], None, None, lineno=node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        """Count the items of a loop, weighted with the literal text in it."""
        self.generic_visit(node)
        weight = 1 + sum(len(data.data) for part in node.body for data in part.find_all(nodes.TemplateData))
        weight += sum(len(part.data) for part in node.body if isinstance(part, nodes.TemplateData))
        arguments: list[nodes.Expr] = [nodes.Const(weight, lineno=node.lineno)]
        node.iter = nodes.Filter(node.iter, "_count_items", arguments, [], None, None, lineno=node.lineno)
        return node


class LimitedSandbox(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox, with limits on work."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, **settings: Any) -> None:
        super().__init__(finalize=finalize, **settings)
        self.filters = {name: _limit_filter(name, function) for name, function in self.filters.items()}
        self.filters |= {"_concat": concat, "_count_items": count_items}
        self.globals = {name: value for name, value in self.globals.items() if name != "lipsum"}

    def call(self, context: Context, obj: Any, /, *arguments: Any, **named: Any) -> Any:
        """Call what a template calls, within the limits."""
        _spend(0, 1)
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str | bytes | list | tuple | int):
            _check_arguments(getattr(obj, "__name__", ""), [owner, *arguments, *named.values()])
        return _check_size(super().call(context, obj, *arguments, **named))

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        """Refuse a forbidden attribute at once: as something undefined it would only be false in a condition."""
        raise SecurityError(f"access to attribute {attribute!r} of {type(obj).__name__!r} is not allowed")

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return a `str.format` that the sandbox allows, within the limits; None for anything else."""
        allowed = super().wrap_str_format(value)
        if allowed is None:
            return None

        def limited(*arguments: Any, **named: Any) -> str:
            _check_arguments("format", [value.__self__, *arguments, *named.values()])
            return str(_check_size(allowed(*arguments, **named)))

        return limited

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply an operator, within the limits."""
        sizes = [len(side) for side in (left, right) if isinstance(side, str | bytes | list | tuple)]
        numbers = [abs(side) for side in (left, right) if isinstance(side, int | float)]
        if operator == "+" and sum(sizes) > MAX_TEXT:
            raise SecurityError(f"a value would have over {MAX_TEXT:,} characters")
        if operator == "*" and sizes and numbers and sizes[0] * numbers[0] > MAX_TEXT:
            raise SecurityError(f"a value would have over {MAX_TEXT:,} characters")
        if operator == "*" and not sizes and any(isinstance(n, int) and n.bit_length() > 10_000 for n in numbers):
            raise SecurityError("a number of over 10,000 bits")
        if operator == "**" and max(numbers, default=0) > 10_000:
            raise SecurityError("a power of numbers over 10,000")
        if operator == "%" and isinstance(left, str | bytes):
            raise SecurityError("use the filter 'format' of values outside the template instead of %")
        return super().call_binop(context, operator, left, right)
