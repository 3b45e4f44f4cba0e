"""OpenAI's reusable prompt objects, from the JSON of the SDK: responses that were made with `prompt={"id", "version", "variables"}`.

The service has no call that returns a prompt's text; a response holds the messages that came of it (`instructions`) beside the
variables that went in. Where a value stands in a text, its variable is put back. Several responses of one version make that
surer, as only what every one of them agrees on is kept. JSON that still has `{{name}}` in its messages is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.protocols import ImportedPrompt, NewVersion
from prompt_registry_plugin.templates.text import to_source
from prompt_registry_plugin.transfer.formats.reading import from_braces, name_from, read_json, with_texts

_SETTINGS = ("model", "temperature", "top_p", "max_output_tokens", "reasoning", "tool_choice", "parallel_tool_calls")
_SHORT = 3  # a value of fewer characters may stand anywhere by chance


def read(source: str) -> Iterable[ImportedPrompt]:
    """One prompt for each id. Raises `UserError` where responses disagree, or a short value leaves a variable's place open."""
    data = read_json(source)
    found: dict[tuple[str, int | None], list[Mapping[str, Any]]] = {}
    for row in data if isinstance(data, list) else [data]:
        prompt = row.get("prompt") if isinstance(row, Mapping) else None
        reference = prompt if isinstance(prompt, Mapping) else row
        if not isinstance(reference, Mapping) or not reference.get("id"):
            raise UserError(f"{source} holds no responses with a 'prompt' of OpenAI's")
        version = str(reference.get("version") or "")
        found.setdefault((str(reference["id"]), int(version) if version.isdigit() else None), []).append(row)
    by_id: dict[str, list[NewVersion]] = {}
    for (prompt_id, number), rows in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or 0)):
        by_id.setdefault(prompt_id, []).append(_version(prompt_id, number, rows, source))
    for prompt_id, versions in by_id.items():
        yield ImportedPrompt(name_from(prompt_id, "prompt"), versions, {}, {})


def _version(prompt_id: str, number: int | None, rows: list[Mapping[str, Any]], source: str) -> NewVersion:
    templates = [_template(row, f"prompt {prompt_id} in {source}") for row in rows]
    if any(template != templates[0] for template in templates):
        raise UserError(
            f"the responses of prompt {prompt_id!r} version {number} in {source} do not come from one text once their variables are "
            "put back; leave only responses whose values appear nowhere else in the text"
        )
    first = rows[0]
    text_format = ((first.get("text") or {}).get("format") or {}) if isinstance(first.get("text"), Mapping) else {}
    return NewVersion(
        name_from(prompt_id, "prompt"),
        templates[0],
        model_config={key: first[key] for key in _SETTINGS if first.get(key) is not None} or None,
        response_format=text_format.get("schema"),
        tools=first.get("tools") or None,
        created_by="openai",
        version=number,
    )


def _template(row: Mapping[str, Any], where: str) -> Any:
    prompt = row.get("prompt") if isinstance(row.get("prompt"), Mapping) else {}
    assert isinstance(prompt, Mapping)
    texts = row.get("instructions") or row.get("messages") or row.get("input")
    if not texts:
        raise UserError(f"{where}: the response has no 'instructions', so its text is not in this file")
    values = {str(name): _value(value) for name, value in (prompt.get("variables") or row.get("variables") or {}).items()}
    if isinstance(texts, str):
        return _restore(texts, values, where)
    messages = [
        {"role": item.get("role", "system"), "content": _content(item.get("content"))}
        for item in texts
        if isinstance(item, Mapping)
    ]
    return with_texts(messages, lambda text: _restore(text, values, where))


def _restore(text: str, values: Mapping[str, str | None], where: str) -> str:
    if "{{" in text:
        return from_braces(text)
    pieces: list[tuple[str, str | None]] = [(text, None)]
    for name, value in sorted(values.items(), key=lambda item: -len(item[1] or "")):
        if value is None or not value:
            continue
        if len(value) < _SHORT and value in text:
            raise UserError(f"{where}: the value {value!r} of variable {name!r} is too short to be found again")
        split: list[tuple[str, str | None]] = []
        for literal, variable in pieces:
            parts = literal.split(value) if literal else [literal]
            split += [(part, name) for part in parts[:-1]]
            split.append((parts[-1], variable))
        pieces = split
    return to_source(pieces)


def _value(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("text")
    return value if isinstance(value, str) else None


def _content(content: Any) -> Any:
    if isinstance(content, list) and all(isinstance(part, Mapping) and part.get("type") == "input_text" for part in content):
        return "".join(str(part.get("text", "")) for part in content)
    return content
