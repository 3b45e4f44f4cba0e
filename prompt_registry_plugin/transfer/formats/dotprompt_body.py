"""The text of a dotprompt file as messages, split where dotprompt splits the rendered text: at roles, the history and media."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.errors import InvalidTemplate, UserError
from prompt_registry_plugin.records import Template, TemplateFormat
from prompt_registry_plugin.templates import compile_template
from prompt_registry_plugin.transfer.formats.handlebars.items import Code, History, Item, Media, Role
from prompt_registry_plugin.transfer.formats.handlebars.parser import parse
from prompt_registry_plugin.transfer.formats.handlebars.scope import Globals
from prompt_registry_plugin.transfer.formats.handlebars.syntax import Program
from prompt_registry_plugin.transfer.formats.handlebars.translate import HELPERS, Translator
from prompt_registry_plugin.transfer.formats.handlebars.values import NO_DEFAULT, Value
from prompt_registry_plugin.transfer.formats.names import RESERVED, variable_names
from prompt_registry_plugin.transfer.formats.pieces import Variable, pieces, write_template

_HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The values that a file declares."""

    schema: Mapping[str, Any]
    """JSON Schema of all values."""
    defaults: dict[str, Any]
    """Value by name that may be missing."""

    @property
    def names(self) -> set[str]:
        """The declared names."""
        properties = self.schema.get("properties")
        return {*(properties if isinstance(properties, Mapping) else ()), *self.defaults}

    def value(self, name: str, source: str) -> Value:
        """Return what is known about the value of `name`, whose Jinja expression is `source`."""
        properties = self.schema.get("properties")
        known = properties.get(name) if isinstance(properties, Mapping) else None
        schema = known if isinstance(known, Mapping) else {}
        optional = known is not None and name not in (self.schema.get("required") or ())
        default = self.defaults.get(name, NO_DEFAULT)
        return Value(source, schema, optional and default is NO_DEFAULT, default)


@dataclass(slots=True)
class Body:
    """The template of a file as the registry keeps it."""

    template: Template
    template_format: TemplateFormat
    names: dict[str, str]
    """The name here for each value that the text uses."""
    partials: set[str]
    """Names of the partials that were written into it."""
    notes: list[str] = field(default_factory=list)


def read_body(text: str, inputs: Inputs, partials: Mapping[str, str], where: str) -> Body:
    """Return the template of a text. Raises `UserError` for what cannot be kept exactly."""
    if not text.strip():
        raise UserError(f"{where} has no text, only settings")
    return _Reader(inputs, partials, where, text).read()


