"""Templates: `{{name}}` and nothing else, compiled once, rendered in a single pass.

A template is split at its variables when it is compiled; rendering joins the pieces with the values. Values are never
looked at, so whatever a user typed cannot become a variable. Single braces (JSON, code) are literal text. Two opening
braces that are meant literally are written `{{ '{{' }}`, as in Jinja; two closing ones need no care.

A chat template is a list of messages: `{"role": …, "content": text | parts | None, …}`, whose other fields pass through
unchanged, or `{"type": "placeholder", "name": "history"}`, which is replaced by the messages given under that name, as
they are (with `"optional": true` they may be missing).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from typing import Any

from prompt_registry_plugin.errors import InvalidTemplate, MissingVariable, did_you_mean
from prompt_registry_plugin.frozen import freeze
from prompt_registry_plugin.records import Template

VARIABLE_NAME = r"[A-Za-z_]\w*(?:\.\w+)*"
_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OPENING = "{{"
_TOKEN = re.compile(r"\{\{\s*(?:(?P<name>" + VARIABLE_NAME + r")|'\{\{')\s*\}\}", re.ASCII)
_ESCAPE = "{{ '{{' }}"


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """A compiled text: `literals[0] + value of names[0] + literals[1] + …`."""

    source: str
    literals: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def variables(self) -> frozenset[str]:
        """The names of the variables, each once."""
        return frozenset(self.names)

    def render(self, values: Mapping[str, Any], where: str) -> str:
        """The text with every variable replaced. Raises `MissingVariable`, naming it and `where`."""
        try:
            given = [values[name] for name in self.names]
        except KeyError:
            raise missing(self.variables, values, where) from None
        pieces = [self.literals[0]]
        for value, literal in zip(given, self.literals[1:], strict=True):
            pieces.append(value if type(value) is str else str(value))
            pieces.append(literal)
        return "".join(pieces)

    def partial(self, values: Mapping[str, Any]) -> str:
        """A template source with the given values filled in, escaped so that they stay text."""
        pieces: list[tuple[str, str | None]] = [(self.literals[0], None)]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            pieces.append((str(values[name]), None) if name in values else ("", name))
            pieces.append((literal, None))
        return to_source(pieces)


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A compiled chat template; `source` is the frozen list of messages it was made from."""

    source: Sequence[Mapping[str, Any]]
    messages: tuple[_Message, ...]
    variables: frozenset[str]

    def render(self, values: Mapping[str, Any], where: str) -> list[Any]:
        """The messages, new dictionaries, with the messages of placeholders put in as they are.

        Raises `MissingVariable`, and `InvalidTemplate` when a placeholder is given something other than a list.
        """
        rendered: list[Any] = []
        for message in self.messages:
            if message.placeholder is None:
                content = _map_text(message.content, lambda text: text.render(values, where))
                rendered.append({**message.fields, "content": content})
                continue
            if message.placeholder in values:
                history = values[message.placeholder]
                if isinstance(history, str | bytes | Mapping) or not isinstance(history, Sequence):
                    raise InvalidTemplate(
                        f"placeholder {message.placeholder!r} of {where} takes a list of messages, not {type(history).__name__}"
                    )
                rendered.extend(history)
            elif not message.optional:
                raise missing(self.variables, values, where)
        return rendered

    def partial(self, values: Mapping[str, Any]) -> list[Any]:
        """A template source with the given text values filled in; placeholders stay."""
        return [
            {**message.fields, "content": _map_text(message.content, lambda text: text.partial(values))}
            if message.placeholder is None
            else dict(source)
            for message, source in zip(self.messages, self.source, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Message:
    fields: Mapping[str, Any]
    content: Any  # None, a TextTemplate, or JSON whose texts are TextTemplates
    placeholder: str | None = None
    optional: bool = False


CompiledTemplate = TextTemplate | ChatTemplate


def compile_template(template: Template, where: str) -> CompiledTemplate:
    """The compiled form of a text or a list of messages.

    `where` names the template in errors. Raises `InvalidTemplate` with the place of the fault.
    """
    if isinstance(template, str):
        if not template.strip():
            raise InvalidTemplate(f"the template of {where} is empty")
        return _compile_text(template, where)
    if isinstance(template, Mapping | bytes) or not isinstance(template, Sequence):
        raise InvalidTemplate(f"the template of {where} is a text or a list of messages, not {type(template).__name__}")
    if not template:
        raise InvalidTemplate(f"the template of {where} is an empty list of messages")
    messages = tuple(_compile_message(message, f"message {i} of {where}") for i, message in enumerate(template, 1))
    names = {name for message in messages for text in _texts(message.content) for name in text.names}
    placeholders = {message.placeholder for message in messages if message.placeholder is not None}
    if both := names & placeholders:
        raise InvalidTemplate(f"{where} uses {min(both)!r} both as a variable and as a placeholder for messages")
    blank = all(not text.source.strip() for message in messages for text in _texts(message.content))
    if blank and not placeholders and not any("tool_calls" in message.fields for message in messages):
        raise InvalidTemplate(f"the messages of {where} are all empty")
    required = {message.placeholder for message in messages if message.placeholder is not None and not message.optional}
    return ChatTemplate(freeze(template), messages, frozenset(names | required))


def missing(variables: frozenset[str], values: Mapping[str, Any], where: str) -> MissingVariable:
    """The error that names what is missing, with near matches among what was given."""
    absent = sorted(variables - values.keys())
    hint = did_you_mean(absent[0], set(values) - variables)
    hint = hint.replace("did you mean", "it was given") if hint else ""
    names = ", ".join(map(repr, absent))
    return MissingVariable(f"{where} needs {'a value' if len(absent) == 1 else 'values'} for {names}{hint}")


def to_source(pieces: Iterable[tuple[str, str | None]]) -> str:
    """The template source of pieces, each a literal text followed by a variable or None.

    Literal text is escaped only after neighbours were joined: two braces may come from two pieces.
    """
    source, literal = [], ""
    for text, name in pieces:
        literal += text
        if name is not None:
            source += [literal.replace(_OPENING, _ESCAPE), "{{" + name + "}}"]
            literal = ""
    return "".join(source) + literal.replace(_OPENING, _ESCAPE)


def from_single_brace(template: str, where: str) -> str:
    """Our form of an f-string-style template (`{name}`, with `{{` and `}}` for braces).

    Raises `InvalidTemplate` for what has no counterpart: positional fields, attribute access, conversions, formats.
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


def to_single_brace(template: Template, where: str) -> Template:
    """The f-string-style form of a template, its literal braces doubled, for frameworks that want that."""
    compiled = compile_template(template, where)

    def single(text: TextTemplate) -> str:
        if dotted := [name for name in text.names if not _PLAIN_NAME.fullmatch(name)]:
            raise InvalidTemplate(f"{where}: variable {dotted[0]!r} would be read as attribute access between single braces")
        pieces = [_double(text.literals[0])]
        for name, literal in zip(text.names, text.literals[1:], strict=True):
            pieces += ["{" + name + "}", _double(literal)]
        return "".join(pieces)

    if isinstance(compiled, TextTemplate):
        return single(compiled)
    return [
        {**message.fields, "content": _map_text(message.content, single)} if message.placeholder is None else dict(source)
        for message, source in zip(compiled.messages, compiled.source, strict=True)
    ]


def _double(literal: str) -> str:
    return literal.replace("{", "{{").replace("}", "}}")


@lru_cache(maxsize=4096)
def _compile_text(source: str, where: str) -> TextTemplate:
    # A brace right before a variable's own two belongs to the text: "{{{x}}}" is "{" + x + "}".
    literals, names, literal, position = [], [], "", 0
    for match in _TOKEN.finditer(source):
        literal += _checked_literal(source, position, match.start(), where)
        if match["name"] is None:
            literal += _OPENING
        else:
            literals.append(literal)
            names.append(match["name"])
            literal = ""
        position = match.end()
    literals.append(literal + _checked_literal(source, position, len(source), where))
    return TextTemplate(source, tuple(literals), tuple(names))


def _checked_literal(source: str, start: int, end: int, where: str) -> str:
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


def _compile_message(message: object, where: str) -> _Message:
    if not isinstance(message, Mapping):
        raise InvalidTemplate(f"{where} is a mapping with 'role' and 'content', not {type(message).__name__}")
    if message.get("type") == "placeholder":
        name = message.get("name")
        if not isinstance(name, str) or not re.fullmatch(VARIABLE_NAME, name, re.ASCII):
            raise InvalidTemplate(f"{where} is a placeholder without a valid 'name': {name!r}")
        optional = message.get("optional", False)
        if not isinstance(optional, bool):
            raise InvalidTemplate(f"'optional' of {where} is true or false, not {optional!r}")
        return _Message({}, None, placeholder=name, optional=optional)
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise InvalidTemplate(f"{where} has no 'role'")
    if "content" not in message and "tool_calls" not in message:
        raise InvalidTemplate(f"{where} has no 'content'")
    content = message.get("content")
    if content is not None and not isinstance(content, str | list | tuple):
        raise InvalidTemplate(f"the content of {where} is a text, a list of parts or None, not {type(content).__name__}")
    fields = {key: freeze(value) for key, value in message.items() if key != "content"}
    return _Message(fields, _map_strings(content, lambda text: _compile_text(text, where)))


def _map_strings(value: Any, function: Callable[[str], Any]) -> Any:
    if isinstance(value, str):
        return function(value)
    if isinstance(value, Mapping):
        return {key: item if key == "type" else _map_strings(item, function) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_strings(item, function) for item in value]
    return value


def _map_text(value: Any, function: Callable[[TextTemplate], str]) -> Any:
    if isinstance(value, TextTemplate):
        return function(value)
    if isinstance(value, Mapping):
        return {key: _map_text(item, function) for key, item in value.items()}
    if isinstance(value, list):
        return [_map_text(item, function) for item in value]
    return value


def _texts(value: Any) -> Iterator[TextTemplate]:
    if isinstance(value, TextTemplate):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
