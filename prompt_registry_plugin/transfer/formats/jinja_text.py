"""Templates of tools that render with Jinja itself: texts with plain variables only, checks, and what surrounds a text."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.templates.jinja import compile_jinja
from prompt_registry_plugin.transfer.formats.names import RESERVED
from prompt_registry_plugin.transfer.formats.pieces import JinjaText, Pieces, Variable, pieces

_LEXER = Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701  it reads tokens and renders nothing


def plain_pieces(source: str, where: str) -> Pieces | None:
    """Return the pieces of a Jinja text that has variables and nothing else in its tags, else None.

    Raises `InvalidTemplate` for a text that Jinja cannot read.
    """
    found: list[str | Variable] = []
    expression: list[str] = []
    inside = False
    try:
        for _line, kind, value in _LEXER.lex(source):
            if kind == "data" and not inside:
                found.append(value)
            elif kind == "variable_begin" and value == "{{":
                inside, expression = True, []
            elif kind == "variable_end" and value == "}}" and len(expression) == 1:
                inside = False
                found.append(Variable(expression[0]))
            elif inside and kind == "whitespace":
                continue
            elif inside and kind == "name" and value not in RESERVED:
                expression.append(value)
            else:
                return None
    except TemplateSyntaxError as error:
        raise _unreadable(where, error) from error
    return None if inside else pieces(found)


def read_text(source: str, where: str) -> Pieces | JinjaText:
    """Return a Jinja text in pieces, if it has plain variables only, else as Jinja.

    Raises `InvalidTemplate` for a text that Jinja cannot read, or that the sandbox here refuses.
    """
    plain = plain_pieces(source, where)
    if plain is not None:
        return plain
    check_source(source, where)
    return JinjaText(source, compile_jinja(source, where).variables)


def parse(source: str, where: str) -> nodes.Template:
    """Return the tree of a Jinja text. Raises `InvalidTemplate`."""
    try:
        return _LEXER.parse(source)
    except TemplateSyntaxError as error:
        raise _unreadable(where, error) from error
    except RecursionError:
        raise InvalidTemplate(f"the Jinja template of {where} is nested too deeply") from None


def check_source(source: str, where: str) -> None:
    """Raise `InvalidTemplate` for a Jinja text that the sandbox here would refuse, now or at every render."""
    compile_jinja(source, where)
    for node in parse(source, where).find_all(nodes.Mod):
        if isinstance(node.left, nodes.Const) and isinstance(node.left.value, str):
            raise InvalidTemplate(f"line {node.lineno} of {where} formats a text with %, which the sandbox refuses")


def strip_rendered(source: str, characters: str | None, where: str) -> str:
    """Return a Jinja text that renders to what `source` does, stripped of `characters` (None: white space) at both ends."""
    source = source.strip(characters)
    body = parse(source, where).body
    first, last = (body[0], body[-1]) if body else (None, None)
    if isinstance(first, nodes.Output) and isinstance(last, nodes.Output):
        start, end = first.nodes[0], last.nodes[-1]
        starts_blank = isinstance(start, nodes.TemplateData) and start.data != start.data.lstrip(characters)
        ends_blank = isinstance(end, nodes.TemplateData) and end.data != end.data.rstrip(characters)
        if not starts_blank and not ends_blank:
            return source  # text or a value stands at both ends, and values are not changed
    argument = "" if characters is None else "(" + repr(characters) + ")"
    return "{% filter trim" + argument + " %}" + source + "{% endfilter %}"


def strip_pieces(text: Pieces, characters: str | None) -> Pieces:
    """Return a text whose literal ends are stripped of `characters` (None: white space). Values are not changed."""
    parts: list[Any] = list(text.parts)
    if parts and isinstance(parts[0], str):
        parts[0] = parts[0].lstrip(characters)
    if parts and isinstance(parts[-1], str):
        parts[-1] = parts[-1].rstrip(characters)
    return pieces(parts)


def _unreadable(where: str, error: TemplateSyntaxError) -> InvalidTemplate:
    return InvalidTemplate(f"the Jinja template of {where} cannot be read, line {error.lineno}: {error.message}")
