"""What the methods of `str` and functions such as `dedent` make of a text that is known in part."""

from __future__ import annotations

import ast
from collections.abc import Callable

from prompt_registry_plugin.sources import texts
from prompt_registry_plugin.sources.fields import Arguments, dollar_fields, format_fields
from prompt_registry_plugin.sources.texts import Text, Texts, transform

_Method = Callable[[Text, ast.Call], Text | None]


def _strip(name: str) -> _Method:
    def apply(text: Text, node: ast.Call) -> Text | None:
        if not node.args:
            return transform(text, getattr(str, name))
        characters = _constant_argument(node)
        return None if characters is None else transform(text, lambda source: str(getattr(source, name)(characters)))

    return apply


def _affix(name: str) -> _Method:
    def apply(text: Text, node: ast.Call) -> Text | None:
        affix = _constant_argument(node)
        return None if affix is None else transform(text, lambda source: str(getattr(source, name)(affix)))

    return apply


def _case(name: str) -> _Method:
    def apply(text: Text, node: ast.Call) -> Text | None:
        return None if text.holes else transform(text, getattr(str, name))

    return apply


def _format(text: Text, node: ast.Call) -> Text | None:
    return transform(text, lambda source: format_fields(source, Arguments.of(node)), "format")


def _substitute(text: Text, node: ast.Call) -> Text | None:
    return transform(text, lambda source: dollar_fields(source, Arguments.of(node)), "template")


def _constant_argument(node: ast.Call) -> str | None:
    first = node.args[0] if len(node.args) == 1 else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


TEXT_METHODS: dict[str, _Method] = {
    "format": _format,
    "format_map": lambda text, node: transform(text, format_fields, "format"),
    "substitute": _substitute,
    "safe_substitute": _substitute,
    **{name: _strip(name) for name in ("strip", "lstrip", "rstrip")},
    **{name: _affix(name) for name in ("removeprefix", "removesuffix")},
    **{name: _case(name) for name in ("upper", "lower", "title", "capitalize")},
}
"""Methods of a text, and of `string.Template`."""

TEXT_FUNCTIONS: dict[str, Callable[[Text], Text | Texts | None]] = {
    "dedent": texts.dedent,
    "cleandoc": texts.cleandoc,
    "str": lambda text: text,
    "cast": lambda text: text,
    "Template": lambda text: text,
}
"""Functions of a text, by the last part of their name."""
