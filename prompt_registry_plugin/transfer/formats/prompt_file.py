"""This registry's own files: one prompt as one `.prompt` file, YAML front matter, then the text.

    ---
    name: support
    model: gpt-x                  # model_config, its `model` on a line of its own
    config: {temperature: 0.2}
    input:
      schema: {type: object, properties: {name: {type: string}}}     # typed variables
    output:
      schema: {type: object, …}                                      # response_format
    tags: {team: support}                                            # of the prompt
    version_tags: {reviewed: "yes"}                                  # of the version that the file is
    ---
    You help {{name}}.

The body of a chat begins each message with `{{role "user"}}` on a line of its own, and a placeholder is
`{{placeholder "history"}}`, or `{{placeholder "history" optional}}`. What such a body cannot hold (parts, tool calls, odd line ends)
stands as `template:` in the front matter instead. What is written is read back before it is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.records import EMPTY, MEASURED_TAGS, digest
from prompt_registry_plugin.templates.includes import expand_includes
from prompt_registry_plugin.transfer.formats.picoschema import to_json_schema
from prompt_registry_plugin.transfer.formats.reading import front_matter

SUFFIX = ".prompt"
_MARKER = re.compile(r'\{\{(?:role "(?P<role>[^"{}]+)"|placeholder "(?P<name>[\w.\-]+)"(?P<optional> optional)?)\}\}[ \t]*')
_PLACEHOLDER = re.compile(r'^\{\{placeholder "[\w.\-]+"(?: optional)?\}\}[ \t]*$', re.M)
_KEYS = (
    "name", "model", "config", "input", "output", "tags", "version_tags", "tools", "template_format", "template", "description",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tags:
    """What a prompt and one of its versions are tagged with."""

    prompt: Mapping[str, str] = EMPTY
    """Tags of the prompt as a whole."""
    version: Mapping[str, str] = EMPTY
    """Tags of the version."""

    @property
    def mark(self) -> str:
        """A digest of them; empty if there are none."""
        return digest([self.prompt, self.version]) if self.prompt or self.version else ""


@dataclass(frozen=True, slots=True)
class PromptFile:
    """What a file says."""

    draft: NewVersion
    """The version that it is, with the version's tags."""
    tags: Tags
    """All tags."""


def without_measured(tags: Mapping[str, str]) -> Mapping[str, str]:
    """Return the tags of a version that its file has: who edits the text would take along what was measured on another."""
    return {key: value for key, value in tags.items() if key not in MEASURED_TAGS}


def to_text(version: PromptVersion, tags: Tags | None = None) -> str:
    """The file of a version, in an order that never changes; with tags if they are given."""
    tags = tags or Tags()
    for in_front, unicode in ((False, True), (True, True)):
        text = _write(version, tags, in_front, unicode)
        read = parse_file(text, version.name)
        if content_hash(read.draft) == version.content_hash and read.tags.mark == tags.mark:
            return text
    return _write(version, tags, in_front=True, unicode=False)  # odd line ends survive only as escapes


def from_text(text: str, name: str) -> NewVersion:
    """The version that a file is; `name` is what its place says. Raises `UserError`."""
    return parse_file(text, name).draft


def parse_file(text: str, name: str) -> PromptFile:
    """What a file says; `name` is what its place says. Raises `UserError`."""
    found, body = front_matter(text, f"{name}{SUFFIX}")
    head = found or {}
    if unknown := sorted(head.keys() - set(_KEYS)):
        raise UserError(f"{name}{SUFFIX}: {unknown[0]!r} is not known here; there are {', '.join(_KEYS)}")
    if head.get("name", name) != name:
        raise UserError(f"{name}{SUFFIX} says that its name is {head['name']!r}; move the file, or correct the name in it")
    config = dict(_mapping(head, "config", name))
    if "model" in head:
        config = {"model": head["model"], **config}
    tags = Tags(_tags(head, "tags", name), without_measured(_tags(head, "version_tags", name)))
    draft = NewVersion(
        name,
        head["template"] if "template" in head else _template(body),
        commit_message=head.get("description"),
        template_format=head.get("template_format", "double_brace"),
        variables=_variables(_mapping(head, "input", name).get("schema") or {}) or EMPTY,
        response_format=_mapping(head, "output", name).get("schema"),
        model_config=config if {"config", "model"} & head.keys() else None,
        tools=head.get("tools"),
        tags=tags.version,
    )
    return PromptFile(draft, tags)


def own_name(text: str, name: str) -> str | None:
    """Return the prompt's name in a `.prompt` file of this registry; None for a file of another tool with that suffix.

    An own file has a key or a placeholder that only they have, or names the prompt as its place does, and can be read as one. `name` is
    what the place says, or the last part of it.
    """
    try:
        head, body = front_matter(text, f"{name}{SUFFIX}")
        said = str((head or {}).get("name", name))
        if (head or {}).keys() & {"template", "template_format"} or _PLACEHOLDER.search(body):
            return said
        if "name" not in (head or {}) or f"/{said}".rpartition("/")[2] != f"/{name}".rpartition("/")[2]:
            return None
        draft = from_text(text, said)
        expand_includes(draft.template, name, lambda _reference: "x")
    except UserError:
        return None
    return said


