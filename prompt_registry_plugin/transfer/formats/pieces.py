"""Templates of other tools as texts in pieces, and how they are written here.

A template becomes `double_brace`. It becomes Jinja if one of its variables has a default, or one of its texts is Jinja already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.frozen import values_of
from prompt_registry_plugin.records import EMPTY, Template, TemplateFormat
from prompt_registry_plugin.templates.text import VARIABLE_NAME, Piece, to_source
from prompt_registry_plugin.transfer.formats import jinja_source
from prompt_registry_plugin.transfer.formats.names import variable_names

_REQUIRED: Any = object()


class Variable(NamedTuple):
    """A place for a value."""

    name: str
    """The name under which the other tool takes the value."""
    default: Any = _REQUIRED
    """The value if none is given. A variable without a default needs one."""


class Include(NamedTuple):
    """A place for the text of another prompt."""

    reference: str
    """The prompt with its version or alias, as in `footer@production`."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text in pieces: literal strings, variables and other prompts. No two strings stand next to each other."""

    parts: tuple[str | Variable | Include, ...]


@dataclass(frozen=True, slots=True)
class JinjaText:
    """A text that only Jinja can render."""

    source: str
    variables: frozenset[str] = frozenset()
    """The names that it reads."""


@dataclass(frozen=True, slots=True)
class Written:
    """A template as the registry keeps it."""

    template: Template
    template_format: TemplateFormat
    notes: list[str] = field(default_factory=list)
    """Which variables have another name here."""
    names: dict[str, str] = field(default_factory=dict)
    """The name here for each variable of the source."""


def pieces(parts: Iterable[str | Variable | Include]) -> Pieces:
    """Return a text made of `parts`."""
    joined: list[str | Variable | Include] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return Pieces(tuple(joined))


def map_texts(value: Any, function: Callable[[Any], Any]) -> Any:
    """Return a template or content with each `Pieces` and `JinjaText` in it replaced by the result of `function`."""
    if isinstance(value, Pieces | JinjaText):
        return function(value)
    if isinstance(value, dict):
        return {key: map_texts(item, function) for key, item in value.items()}
    if isinstance(value, list):
        return [map_texts(item, function) for item in value]
    return value


def write_template(template: Any, defaults: Mapping[str, Any] = EMPTY) -> Written:
    """Return the registry's form of a template: a text, or a list of messages whose contents hold texts.

    `defaults` are the values of variables that may be missing. Raises `UserError` for Jinja that includes other prompts.
    """
    texts = [*values_of(Pieces, template), *values_of(JinjaText, template)]
    variables = [part for text in texts if isinstance(text, Pieces) for part in text.parts if isinstance(part, Variable)]
    messages = template if isinstance(template, list) else []
    placeholders = {message["name"] for message in messages if message.get("type") == "placeholder"}
    names = {variable.name for variable in variables}
    needs_jinja = any(isinstance(text, JinjaText) for text in texts) or any(
        variable.default is not _REQUIRED or variable.name in defaults for variable in variables
    )
    if not needs_jinja:
        valid = {name for name in names if re.fullmatch(VARIABLE_NAME, name)}
        renames = {name: name for name in valid} | variable_names(names - valid, valid | placeholders)
        return Written(map_texts(template, lambda text: _double_brace(text, renames)), "double_brace", _notes(renames), renames)
    taken = {name for text in texts if isinstance(text, JinjaText) for name in text.variables}
    renames = variable_names(names, placeholders | (taken - names))
    written = map_texts(template, lambda text: _jinja(text, renames, defaults))
    return Written(written, "jinja2", _notes(renames), renames | {name: name for name in taken})


def _notes(renames: dict[str, str]) -> list[str]:
    return [f"variable {old!r} is {new!r} here" for old, new in sorted(renames.items()) if old != new]


def _double_brace(text: Pieces, names: dict[str, str]) -> str:
    return to_source(
        Piece(part)
        if isinstance(part, str)
        else Piece("", names[part.name])
        if isinstance(part, Variable)
        else Piece("", None, part[0])
        for part in text.parts
    )


def _jinja(text: Pieces | JinjaText, names: dict[str, str], defaults: Mapping[str, Any]) -> str:
    if isinstance(text, JinjaText):
        used = {name: defaults[name] for name in sorted(text.variables) if name in defaults}
        return jinja_source.with_defaults(text.source, used)
    source = ""
    for part in text.parts:
        if isinstance(part, str):
            source += jinja_source.literal(part)
            continue
        if isinstance(part, Include):
            raise UserError(f"it includes {part.reference!r}, which a Jinja template cannot")
        default = defaults.get(part.name, _REQUIRED) if part.default is _REQUIRED else part.default
        filtered = "" if default is _REQUIRED else f" | default({jinja_source.quote(default)})"
        source += "{{ " + names[part.name] + filtered + " }}"
    return source


__all__ = ["Include", "JinjaText", "Pieces", "Variable", "Written", "map_texts", "pieces", "write_template"]
