"""Prompty 1 and 2: YAML front matter, then a chat in which lines such as `system:` begin a message; Jinja or mustache.

What is read here, and how it is written in the registry:

- text before the first role is a system message, as Prompty makes it one;
- `{{conversation}}` of kind `thread`, and a loop that writes `role:` and `content` of messages, are placeholders;
- defaults (`sample` in version 1) are used if no value is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.protocols import ImportedPrompt, LeftOut, NewVersion
from prompt_registry_plugin.transfer.formats.files import each_file, file_name
from prompt_registry_plugin.transfer.formats.names import name_from, renamed
from prompt_registry_plugin.transfer.formats.prompty_body import Body, read_body
from prompt_registry_plugin.transfer.formats.prompty_settings import Settings, read_settings
from prompt_registry_plugin.transfer.formats.reading import front_matter, parse_yaml, read_text


def read(source: str) -> Iterator[ImportedPrompt | LeftOut]:
    """Yield the prompt of one file, or of every `.prompty` file in a folder; a file that cannot be read is left out.

    Files of a folder that have the same `name` are named after their place instead.
    """
    places: dict[int, str] = {}

    def read_file(path: Path, folder: Path | None) -> ImportedPrompt:
        prompt = _prompt(path, folder)
        places[id(prompt)] = file_name(path, folder)
        return prompt

    found = list(each_file(Path(source), ".prompty", read_file))
    counts = Counter(item.name for item in found if isinstance(item, ImportedPrompt))
    for item in found:
        if isinstance(item, LeftOut) or counts[item.name] == 1:
            yield item
            continue
        name = name_from(places[id(item)], "prompt")
        note = f"named after its file, because {counts[item.name]} files have the name {item.original or item.name!r}"
        versions = [replace(version, name=name) for version in item.versions]
        yield replace(item, name=name, versions=versions, original=item.original or item.name, notes=[note, *item.notes])


def _prompt(path: Path, folder: Path | None) -> ImportedPrompt:
    head, text = front_matter(read_text(path), path.name)
    if head is None:
        whole = parse_yaml(text, path.name) if text.strip() else None
        if not isinstance(whole, str):
            raise UserError(f"{path.name} has no front matter, and Prompty reads such a file as YAML that is no text")
        head, text = {}, whole
    settings = read_settings(head, path)
    body = read_body(text.lstrip(), settings, path.name)
    fallback = file_name(path, folder)
    original = str(head.get("name") or fallback)
    name = name_from(original, name_from(fallback, "prompt"))
    variables, unused = _used(settings, body)
    version = NewVersion(
        name,
        body.template,
        commit_message=settings.description,
        tags=settings.tags,
        template_format=body.template_format,
        variables=variables,
        model_config=settings.model_config or None,
        response_format=settings.response_format,
        tools=settings.tools or None,
        created_by=", ".join(settings.authors) or "prompty",
    )
    notes = [*settings.notes, *body.notes, *(f"input {key!r} is not used in the text" for key in unused)]
    return ImportedPrompt(name, [version], {}, {}, renamed(original, name), notes, settings.left_out)


def _used(settings: Settings, body: Body) -> tuple[dict[str, Any], Iterable[str]]:
    """Return the schemas of the variables that the text has, under their names here, and the inputs that it does not have."""
    used: Mapping[str, str] = body.variables
    schemas = {used[name]: schema for name, schema in settings.schemas.items() if name in used and schema}
    return schemas, sorted(settings.inputs - used.keys() - body.placeholders)
