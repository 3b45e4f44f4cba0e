"""The text of a promptfoo prompt as a template: JSON and YAML chats, and texts, both rendered with Nunjucks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.records import Template, TemplateFormat
from prompt_registry_plugin.templates.chat import map_strings
from prompt_registry_plugin.transfer.formats import jinja_text, nunjucks
from prompt_registry_plugin.transfer.formats.pieces import JinjaText, Pieces, pieces, write_template
from prompt_registry_plugin.transfer.formats.reading import parse_json, parse_yaml

_PARTIAL_TAG = re.compile(r"\{%[^%]*$|\{\{[^}]*$|\{#[^#]*$", re.M)
_RAW = re.compile(r"\{%\s*raw\s*%\}.*\{%\s*endraw\s*%\}", re.S)
_TAG = re.compile(r"\{\{|\{%|\{#")
_DUMPED = re.compile(r"\{\{\s*([^\W\d]\w*)\s*\|\s*dump\s*\}\}")
_CONVERSATION = re.compile(
    r"\{%-?\s*for\s+(\w+)\s+in\s+_conversation\s*-?%\}\s*"
    r'\{\s*"role"\s*:\s*"user"\s*,\s*"content"\s*:\s*(?:"\{\{\s*\1\.input\s*\}\}"|\{\{\s*\1\.input\s*\|\s*dump\s*\}\})\s*\}\s*,\s*'
    r'\{\s*"role"\s*:\s*"assistant"\s*,\s*"content"\s*:\s*(?:"\{\{\s*\1\.output\s*\}\}"|\{\{\s*\1\.output\s*\|\s*dump\s*\}\})\s*\}\s*,\s*'
    r"\{%-?\s*endfor\s*-?%\}"
)
_HISTORY = {"type": "placeholder", "name": "_conversation", "optional": True}


@dataclass(slots=True)
class Content:
    """A template as the registry keeps it."""

    template: Template
    template_format: TemplateFormat
    notes: list[str] = field(default_factory=list)


def read_raw(raw: str, where: str) -> Content:
    """Return a prompt's template. Raises `UserError` for what would be rendered otherwise here."""
    data = _json(raw, where)
    if data is not None:
        return _read_json(data, where)
    trimmed = raw.strip()
    if trimmed.startswith("- role:"):
        try:
            return _read_chat(parse_yaml(raw, where, version="1.2"), where)
        except UserError as error:
            raise UserError(f"{where} is a YAML chat that can only be read once it is rendered: {error}") from error
    if trimmed.startswith(("[", "{")) and not trimmed.startswith(("{{", "{%", "{#")) and _TAG.search(trimmed):
        return _read_rendered_json(raw, where)
    if _PARTIAL_TAG.search(raw) and not _RAW.search(raw):  # promptfoo renders nothing in such a text
        return _write(pieces([raw]), where)
    return _write(raw, where)


def _json(raw: str, where: str) -> Any:
    if not raw.lstrip().startswith(("[", "{", '"')):
        return None
    try:
        return parse_json(raw, where)
    except UserError as error:
        if not isinstance(error.__cause__, ValueError):
            raise
        return None


def _read_json(data: Any, where: str) -> Content:
    if isinstance(data, list) and data and all(isinstance(message, dict) and "role" in message for message in data):
        return _read_chat(data, where)
    text = json.dumps(data, ensure_ascii=False, indent=2)
    if _TAG.search(text):
        raise UserError(f"{where} is JSON that is not a chat, with variables in it; promptfoo escapes their values")
    return _write(pieces([text]), where)


def _read_rendered_json(raw: str, where: str) -> Content:
    """Return a chat that is JSON only once it is rendered: values with `dump`, and the loop over `_conversation`."""
    replaced, loops = _CONVERSATION.subn(lambda _match: json.dumps(_HISTORY) + ",", raw)
    replaced = _DUMPED.sub(r'"{{ \1 }}"', replaced)
    try:
        content = _read_chat(parse_json(replaced, where), where)
    except UserError as error:
        raise UserError(f"{where} is JSON only once it is rendered, with more than values in it: {error}") from error
    content.notes += ["'_conversation' takes chat messages here"] if loops else []
    return content


def _read_chat(data: Any, where: str) -> Content:
    messages = data if isinstance(data, list) else []
    if not messages or not all(isinstance(message, dict) and ("role" in message or message == _HISTORY) for message in messages):
        raise UserError(f"{where} is no list of messages with 'role' and 'content'")
    for message in messages:
        rest = {key: value for key, value in message.items() if key != "content"}
        if _TAG.search(json.dumps(rest, ensure_ascii=False)):
            raise UserError(f"{where} has variables outside of the 'content' of its messages")
    return _write(messages, where)


def _write(template: Any, where: str) -> Content:
    """Return a text or messages with Nunjucks in them as the registry keeps them. `Pieces` are texts without any."""
    if isinstance(template, Pieces):
        done = write_template(template)
        return Content(done.template, done.template_format, done.notes)
    notes: list[str] = []

    def translate(source: str) -> Pieces | JinjaText:
        plain = jinja_text.plain_pieces(source, where) if "\r" not in source else _plain_lines(source, where)
        if plain is not None:
            return plain
        jinja, different = nunjucks.to_jinja(source, where)
        notes.extend(note for note in different if note not in notes)
        text = jinja_text.read_text(jinja, where)
        return text if isinstance(text, JinjaText) else JinjaText(jinja)

    done = write_template(_map(template, translate))
    return Content(done.template, done.template_format, notes + done.notes)


def _plain_lines(source: str, where: str) -> Pieces | None:
    """Return the pieces of a text with `\\r` in it, which Jinja's lexer would change."""
    found: list[Any] = []
    for part in re.split("(\r)", source):
        text = pieces([part]) if part in ("", "\r") else jinja_text.plain_pieces(part, where)
        if text is None:
            return None
        found += text.parts
    return pieces(found)


def _map(template: Any, function: Callable[[str], Any]) -> Any:
    if isinstance(template, str):
        return function(template)
    return [
        {**message, "content": map_strings(message["content"], function)} if "content" in message else message
        for message in template
    ]