def content_hash(draft: NewVersion) -> str:
    """The hash that a draft has as a version."""
    return as_version(draft).content_hash


def as_version(draft: NewVersion, number: int = 0) -> PromptVersion:
    """Return the version that a draft would be, to look at before it is registered."""
    return PromptVersion(
        draft.name, number, draft.template, template_format=draft.template_format, response_format=draft.response_format,
        model_config=draft.model_config, tools=draft.tools, variable_schemas=draft.variables,
    )  # fmt: skip


def _write(version: PromptVersion, tags: Tags, in_front: bool, unicode: bool) -> str:
    import yaml

    head: dict[str, Any] = {"name": version.name}
    config = dict(version.model_config or {})
    if isinstance(config.get("model"), str):
        head["model"] = config.pop("model")
    if config or (version.model_config is not None and "model" not in head):
        head["config"] = config
    if version.variable_schemas:
        head["input"] = {"schema": {"type": "object", "properties": dict(version.variable_schemas)}}
    if version.response_format is not None:
        head["output"] = {"schema": version.response_format}
    for key, listed in (("tags", tags.prompt), ("version_tags", tags.version)):
        if listed:
            head[key] = dict(sorted(listed.items()))
    if version.tools is not None:
        head["tools"] = version.tools
    if version.template_format != "double_brace":
        head["template_format"] = version.template_format
    body = None if in_front else _body(version.template)
    if body is None:
        head["template"] = version.template
    written = yaml.safe_dump(_to_plain(head), sort_keys=False, allow_unicode=unicode, width=1000)
    return f"---\n{written}---\n{body or ''}"


def _body(template: Any) -> str | None:
    """The text below the front matter, or None when the template does not fit there."""
    if isinstance(template, str):
        return None if "\r" in template or _MARKER.match(template) else f"{template}\n"
    lines = []
    for message in template:
        if message.get("type") == "placeholder":
            lines.append('{{placeholder "' + message["name"] + '"' + " optional" * bool(message.get("optional")) + "}}\n")
        elif message.keys() == {"role", "content"} and isinstance(message["content"], str) and "\r" not in message["content"]:
            lines.append('{{role "' + message["role"] + '"}}\n' + message["content"] + "\n")
        else:
            return None
    return "".join(lines)


def _template(body: str) -> Any:
    lines = body.split("\n")
    if lines and lines[-1] == "":
        lines.pop()  # the line end that every file has
    if not lines or not _MARKER.fullmatch(lines[0]):
        return "\n".join(lines)
    messages: list[dict[str, Any]] = []
    content: list[str] = []
    for line in lines:
        marker = _MARKER.fullmatch(line)
        if marker is None:
            content.append(line)
            continue
        _close(messages, content)
        if marker["role"]:
            messages.append({"role": marker["role"], "content": ""})
        else:
            messages.append({"type": "placeholder", "name": marker["name"], **({"optional": True} if marker["optional"] else {})})
    _close(messages, content)
    return messages


def _close(messages: list[dict[str, Any]], content: list[str]) -> None:
    if content and messages and "content" in messages[-1]:
        messages[-1]["content"] = "\n".join(content)
    elif any(line.strip() for line in content):
        raise UserError(f"the text {content[0][:40]!r} stands under no role")
    content.clear()


def _mapping(head: Mapping[str, Any], key: str, name: str) -> Mapping[str, Any]:
    value = head.get(key) or {}
    if not isinstance(value, Mapping):
        raise UserError(f"{name}{SUFFIX}: {key!r} is a mapping, not {type(value).__name__}")
    return value


def _tags(head: Mapping[str, Any], key: str, name: str) -> Mapping[str, str]:
    tags = _mapping(head, key, name)
    for tag, value in tags.items():
        if not isinstance(tag, str) or not isinstance(value, str):
            raise UserError(f"{name}{SUFFIX}: tag {tag!r} in {key!r} is {value!r}, and a tag is a text: write it in quotes")
    return tags


def _variables(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return schemas by variable, from a JSON Schema of a mapping or from picoschema (`name?: string, what it is`)."""
    found = to_json_schema(schema) or {}
    properties = found.get("properties")
    return dict(properties) if isinstance(properties, Mapping) else {}


def _to_plain(value: Any) -> Any:
    """Plain dictionaries and lists, which the YAML writer insists on."""
    if isinstance(value, Mapping):
        return {str(key): _to_plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_to_plain(item) for item in value]
    return value


__all__ = ["SUFFIX", "PromptFile", "Tags", "as_version", "content_hash", "from_text", "own_name", "parse_file", "to_text"]