class _Reader:
    def __init__(self, inputs: Inputs, partials: Mapping[str, str], where: str, text: str) -> None:
        self._inputs = inputs
        self._partials = partials
        self._where = where
        self._text = text
        self._names: dict[str, str] = {}
        self._data: set[str] = set()
        self._used: set[str] = set()
        self._reserved = {
            *RESERVED,
            *re.findall(r"\w+", text),
            *(word for part in partials.values() for word in re.findall(r"\w+", part)),
        }
        self._translator = Translator(Globals(self._variable, self._datum), self._partial, self._reserved)

    def read(self) -> Body:
        program = parse(self._text, self._where)
        try:
            items = self._translator.translate(program)
        except UserError as error:
            raise UserError(f"{self._where}, {error}") from error
        has_marks = any(isinstance(item, Role | History | Media) for item in items)
        template = self._messages(items) if has_marks else self._text_of(items)
        if not template:
            raise UserError(f"{self._where} has roles, but no text under them")
        if both := self._data & self._names.keys():
            raise UserError(f"{self._where} uses {min(both)!r} both as an input and as '@{min(both)}'")
        body = self._write(template, items)
        compile_template(body.template, self._where, body.template_format)
        return body

    def _write(self, template: Any, items: list[Item]) -> Body:
        uses_jinja = any(isinstance(item, Code) for item in items) or any(
            isinstance(part, Code) for item in items if isinstance(item, Media) for part in self._media_texts(item)
        )
        notes = [f"'@{name}' is the variable {name!r} here" for name in sorted(self._data)]
        notes += [f"the partial {name!r} is written into the text" for name in sorted(self._used)]
        if not uses_jinja:
            done = write_template(_map(template, lambda text: pieces(item for item in text if isinstance(item, str | Variable))))
            return Body(done.template, done.template_format, done.names, self._used, notes + done.notes + self._translator.notes)
        written = _map(template, lambda text: "".join(map(self._translator.write, text)))
        notes += [f"variable {old!r} is {new!r} here" for old, new in sorted(self._names.items()) if old != new]
        return Body(written, "jinja2", self._names, self._used, notes + self._translator.notes)

    def _text_of(self, items: list[Item]) -> _Text:
        return _Text(tuple(item for item in items if isinstance(item, str | Variable | Code)))

    def _messages(self, items: list[Item]) -> list[dict[str, Any]]:
        """Return messages as dotprompt makes them of the rendered text: blank texts between marks are dropped."""
        messages: list[dict[str, Any]] = []
        current: dict[str, Any] = {"role": "user", "items": []}
        for piece in _pieces(items):
            if isinstance(piece, Role):
                if not re.fullmatch(r"[a-z]+", piece.name):
                    raise UserError(f"{self._where} has the role {piece.name!r}, which dotprompt writes as text")
                role = {"model": "assistant"}.get(piece.name, piece.name)
                if current["items"]:
                    messages.append(current)
                current = {"role": role, "items": []}
            elif isinstance(piece, History):
                messages += [current, {"type": "placeholder", "name": _HISTORY, "optional": True}]
                current = {"role": "assistant", "items": []}
            elif not _is_blank(piece):
                current["items"] += piece
        messages.append(current)
        kept = [message for message in messages if message.get("items") or message.get("type") == "placeholder"]
        return [message if "items" not in message else self._message(message, i) for i, message in enumerate(kept, 1)]

    def _message(self, message: dict[str, Any], number: int) -> dict[str, Any]:
        parts: list[Any] = []
        for part in _split_media(message["items"]):
            parts += [self._media_part(part)] if isinstance(part, Media) else [] if _is_blank(part) else [self._text_of(part)]
        texts = [part for part in parts if isinstance(part, _Text)]
        if len(texts) == len(parts) and all(_may_be_blank(text) for text in texts):
            self._translator.notes.append(f"message {number} stays here if its values leave it empty; dotprompt drops it then")
        if len(parts) == 1 and isinstance(parts[0], _Text):
            return {"role": message["role"], "content": parts[0]}
        content = [{"type": "text", "text": part} if isinstance(part, _Text) else part for part in parts]
        return {"role": message["role"], "content": content}

    def _media_part(self, media: Media) -> dict[str, Any]:
        texts = [_Text((part,)) for part in self._media_texts(media)]
        if media.content_type is None:
            return {"type": "image_url", "image_url": {"url": texts[0]}}
        return {"type": "media", "media": {"url": texts[0], "contentType": texts[1]}}

    def _media_texts(self, media: Media) -> list[Item]:
        values = [media.url] if media.content_type is None else [media.url, media.content_type]
        originals = {source: name for name, source in self._names.items()}
        found: list[Item] = []
        for value in values:
            if isinstance(value, str):
                found.append(value)
            elif value.source in originals and not value.needs_program:
                found.append(Variable(originals[value.source]))
            else:
                found.append(Code("{{ " + value.written() + " }}"))
        return found

    def _variable(self, name: str) -> Value:
        if name not in self._names:
            taken = self._reserved - {name} if name.isidentifier() and name not in RESERVED else self._reserved
            self._names[name] = variable_names([name], taken)[name]
            self._reserved.add(self._names[name])
        return self._inputs.value(name, self._names[name])

    def _datum(self, name: str) -> Value:
        if not name.isidentifier() or name in RESERVED or name in HELPERS:
            raise UserError(f"'@{name}' has no counterpart here")
        self._data.add(name)
        return Value(name)

    def _partial(self, name: str) -> Program | None:
        if name not in self._partials:
            return None
        self._used.add(name)
        try:
            return parse(self._partials[name], f"the partial {name!r}")
        except InvalidTemplate as error:
            raise UserError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Text:
    """Consecutive items that are one text."""

    items: tuple[Item, ...]


def _pieces(items: list[Item]) -> list[Any]:
    """Return roles and the history, and lists of what stands between them."""
    found: list[Any] = [[]]
    for item in items:
        if isinstance(item, Role | History):
            found += [item, []]
        else:
            found[-1].append(item)
    return found


def _split_media(items: list[Item]) -> list[Any]:
    """Return media, and lists of the items between them."""
    found: list[Any] = [[]]
    for item in items:
        if isinstance(item, Media):
            found += [item, []]
        else:
            found[-1].append(item)
    return found


def _is_blank(items: list[Item]) -> bool:
    return all(isinstance(item, str) and not item.strip() for item in items)


def _may_be_blank(text: _Text) -> bool:
    return all(
        (isinstance(item, str) and not item.strip()) or (isinstance(item, Code) and item.may_be_blank) for item in text.items
    )


def _map(value: Any, function: Any) -> Any:
    if isinstance(value, _Text):
        return function(value.items)
    if isinstance(value, dict):
        return {key: _map(item, function) for key, item in value.items()}
    if isinstance(value, list):
        return [_map(item, function) for item in value]
    return value
