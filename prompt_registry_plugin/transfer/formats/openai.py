"""OpenAI's reusable prompt objects, from the JSON of the SDK: responses that were made with `prompt={"id", "version", "variables"}`.

The service has no call that returns a prompt's text; a response holds the rendered messages (`instructions`) beside the values of the
variables. Each value in a text becomes its variable again. Several responses of one version have to give the same text. JSON that
still has `{{name}}` in its messages is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.protocols import ImportedPrompt, LeftOut, NewVersion
from prompt_registry_plugin.templates.chat import map_strings
from prompt_registry_plugin.transfer.formats.braces import read_any_name
from prompt_registry_plugin.transfer.formats.files import MALFORMED, why
from prompt_registry_plugin.transfer.formats.names import name_from, renamed
from prompt_registry_plugin.transfer.formats.pieces import Pieces, Variable, pieces, write_template
from prompt_registry_plugin.transfer.formats.reading import read_json

_SETTINGS = (
    "model", "temperature", "top_p", "max_output_tokens", "max_tool_calls", "reasoning", "tool_choice", "parallel_tool_calls", "truncation",
    "top_logprobs", "service_tier", "store", "include", "seed", "stop", "verbosity",
)  # fmt: skip
_SHORT = 3  # A value of fewer characters may stand anywhere by chance.


def read(source: str) -> Iterator[ImportedPrompt | LeftOut]:
    """Yield one prompt for each id. What cannot be restored without a doubt is left out."""
    data = read_json(source)
    rows = data.get("data", [data]) if isinstance(data, Mapping) and isinstance(data.get("data", []), list) else data
    found: dict[str, dict[int | None, list[Mapping[str, Any]]]] = {}
    for row in rows if isinstance(rows, list) else [rows]:
        prompt = row.get("prompt") if isinstance(row, Mapping) else None
        reference = prompt if isinstance(prompt, Mapping) else row
        if not isinstance(reference, Mapping) or not reference.get("id"):
            raise UserError(f"{source} holds no responses with a 'prompt' of OpenAI's")
        version = str(reference.get("version") or "")
        number = int(version) if version.isascii() and version.isdigit() else None
        found.setdefault(str(reference["id"]), {}).setdefault(number, []).append(row)
    for prompt_id, versions in found.items():
        yield from _prompt(prompt_id, versions, source)


def _prompt(
    prompt_id: str, rows: Mapping[int | None, list[Mapping[str, Any]]], source: str
) -> Iterator[ImportedPrompt | LeftOut]:
    versions: list[NewVersion] = []
    notes: list[str] = []
    left_out: list[str] = []
    if None in rows and len(rows) > 1:
        yield LeftOut(prompt_id, "some of its responses do not say their version")
    numbers: list[int | None] = [*sorted(number for number in rows if number is not None)]
    for number in numbers or [None]:
        try:
            versions.append(_version(prompt_id, number, rows[number], f"prompt {prompt_id} in {source}", notes, left_out))
        except MALFORMED as error:
            yield LeftOut(prompt_id if number is None else f"{prompt_id} version {number}", why(error))
    if versions:
        name = name_from(prompt_id, "prompt")
        yield ImportedPrompt(name, versions, {}, {}, renamed(prompt_id, name), notes, left_out)


def _version(
    prompt_id: str, number: int | None, rows: list[Mapping[str, Any]], where: str, notes: list[str], left_out: list[str]
) -> NewVersion:
    templates = [_template(row, where, notes) for row in rows]
    if any(template != templates[0] for template in templates):
        raise UserError(
            f"the responses of {where}, version {number}, do not come from one text once their values are variables again; "
            "keep only responses whose values appear nowhere else in the text"
        )
    if len(rows) == 1 and _values(rows[0], where):
        note = "restored from one response; a value that also stands in the prompt's own text is a variable there as well"
        notes += [] if note in notes else [note]
    done = write_template(templates[0])
    notes += [note for note in done.notes if note not in notes]
    first = rows[0]
    text = first.get("text") if isinstance(first.get("text"), Mapping) else {}
    assert isinstance(text, Mapping)
    text_format = text.get("format") if isinstance(text.get("format"), Mapping) else {}
    assert isinstance(text_format, Mapping)
    config = {key: first[key] for key in _SETTINGS if first.get(key) is not None}
    rest = {key: value for key, value in text.items() if key != "format" and value is not None}
    if text_format.get("type") not in (None, "text", "json_schema"):
        rest["format"] = dict(text_format)
    schema = text_format.get("schema")
    if isinstance(schema, Mapping) and text_format.get("name"):
        schema = {"title": text_format["name"], **schema}
    return NewVersion(
        name_from(prompt_id, "prompt"),
        done.template,
        template_format=done.template_format,
        model_config={**config, **({"text": rest} if rest else {})} or None,
        response_format=schema if isinstance(schema, Mapping) else None,
        tools=first.get("tools") or None,
        created_by="openai",
        version=number,
    )


def _values(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """Return the text of each variable. Raises `UserError` for images and files, whose place cannot be found."""
    prompt = row.get("prompt")
    variables = (prompt.get("variables") if isinstance(prompt, Mapping) else None) or row.get("variables") or {}
    if not isinstance(variables, Mapping):
        raise UserError(f"{where}: 'variables' is not a mapping")
    values = {}
    for name, value in variables.items():
        text = value.get("text") if isinstance(value, Mapping) else value
        if not isinstance(text, str):
            raise UserError(f"{where}: variable {name!r} is not a text, and its place in the prompt cannot be restored")
        values[str(name)] = text
    return values


def _template(row: Mapping[str, Any], where: str, notes: list[str]) -> Any:
    texts = row.get("instructions") or row.get("messages") or row.get("input")
    if not texts:
        raise UserError(f"{where}: the response has no 'instructions', so its text is not in this file")
    values = _values(row, where)
    if isinstance(texts, str):
        return _restore(texts, values, where, notes)
    if not isinstance(texts, list) or not all(isinstance(item, Mapping) for item in texts):
        raise UserError(f"{where}: its messages are not a list of mappings")
    messages = [{"role": item.get("role", "system"), "content": _content(item.get("content"))} for item in texts]
    restored = [
        {**message, "content": map_strings(message["content"], lambda text: _restore(text, values, where, notes))}
        for message in messages
    ]
    used = {
        part.name
        for message in restored
        for text in _texts(message["content"])
        for part in text.parts
        if isinstance(part, Variable)
    }
    for name in sorted(values.keys() - used):
        note = f"variable {name!r} stands nowhere in the text"
        notes += [] if note in notes else [note]
    return restored


def _restore(text: str, values: Mapping[str, str], where: str, notes: list[str]) -> Pieces:
    names = {name.strip() for name in re.findall(r"\{\{((?:(?!\}\}).)*)\}\}", text, re.S)}
    if names and (not values or names <= values.keys()):
        return read_any_name(text, notes)  # it was not rendered
    present = {name: value for name, value in values.items() if value and value in text}
    for name, value in present.items():
        if len(value) < _SHORT:
            raise UserError(f"{where}: the value {value!r} of variable {name!r} is too short to be found again")
        if clash := next((other for other, more in present.items() if other != name and value in more), None):
            raise UserError(
                f"{where}: the value of variable {name!r} is part of that of {clash!r}, so that its places are not certain"
            )
    parts: list[Any] = [text]
    for name, value in present.items():
        parts = [piece for part in parts for piece in (_split(part, value, name) if isinstance(part, str) else [part])]
    return pieces(parts)


def _split(text: str, value: str, name: str) -> list[str | Variable]:
    literals = text.split(value)
    return [literals[0], *(piece for literal in literals[1:] for piece in (Variable(name), literal))]


def _content(content: Any) -> Any:
    if isinstance(content, list) and all(isinstance(part, Mapping) and part.get("type") == "input_text" for part in content):
        return "".join(str(part.get("text", "")) for part in content)
    return content


def _texts(content: Any) -> Iterator[Pieces]:
    if isinstance(content, Pieces):
        yield content
    elif isinstance(content, Mapping | list):
        for item in content.values() if isinstance(content, Mapping) else content:
            yield from _texts(item)
