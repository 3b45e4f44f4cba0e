"""The text below the front matter of a Prompty file, split into messages as Prompty's parsers split the rendered text.

Prompty renders first and looks for role lines afterwards. Here the roles have to stand in the source: a role line within a condition
or a loop is refused, except for the loop that writes a history.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.errors import InvalidTemplate, UserError
from prompt_registry_plugin.records import Template, TemplateFormat
from prompt_registry_plugin.templates.convert import from_mustache
from prompt_registry_plugin.templates.text import pieces_of
from prompt_registry_plugin.transfer.formats import jinja_source, jinja_text, nunjucks
from prompt_registry_plugin.transfer.formats.pieces import JinjaText, Pieces, Variable, map_texts, pieces, write_template
from prompt_registry_plugin.transfer.formats.prompty_settings import Settings

_ROLE_1 = re.compile(r"\s*#?\s*(?P<role>assistant|function|system|user)\s*:\s*", re.I)
_ROLE_2 = re.compile(
    r'\s*#?\s*(?P<role>assistant|developer|system|user)(?P<fields>\[(?:\w+\s*=\s*(?:"[^"\]]*"|[^",\]]*)\s*,?\s*)+\])?\s*:\s*',
    re.I,
)
_FIELD = re.compile(r'(\w+)\s*=\s*"?([^",]*)"?')
_HISTORY = re.compile(
    r"\{%-?\s*for\s+(?P<item>\w+)\s+in\s+(?P<name>\w+)\s*-?%\}\s*"
    r"\{\{-?\s*(?P=item)(?:\.role|\[['\"]role['\"]\])\s*-?\}\}\s*:[ \t]*\n\s*"
    r"\{\{-?\s*(?P=item)(?:\.content|\[['\"]content['\"]\])\s*-?\}\}\s*"
    r"\{%-?\s*endfor\s*-?%\}"
)
_IMAGE = re.compile(r"!\[[^\]]*\]\((.*?)(?=\"|\))\)", re.M)
_PARTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "image": lambda url: {"type": "image_url", "image_url": {"url": url}},
    "file": lambda url: {"type": "file", "file": {"url": url}},
    "audio": lambda url: {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
}


@dataclass(slots=True)
class Body:
    """The template of a Prompty file as the registry keeps it."""

    template: Template
    template_format: TemplateFormat
    variables: dict[str, str] = field(default_factory=dict)
    """The name here for each variable of the file."""
    placeholders: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Source:
    """A Jinja text of the file."""

    text: str


def read_body(text: str, settings: Settings, where: str) -> Body:
    """Return the template of a file's text. Raises `UserError` for what cannot be kept exactly."""
    if not text.strip():
        raise UserError(f"{where} has no text below its front matter")
    notes = []
    if settings.template_format == "mustache":
        text = _from_mustache(text, where)
        notes = ["values are not HTML-escaped here"]
    elif settings.template_format == "nunjucks":
        text, notes = nunjucks.to_jinja(text, where)
    template: Any = _Source(text.strip("\n") if settings.version == 2 else text.strip())
    if settings.is_chat or any(_boundary(settings).fullmatch(line) for line in text.split("\n")):
        template = _joined(_messages(text, settings, where), where)
        if not template:
            raise UserError(f"{where} has roles, but no text under them")
        used = _placeholders(template)
        if not used and not any(kind != "thread" for kind in settings.kinds.values()):
            template += [_placeholder(name) for name in settings.kinds]  # Prompty appends a thread that the text does not place
    body = _write(template, settings, where)
    body.notes = notes + body.notes
    return body


def _messages(text: str, settings: Settings, where: str) -> Iterator[dict[str, Any]]:
    for role, fields, segment in _segments(text, settings, where):
        history = _HISTORY.search(segment)
        if history is None:
            yield from _rich_messages({"role": role, **fields}, segment, settings, where)
            continue
        if segment[history.end() :].strip():
            raise UserError(f"{where} has a text behind a loop over {history['name']!r}, which Prompty adds to its last message")
        if segment[: history.start()].strip():
            yield from _rich_messages({"role": role, **fields}, segment[: history.start()], settings, where)
        yield _placeholder(history["name"])


