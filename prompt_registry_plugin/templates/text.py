"""The default dialect: `{{name}}` and includes, nothing else, rendered in a single pass.

A name holds letters of any script, digits and `_`, with `.` or `-` between parts: `{{user-name}}`, `{{質問}}`.

A template is split at its variables when it is compiled. Rendering joins the pieces with the values. Values are never parsed, so
user input cannot become a variable. Single braces (JSON, code) are literal text. Write two literal opening braces as
`{{ '{{' }}`, as in Jinja. Two closing braces need no escape.

`{{> other@production}}` is an include. The registry expands it when the prompt is loaded (see `includes`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from prompt_registry_plugin.errors import InvalidTemplate, MissingVariable, did_you_mean
from prompt_registry_plugin.moved import forward_old_names

# Letters, digits and marks of every script, no spaces, and no characters that are invisible or that turn the direction of a line.
_NAME_PART = r"[\w\u0300-\u061b\u061d-\u167f\u1681-\u180d\u1810-\u1fff\u2c00-\u2fff\u3001-\ud7ff\uf900-\ufdff]+"
VARIABLE_NAME = rf"[^\W\d](?:{_NAME_PART})?(?:[.\-]{_NAME_PART})*"
"""A regular expression of what may name a variable: letters of any script, digits, `_`, and `.` or `-` between parts."""
_OPENING = "{{"
_SPACE = r"[ \t\r\n\f\v]*"
_TOKEN = re.compile(rf"\{{\{{{_SPACE}(?:(?P<name>{VARIABLE_NAME})|>{_SPACE}(?P<include>[^\s{{}}]+)|'\{{\{{'){_SPACE}\}}\}}")
_ESCAPE = "{{ '{{' }}"


class Piece(NamedTuple):
    """A literal text and the variable or include after it. The last piece has neither."""

    literal: str
    """The text, unescaped."""
    name: str | None = None
    """The variable that follows."""
    include: str | None = None
    """The included prompt that follows."""


class TextTemplate:
    """A compiled text: `literals[0] + value of names[0] + literals[1] + …`. Immutable."""

    __slots__ = ("_blank", "_slots", "literals", "names", "source", "variables")

    def __init__(self, source: str, literals: tuple[str, ...], names: tuple[str, ...]) -> None:
        self.source = source
        self.literals = literals
        self.names = names
        self.variables = frozenset(names)
        # Literals with a gap after each but the last. To render, copy the list, fill the gaps and join: the fastest way.
        self._blank = [part for literal in literals for part in (literal, "")][:-1]
        self._slots = tuple(zip(range(1, 2 * len(names), 2), names, strict=True))

    def render(self, values: Mapping[str, Any], where: str) -> str:
        """Return the text with every variable replaced. Raises `MissingVariable` with the variable and `where`."""
        parts = self._blank.copy()
        try:
            for at, name in self._slots:
                value = values[name]
                parts[at] = value if type(value) is str else str(value)
        except KeyError:
            if self.variables <= values.keys():
                raise  # raised by the __str__ of a value, not by a missing one
            raise missing_variable_error(self.variables, values, where) from None
        return "".join(parts)

    def partial(self, values: Mapping[str, Any]) -> str:
        """Return a template source with the given values filled in, escaped so that they stay text."""
        pieces: list[Piece] = [Piece(self.literals[0])]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            pieces.append(Piece(str(values[name])) if name in values else Piece("", name))
            pieces.append(Piece(literal))
        return to_source(pieces)

    def __repr__(self) -> str:
        return f"TextTemplate({self.source!r})"


def missing_variable_error(variables: frozenset[str], values: Mapping[str, Any], where: str) -> MissingVariable:
    """Return the error that names the missing variables, with similar names among the values."""
    absent = sorted(variables - values.keys())
    hint = did_you_mean(absent[0], set(values) - variables)
    hint = hint.replace("did you mean", "it was given") if hint else ""
    names = ", ".join(map(repr, absent))
    return MissingVariable(f"{where} needs {'a value' if len(absent) == 1 else 'values'} for {names}{hint}")


def to_source(pieces: Iterable[tuple[str, str | None] | Piece]) -> str:
    """Return the template source of pieces, each a literal text followed by a variable, an include or nothing.

    Neighboring literals are joined before they are escaped, because two braces may come from two pieces.
    """
    source, literal = [], ""
    for piece in pieces:
        text, name, include = Piece(*piece)
        literal += text
        if name is not None or include is not None:
            source += [literal.replace(_OPENING, _ESCAPE), "{{" + (name or f"> {include}") + "}}"]
            literal = ""
    return "".join(source) + literal.replace(_OPENING, _ESCAPE)


@lru_cache(maxsize=4096)
def compile_text(source: str, where: str) -> TextTemplate:
    """Return the compiled form of a text without includes. Raises `InvalidTemplate` with the position of the error."""
    pieces = pieces_of(source, where)
    if any(piece.include for piece in pieces):
        raise InvalidTemplate(f"the template of {where} includes other prompts, which is only possible in a registered prompt")
    return TextTemplate(
        source, tuple(piece.literal for piece in pieces), tuple(piece.name for piece in pieces if piece.name is not None)
    )


def pieces_of(source: str, where: str) -> list[Piece]:
    """Return a text split at its variables and includes. The last piece has neither. Raises `InvalidTemplate`."""
    # A brace right before a variable's own two belongs to the text: "{{{x}}}" is "{" + x + "}".
    pieces, literal, position = [], "", 0
    for match in _TOKEN.finditer(source):
        literal += _check_literal(source, position, match.start(), where)
        if match["name"] is None and match["include"] is None:
            literal += _OPENING
        else:
            pieces.append(Piece(literal, match["name"], match["include"]))
            literal = ""
        position = match.end()
    pieces.append(Piece(literal + _check_literal(source, position, len(source), where)))
    return pieces


def _check_literal(source: str, start: int, end: int, where: str) -> str:
    """Return `source[start:end]`. Raise `InvalidTemplate`, with line and column, if it contains two opening braces."""
    at = source.find(_OPENING, start, end)
    if at >= 0:
        line = source.count("\n", 0, at) + 1
        column = at - (source.rfind("\n", 0, at) + 1) + 1
        shown = source[at : at + 30].splitlines()[0]
        raise InvalidTemplate(
            f"the template of {where} has an unbalanced or unreadable variable at line {line}, column {column}: {shown!r}; "
            "a variable is {{name}}, and two literal opening braces are written {{ '{{' }}"
        )
    return source[start:end]


forward_old_names(__name__)
