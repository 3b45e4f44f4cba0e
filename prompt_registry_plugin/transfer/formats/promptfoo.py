"""promptfoo: the `prompts` of its YAML (or JSON) configuration, texts or chats, inline or in files beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.protocols import ImportedPrompt, NewVersion
from prompt_registry_plugin.transfer.formats.reading import from_braces, name_from, needs_jinja, read_text, read_yaml, with_texts

_TEXT_FILES = (".txt", ".md", ".json", ".yaml", ".yml", ".j2", "")


def read(source: str) -> Iterable[ImportedPrompt]:
    """One prompt for each entry, named after its id or label, its file, or its place. Raises `UserError` for code, which is not run."""
    path = Path(source)
    config = read_yaml(read_text(path), path)
    entries = config.get("prompts") if isinstance(config, Mapping) else None
    if isinstance(entries, str):
        entries = [entries]
    if isinstance(entries, Mapping):  # the older form: file -> name
        entries = [{"raw": file, "label": label} for file, label in entries.items()]
    if not isinstance(entries, list):
        raise UserError(f"{path} has no list of 'prompts'")
    taken: dict[str, int] = {}
    for i, entry in enumerate(entries, 1):
        for name, text in _texts(entry, path, i):
            taken[name] = taken.get(name, 0) + 1
            unique = name if taken[name] == 1 else f"{name}-{taken[name]}"
            yield ImportedPrompt(unique, [_version(unique, text)], {}, {})


def _texts(entry: Any, path: Path, i: int) -> Iterator[tuple[str, Any]]:
    label = None
    if isinstance(entry, Mapping):
        label = entry.get("label") or entry.get("id")
        entry = entry.get("raw") or entry.get("id") or entry.get("prompt")
    if not isinstance(entry, str):
        raise UserError(f"prompt {i} of {path} has no text")
    if not entry.startswith("file://") and not (path.parent / entry.splitlines()[0][:200]).is_file():
        yield name_from(label, f"{name_from(path.stem, 'promptfoo')}-{i}"), entry
        return
    file = path.parent / entry.removeprefix("file://")
    if file.suffix not in _TEXT_FILES:
        raise UserError(f"prompt {i} of {path} is made by code ({file.name}), which is not run here; export its text")
    text = read_text(file)
    parts = re.split(r"^---[ \t]*$\n?", text, flags=re.M) if file.suffix in (".txt", ".md", "") else [text]
    for part in filter(str.strip, parts):
        yield name_from(label, name_from(file.stem, f"prompt-{i}")), part.strip("\n") if len(parts) > 1 else part


def _version(name: str, text: str) -> NewVersion:
    template: Any = text
    if text.lstrip().startswith(("[", "- ")):  # a chat, in JSON or YAML
        try:
            data = json.loads(text) if text.lstrip().startswith("[") else read_yaml(text, name)
        except ValueError:
            data = None
        if isinstance(data, list) and data and all(isinstance(message, Mapping) and "role" in message for message in data):
            template = [dict(message) for message in data]
    contents = template if isinstance(template, str) else [message.get("content") for message in template]
    if needs_jinja(contents):  # promptfoo renders with Nunjucks, whose filters and blocks Jinja has as well
        return NewVersion(name, template, template_format="jinja2", created_by="promptfoo")
    return NewVersion(name, with_texts(template, from_braces), created_by="promptfoo")
