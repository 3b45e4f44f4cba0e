"""promptfoo: the `prompts` of its YAML or JSON configuration, inline or in files beside it. Code is never run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.protocols import ImportedPrompt, LeftOut, NewVersion
from prompt_registry_plugin.transfer.formats.credentials import without_credentials
from prompt_registry_plugin.transfer.formats.files import MALFORMED, why
from prompt_registry_plugin.transfer.formats.model_settings import split_settings
from prompt_registry_plugin.transfer.formats.names import name_from, renamed
from prompt_registry_plugin.transfer.formats.promptfoo_files import Raw, read_entry
from prompt_registry_plugin.transfer.formats.promptfoo_text import read_raw
from prompt_registry_plugin.transfer.formats.reading import parse_json, parse_yaml, read_text

_ENTRY = {"id", "raw", "label", "config", "display", "prompt", "template"}


def read(source: str) -> Iterator[ImportedPrompt | LeftOut]:
    """Yield one prompt for each entry, named after its label or id, its file, or its place; what is code is left out."""
    path = Path(source).expanduser()
    text = read_text(path)
    config = parse_json(text, path) if path.suffix == ".json" else parse_yaml(text, path, version="1.2")
    entries = config.get("prompts") if isinstance(config, Mapping) else None
    if isinstance(entries, str):
        entries = [entries]
    if isinstance(entries, Mapping):  # the older form: file -> name
        entries = [{"raw": file, "label": label} for file, label in entries.items()]
    if not isinstance(entries, list):
        raise UserError(f"{path} has no list of 'prompts'")
    taken: dict[str, int] = {}
    for i, entry in enumerate(entries, 1):
        try:
            for raw in read_entry(*_reference(entry, path, i), path.parent):
                yield from _prompts(raw, entry, path, i, taken)
        except MALFORMED as error:
            yield LeftOut(f"prompt {i} of {path.name}", why(error))


def _reference(entry: Any, path: Path, i: int) -> tuple[str, str | None]:
    """Return the text or reference of an entry, and its label."""
    label = None
    if isinstance(entry, Mapping):
        label = entry.get("label") or entry.get("display") or (entry.get("id") if entry.get("raw") else None)
        entry = entry.get("raw") or entry.get("id") or entry.get("prompt") or entry.get("template")
    if not isinstance(entry, str) or not entry.strip():
        raise UserError(f"prompt {i} of {path} has no text")
    return entry, str(label) if label else None


def _prompts(raw: Raw, entry: Any, path: Path, i: int, taken: dict[str, int]) -> Iterator[ImportedPrompt | LeftOut]:
    original = raw.label or raw.file or f"{path.stem}-{i}"
    base = name_from(original, f"{name_from(path.stem, 'promptfoo')}-{i}")
    taken[base] = taken.get(base, 0) + 1
    name = base if taken[base] == 1 else f"{base}-{taken[base]}"
    where = f"prompt {i} of {path.name}" + (f" ({raw.file})" if raw.file else "")
    try:
        content = read_raw(raw.text, where)
        config, response_format, tools, left_out = _settings(entry)
    except MALFORMED as error:
        yield LeftOut(where, why(error))
        return
    version = NewVersion(
        name,
        content.template,
        template_format=content.template_format,
        model_config=config or None,
        response_format=response_format,
        tools=tools,
        created_by="promptfoo",
    )
    yield ImportedPrompt(name, [version], {}, {}, renamed(original, name), content.notes, left_out)


def _settings(entry: Any) -> tuple[dict[str, Any], Any, Any, list[str]]:
    """Return the model settings, response format and tools of an entry, and what was left out of them."""
    if not isinstance(entry, Mapping):
        return {}, None, None, []
    config = entry.get("config") or {}
    if not isinstance(config, Mapping):
        raise UserError(f"'config' is not a mapping, but {config!r:.60}")
    config, left_out = without_credentials(config, "config")
    for key in [key for key, value in config.items() if "file://" in str(value)]:
        left_out.append(f"config.{key}: it refers to a file or to code")
        del config[key]
    left_out += [f"{key!r}: not known here" for key in entry.keys() - _ENTRY]
    config, schema, tools, notes = split_settings(config)
    return config, schema, tools, left_out + notes
