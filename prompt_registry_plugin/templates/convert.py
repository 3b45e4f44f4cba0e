"""Conversion from and to the template dialects of LangChain: f-string (`{name}`) and mustache (`{{name}}`, `{{{name}}}`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from string import Formatter
from typing import Any, Literal, cast

from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.records import Template
from prompt_registry_plugin.templates import compile_template
from prompt_registry_plugin.templates.chat import map_strings
from prompt_registry_plugin.templates.text import TextTemplate, to_source

_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_BRACES = re.compile(r"\{\{+|\{$")
_MUSTACHE = re.compile(r"\{\{\{(?P<raw>[^{}]*)\}\}\}|\{\{(?P<tag>[^{}]*)\}\}")


def to_double_brace(template: Template, template_format: Literal["f-string", "mustache"]) -> Template:
    """Return a string or list of messages that was written for LangChain in the `double_brace` dialect.

    Raises `InvalidTemplate` for syntax without a counterpart: attribute access, conversions and formats in f-strings; sections,
    partials and dotted names in mustache. The HTML escaping of mustache is dropped, because a prompt is not a web page.
    """
    converters = {"f-string": from_single_brace, "mustache": from_mustache}
    convert = converters.get(template_format)
    if convert is None:
        raise InvalidTemplate(f"template_format is 'f-string' or 'mustache', not {template_format!r}")
    if isinstance(template, str):
        return convert(template, "the template")
    if not isinstance(template, Sequence) or not all(isinstance(message, Mapping) for message in template):
        raise InvalidTemplate(
            "what is converted is a text or a list of messages (mappings); of a LangChain template, its `.template`"
        )
    messages = cast("Sequence[Mapping[str, Any]]", template)
    return [
        {**message, "content": map_strings(message["content"], partial(convert, where=f"message {i}"))}
        if "content" in message
        else message
        for i, message in enumerate(messages, 1)
    ]


def looks_like_jinja(text: str) -> bool:
    """Return whether a text contains statements of Jinja."""
    start = text.find("{%")
    return start >= 0 and text.find("%}", start + 2) >= 0


def from_single_brace(template: str, where: str) -> str:
    """Return the double-brace form of an f-string-style template (`{name}`, with `{{` and `}}` for braces).

    Raises `InvalidTemplate` for syntax without a counterpart: positional fields, attribute access, conversions, formats.
    """
    pieces: list[tuple[str, str | None]] = []
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise InvalidTemplate(f"{where} is no valid single-brace template: {error}") from error
    for literal, name, spec, conversion in parsed:
        if name is not None and (spec or conversion or not _PLAIN_NAME.fullmatch(name)):
            raise InvalidTemplate(f"{where}: field {{{name}}} has no counterpart here; only plain names can be converted")
        pieces.append((literal, name))
    return to_source(pieces)


def from_mustache(template: str, where: str) -> str:
    """Return the double-brace form of a mustache template with variables only. Raises `InvalidTemplate` for other tags."""
    pieces: list[tuple[str, str | None]] = []
    position = 0
    for match in _MUSTACHE.finditer(template):
        name = (match["raw"] if match["raw"] is not None else match["tag"].removeprefix("&")).strip()
        if not _PLAIN_NAME.fullmatch(name):
            raise InvalidTemplate(
                f"{where}: mustache tag {match[0]!r} has no counterpart here; only plain variables can be converted"
            )
        pieces.append((template[position : match.start()], name))
        position = match.end()
    rest = template[position:]
    if any("{{" in literal for literal, _ in [*pieces, (rest, None)]):
        raise InvalidTemplate(f"{where} is no valid mustache template: a tag is not closed")
    return to_source([*pieces, (rest, None)])


def to_single_brace(template: Template, where: str) -> Template:
    """Return the f-string-style form of a template, with doubled literal braces."""
    return _convert(template, where, "{", "}", lambda literal: literal.replace("{", "{{").replace("}", "}}"))


def to_mustache(template: Template, where: str) -> Template:
    """Return the mustache form of a template, with unescaped tags (`{{{name}}}`)."""
    # Mustache cannot escape two literal braces, so the delimiters are changed around them and changed back.
    return _convert(template, where, "{{{", "}}}", lambda literal: _BRACES.sub(r"{{=<% %>=}}\g<0><%={{ }}=%>", literal))


def _convert(template: Template, where: str, opening: str, closing: str, escape: Callable[[str], str]) -> Template:
    compiled = compile_template(template, where)

    def convert(text: TextTemplate) -> str:
        if dotted := [name for name in text.names if not _PLAIN_NAME.fullmatch(name)]:
            raise InvalidTemplate(f"{where}: variable {dotted[0]!r} would be read as attribute access in that dialect")
        pieces = [escape(text.literals[0])]
        for name, literal in zip(text.names, text.literals[1:], strict=True):
            pieces += [opening + name + closing, escape(literal)]
        return "".join(pieces)

    return convert(compiled) if isinstance(compiled, TextTemplate) else compiled.with_texts(convert)
