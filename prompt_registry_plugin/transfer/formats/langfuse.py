"""Langfuse: the JSON of its API or export: one prompt, a list of them, or `{"data": […]}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.protocols import ImportedPrompt, NewVersion
from prompt_registry_plugin.records import Template
from prompt_registry_plugin.transfer.formats.reading import alias_from, from_braces, name_from, read_json

_INCLUDE = re.compile(r"@@@langfusePrompt:name=([^|@]+)\|(?:version=(\d+)|label=([^@|]+))@@@")


def read(source: str) -> Iterable[ImportedPrompt]:
    """All prompts; labels become aliases (but for `latest`), references to other prompts become includes."""
    data = read_json(source)
    rows = data.get("data", [data]) if isinstance(data, Mapping) else data
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) and "name" in row and "prompt" in row for row in rows):
        raise UserError(f"{source} holds no Langfuse prompts: each has a 'name' and a 'prompt'")
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(name_from(row["name"], "prompt"), []).append(row)
    for name, versions in found.items():
        ordered = sorted(versions, key=lambda row: int(row.get("version") or 0))
        aliases = {
            alias_from(label): int(row.get("version") or i)
            for i, row in enumerate(ordered, 1)
            for label in row.get("labels") or []
            if label != "latest"
        }
        yield ImportedPrompt(name, [_version(name, row) for row in ordered], aliases, {})


def _version(name: str, row: Mapping[str, Any]) -> NewVersion:
    created = row.get("createdAt")
    return NewVersion(
        name,
        _template(row["prompt"]),
        commit_message=row.get("commitMessage") or None,
        tags={str(tag): "true" for tag in row.get("tags") or []},
        model_config=row.get("config") or None,
        created_by=str(row.get("createdBy") or "langfuse"),
        created_at=datetime.fromisoformat(created) if created else None,
        version=int(row["version"]) if row.get("version") else None,
    )


def _template(prompt: Any) -> Template:
    if isinstance(prompt, str):
        return _text(prompt)
    return [
        {"type": "placeholder", "name": message["name"], "optional": True}
        if message.get("type") == "placeholder"
        else {**{key: value for key, value in message.items() if key != "type"}, "content": _text(message.get("content") or "")}
        for message in prompt
    ]


def _text(text: str) -> str:
    pieces, position = [], 0
    for match in _INCLUDE.finditer(text):
        pieces.append(from_braces(text[position : match.start()]))
        reference = f"/{match[2]}" if match[2] else f"@{match[3]}"
        pieces.append("{{> " + name_from(match[1], "prompt") + reference + "}}")
        position = match.end()
    return "".join([*pieces, from_braces(text[position:])])
