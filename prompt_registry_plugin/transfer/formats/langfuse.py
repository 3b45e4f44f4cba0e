"""Langfuse: the JSON of its API or export: one prompt, a list of them, or `{"data": […]}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.protocols import ImportedPrompt, LeftOut, NewVersion
from prompt_registry_plugin.templates.chat import map_strings
from prompt_registry_plugin.transfer.formats.braces import read_any_name
from prompt_registry_plugin.transfer.formats.credentials import without_credentials
from prompt_registry_plugin.transfer.formats.files import MALFORMED, why
from prompt_registry_plugin.transfer.formats.model_settings import split_settings
from prompt_registry_plugin.transfer.formats.names import aliases_from, name_from, renamed
from prompt_registry_plugin.transfer.formats.pieces import Include, Pieces, pieces, write_template
from prompt_registry_plugin.transfer.formats.reading import read_json

_INCLUDE = re.compile(r"@@@langfusePrompt:name=([^|@]+)\|(?:version=(\d+)|label=([^@|]+))@@@")


def read(source: str) -> Iterator[ImportedPrompt | LeftOut]:
    """Yield all prompts; labels become aliases (except `latest`), references to other prompts become includes."""
    data = read_json(source)
    rows = data.get("data", [data]) if isinstance(data, Mapping) else data
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) and "name" in row and "prompt" in row for row in rows):
        raise UserError(f"{source} holds no Langfuse prompts: each has a 'name' and a 'prompt'")
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row["name"]), []).append(row)
    for original, versions in found.items():
        yield from _prompt(original, versions)


def _prompt(original: str, rows: list[Mapping[str, Any]]) -> Iterator[ImportedPrompt | LeftOut]:
    name = name_from(original, "prompt")
    versions: list[NewVersion] = []
    labels: list[tuple[str, int]] = []
    notes: list[str] = []
    left_out: list[str] = []
    has_numbers = all(row.get("version") for row in rows)
    for row in sorted(rows, key=_number) if has_numbers else rows:
        try:
            versions.append(_version(name, row, has_numbers, notes, left_out))
        except MALFORMED as error:
            yield LeftOut(f"{original} version {row.get('version')}" if has_numbers else original, why(error))
            continue
        number = _number(row) if has_numbers else len(versions)
        labels += [(str(label), number) for label in row.get("labels") or [] if label != "latest"]
    aliases, renames, lost = aliases_from(labels)
    if versions:
        yield ImportedPrompt(name, versions, aliases, {}, renamed(original, name), notes + renames, left_out + lost)


def _number(row: Mapping[str, Any]) -> int:
    version = str(row["version"])
    if not version.isascii() or not version.isdigit():
        raise UserError(f"version {row['version']!r} of {row['name']!r} is not a number")
    return int(version)


def _version(name: str, row: Mapping[str, Any], has_numbers: bool, notes: list[str], left_out: list[str]) -> NewVersion:
    created = row.get("createdAt")
    config = row.get("config") or {}
    if not isinstance(config, Mapping):
        left_out.append(f"'config' of version {row.get('version', 1)}: it is not a mapping")
        config = {}
    config, dropped = without_credentials(config, "config")
    config, schema, tools, more = split_settings(config)
    done = write_template(_template(row["prompt"], notes))
    notes += [note for note in [*done.notes, *more] if note not in notes]
    left_out += [item for item in dropped if item not in left_out]
    return NewVersion(
        name,
        done.template,
        commit_message=row.get("commitMessage") or None,
        tags={str(tag): "true" for tag in row.get("tags") or []},
        template_format=done.template_format,
        model_config=config or None,
        response_format=schema,
        tools=tools,
        created_by=str(row.get("createdBy") or "langfuse"),
        created_at=_time(created) if created else None,
        version=_number(row) if has_numbers else None,
    )


def _time(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError as error:
        raise UserError(f"createdAt {text!r} is not a time") from error


def _template(prompt: Any, notes: list[str]) -> Any:
    if isinstance(prompt, str):
        return _text(prompt, notes)
    if not isinstance(prompt, list) or not prompt:
        raise UserError(f"its prompt is neither a text nor a list of messages, but {prompt!r:.60}")
    return [_message(message, notes) for message in prompt]


def _message(message: Any, notes: list[str]) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise UserError(f"a message is not a mapping, but {message!r:.60}")
    if message.get("type") == "placeholder":
        if not isinstance(message.get("name"), str):
            raise UserError("a placeholder has no 'name'")
        return {"type": "placeholder", "name": message["name"], "optional": True}
    content = map_strings(message.get("content") or "", lambda text: _text(text, notes))
    return {**{key: value for key, value in message.items() if key != "type"}, "content": content}


def _text(text: str, notes: list[str]) -> Pieces:
    parts: list[Any] = []
    position = 0
    for match in _INCLUDE.finditer(text):
        parts += read_any_name(text[position : match.start()], notes).parts
        included = name_from(match[1], "prompt")
        if included != match[1]:
            raise UserError(f"it includes {match[1]!r}, a name that the registry does not allow")
        parts.append(Include(included + (f"/{match[2]}" if match[2] else f"@{match[3]}")))
        position = match.end()
    return pieces([*parts, *read_any_name(text[position:], notes).parts])