def _segments(text: str, settings: Settings, where: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield role, fields and source of each message. Raises `UserError` for a role within a block."""
    boundary = _boundary(settings)
    role, fields, lines, found = "system", dict[str, str](), list[str](), []
    rows = text.removesuffix("\n").split("\n")
    for i, line in enumerate(rows):
        is_last = settings.version == 1 and i == len(rows) - 1 and not text.endswith("\n")  # version 1 asks for a line end
        match = None if is_last else boundary.fullmatch(line)
        if match is None:
            lines.append(line)
            continue
        found += [(role, fields, "\n".join(lines))] if lines else []
        role, lines = match["role"].lower(), []
        fields = dict(_FIELD.findall(match.groupdict().get("fields") or ""))
    found += [(role, fields, "\n".join(lines))] if lines else []
    for role, fields, segment in found:
        if settings.version == 1 and not segment.strip():
            continue
        try:
            jinja_text.parse(_HISTORY.sub("", segment), where)
        except InvalidTemplate as error:
            jinja_text.parse(text, where)  # raises for a text that is wrong as a whole
            raise UserError(
                f"{where} has a condition or loop around a role line, so that its messages depend on values"
            ) from error
        yield role, fields, segment


def _rich_messages(head: dict[str, Any], segment: str, settings: Settings, where: str) -> Iterator[dict[str, Any]]:
    """Yield the messages of one segment: an input of a rich kind ends one, and what follows it begins another."""
    strip = "\n" if settings.version == 2 else None
    if not (tag := _rich_tag(settings)).search(segment):
        content: Any = _strip(segment, strip, where)
        yield {**head, "content": _with_images(content.text, where) if settings.version == 1 else content}
        return
    position = 0
    for match in [*tag.finditer(segment), None]:
        before = segment[position : match.start() if match else None]
        if before.strip():
            yield {**head, "content": _strip(before, None, where)}
        if match is None:
            return
        position, name, kind = match.end(), match[1], settings.kinds[match[1]]
        yield _placeholder(name) if kind == "thread" else {"role": "user", "part": _PARTS[kind](_Source("{{ " + name + " }}"))}


def _joined(messages: Iterator[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """Return messages in which a part stands in the user's message before it, if there is one, else in a message of its own."""
    result: list[dict[str, Any]] = []
    for message in messages:
        if "part" not in message:
            result.append(message)
            continue
        last = result[-1] if result else {}
        if last.get("type") == "placeholder":
            raise UserError(f"{where} has an image, file or sound right behind a history; which message it joins depends on that")
        if last.get("role") != "user":
            result.append({"role": "user", "content": [message["part"]]})
            continue
        content = last["content"]
        result[-1] = {**last, "content": [*(content if isinstance(content, list) else [_text_part(content)]), message["part"]]}
    return result


def _with_images(source: str, where: str) -> Any:
    """Return a text of version 1 as parts, if it shows images in Markdown: Prompty makes them parts of the message."""
    pieces_found = _IMAGE.split(source)
    if len(pieces_found) == 1:
        return _Source(source)
    parts = []
    for i, piece in enumerate(pieces_found):
        url = piece.split(" ")[0].strip() if not piece.startswith("{{") else piece
        if i % 2 == 0:
            parts += [_text_part(_strip(piece, None, where))] if piece.strip() else []
        elif url.startswith(("http", "data", "{{")):
            parts.append(_PARTS["image"](_Source(url)))
        else:
            raise UserError(f"{where} embeds the image file {url!r}, which an import does not read; give it as a variable")
    return parts


def _write(template: Any, settings: Settings, where: str) -> Body:
    """Return a template of `_Source` texts as the registry keeps it."""
    texts = _map(template, lambda source: jinja_text.read_text(source, where))
    if not any(isinstance(text, JinjaText) for text in _leaves(texts)):
        texts = map_texts(texts, lambda text: _with_default(text, settings))
    done = write_template(texts, settings.defaults)
    return Body(done.template, done.template_format, done.names, _placeholders(template), done.notes)


def _leaves(value: Any) -> list[Any]:
    found: list[Any] = []
    map_texts(value, found.append)
    return found


def _with_default(text: Pieces, settings: Settings) -> Pieces:
    """Return a text with the defaults of its variables, stripped where Prompty strips the message that they begin or end."""
    parts = list(text.parts)
    strip = "\n" if settings.version == 2 else None
    for i, part in enumerate(parts):
        if not isinstance(part, Variable) or part.name not in settings.defaults:
            continue
        default = settings.defaults[part.name]
        if isinstance(default, str):
            default = default.lstrip(strip) if i == 0 else default
            default = default.rstrip(strip) if i == len(parts) - 1 else default
        parts[i] = Variable(part.name, default)
    return pieces(parts)


def _boundary(settings: Settings) -> re.Pattern[str]:
    return _ROLE_1 if settings.version == 1 else _ROLE_2


def _strip(source: str, characters: str | None, where: str) -> _Source:
    return _Source(jinja_text.strip_rendered(source, characters, where))


def _from_mustache(text: str, where: str) -> str:
    return "".join(
        jinja_source.literal(piece.literal) + ("{{ " + piece.name + " }}" if piece.name else "")
        for piece in pieces_of(from_mustache(text, where), where)
    )


def _map(value: Any, function: Callable[[str], Any]) -> Any:
    if isinstance(value, _Source):
        return function(value.text)
    if isinstance(value, dict):
        return {key: _map(item, function) for key, item in value.items()}
    if isinstance(value, list):
        return [_map(item, function) for item in value]
    return value


def _placeholder(name: str) -> dict[str, Any]:
    return {"type": "placeholder", "name": name, "optional": True}


def _placeholders(template: Any) -> set[str]:
    return (
        {message["name"] for message in template if message.get("type") == "placeholder"} if isinstance(template, list) else set()
    )


def _text_part(text: _Source) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _rich_tag(settings: Settings) -> re.Pattern[str]:
    """Return what finds an input of a rich kind in a text; it finds nothing if there are none."""
    names = "|".join(map(re.escape, settings.kinds)) or "(?!)"
    return re.compile(r"\{\{\s*(" + names + r")\s*\}\}")
