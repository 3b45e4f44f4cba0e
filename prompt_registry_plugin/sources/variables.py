"""Readable names for what stands between the literal pieces: `user.name` is `user_name`, a call is its function."""

from __future__ import annotations

import ast
import re
from collections.abc import Hashable, Iterable
from functools import lru_cache

from prompt_registry_plugin.sources.texts import Hole

_MAX_NAME = 60
# What only holds the values: `state["topic"]` and `self.topic` are both `topic`.
_HOLDERS = frozenset(
    {"self", "cls", "state", "ctx", "context", "deps", "inputs", "kwargs", "args", "runtime", "values", "wrapper"}
)
# Calls that yield their argument, or what they are called on, in another form: the name of that is the better one.
_FORMS = frozenset("str repr int float round format dumps list tuple sorted join set cast escape".split())
_FORMING_METHODS = frozenset(
    "strip lstrip rstrip lower upper title capitalize strftime isoformat replace format split splitlines encode decode removeprefix "
    "removesuffix model_dump_json model_dump json dict to_string to_json keys values items read read_text getvalue copy".split()
)
_GETTERS = frozenset({"get", "getattr", "pop", "getenv", "get_state", "setdefault"})


def name_of(node: ast.AST | None) -> str:
    """Return a name for the value of an expression, such as `user_name` for `user.name`."""
    words = [word for word in _words(node) if word]
    while len(words) > 1 and words[0] in _HOLDERS:
        words.pop(0)
    return clean_name("_".join(words))


@lru_cache(maxsize=4096)
def clean_name(name: str) -> str:
    """Return `name` as a variable of a template: ASCII letters, digits and `_`."""
    cleaned = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:_MAX_NAME].strip("_")
    if not cleaned:
        return "value"
    return cleaned if not cleaned[0].isdigit() else f"value_{cleaned}"


def key_of(node: ast.AST) -> Hashable:
    """Return what tells the value of an expression from others: equal for the same path of names, such as `user.name`."""
    path = _path(node)
    return ("path", path) if path else ("place", getattr(node, "lineno", 0), getattr(node, "col_offset", 0), id(node))


def name_holes(holes: Iterable[Hole]) -> dict[Hashable, str]:
    """Return the variable of each hole by its key; the second hole of a name is `name_2`."""
    names: dict[Hashable, str] = {}
    taken: set[str] = set()
    for hole in holes:
        if hole.key in names:
            continue
        wanted = name = clean_name(hole.name)
        number = 2
        while name in taken:
            name = f"{wanted}_{number}"
            number += 1
        names[hole.key] = name
        taken.add(name)
    return names


def _path(node: ast.AST) -> str | None:
    """Return a path of names, attributes and constant keys; None for an expression that may yield something else each time."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _path(node.value)
        return base and f"{base}.{node.attr}"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        base = _path(node.value)
        return base and f"{base}[{node.slice.value!r}]"
    return None


def _words(node: ast.AST | None) -> list[str]:
    match node:
        case ast.Name(id=name):
            return [name]
        case ast.Attribute(value=value, attr=attribute):
            return [*_words(value), attribute]
        case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
            return [*_words(value), key]
        case ast.Subscript(value=value):
            return _words(value)
        case ast.Call():
            return _called(node)
        case ast.Await(value=value) | ast.NamedExpr(target=value) | ast.Starred(value=value) | ast.FormattedValue(value=value):
            return _words(value)
        case ast.IfExp(body=body, orelse=other):
            return _words(body) or _words(other)
        case ast.BoolOp(values=[first, *_]):
            return _words(first)
        case ast.BinOp(left=left, right=right):
            return _words(left) or _words(right)
        case (
            ast.ListComp(generators=[first, *_]) | ast.GeneratorExp(generators=[first, *_]) | ast.SetComp(generators=[first, *_])
        ):
            return _words(first.iter)
        case ast.comprehension(iter=value):
            return _words(value)
    return []


def _called(node: ast.Call) -> list[str]:
    function = node.func
    if isinstance(function, ast.Attribute):
        if function.attr in _GETTERS and node.args:
            key = next((a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)), None)
            if key is not None:
                return [*(_words(function.value) if function.attr != "getenv" else []), key]
        if function.attr in ("join", "dumps", "cast", "escape") and node.args:
            return _words(node.args[-1])
        if function.attr in _FORMING_METHODS:
            return _words(function.value)
        return [function.attr]
    if isinstance(function, ast.Name):
        if function.id in ("getattr", "getenv") and node.args:
            key = next((a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)), None)
            return [*_words(node.args[0]), key] if key else _words(node.args[0])
        if function.id in _FORMS and node.args:
            return _words(node.args[-1] if function.id == "cast" else node.args[0])
        return [function.id]
    return []
