"""Chat templates: messages whose texts are templates, and placeholders for message histories.

A message is `{"role": …, "content": text | parts | None, …}`, whose other fields pass through unchanged, or
`{"type": "placeholder", "name": "history"}`, which is replaced by the messages given under that name, as they are (with
`"optional": true` they may be missing).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.frozen import freeze, values_of
from prompt_registry_plugin.records import EMPTY
from prompt_registry_plugin.templates.text import VARIABLE_NAME, TextTemplate, missing_variable_error

CompileText = Callable[[str, str], TextTemplate]


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A compiled chat template."""

    source: Sequence[Mapping[str, Any]]
    """The frozen list of messages that it was made from."""
    messages: tuple[_Message, ...]
    """The compiled messages."""
    variables: frozenset[str]
    """Names of variables and of placeholders that are not optional."""

    def render(self, values: Mapping[str, Any], where: str) -> list[Any]:
        """Return the rendered messages as new dictionaries. Messages given for a placeholder are inserted unchanged.

        Raises `MissingVariable`, and `InvalidTemplate` if the value of a placeholder is not a list of messages.
        """
        rendered: list[Any] = []
        for message in self.messages:
            if message.placeholder is None:
                content = map_texts(message.content, lambda text: text.render(values, where))
                rendered.append({**message.fields, "content": content})
                continue
            if message.placeholder in values:
                history = values[message.placeholder]
                if isinstance(history, str | bytes | Mapping) or not isinstance(history, Sequence):
                    raise InvalidTemplate(
                        f"placeholder {message.placeholder!r} of {where} takes a list of messages, not {type(history).__name__}"
                    )
                if wrong := [item for item in history if isinstance(item, str | bytes | int | float) or item is None]:
                    raise InvalidTemplate(f"placeholder {message.placeholder!r} of {where} takes messages, not {wrong[0]!r:.40}")
                rendered.extend(history)
            elif not message.optional:
                raise missing_variable_error(self.variables, values, where)
        return rendered

    def partial(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the template source with the given values filled in. Placeholders stay."""
        return self.with_texts(lambda text: text.partial(values))

    def with_texts(self, function: Callable[[TextTemplate], str]) -> list[Any]:
        """Return the source with every text replaced by the result of `function`."""
        return [
            {**message.fields, "content": map_texts(message.content, function)} if message.placeholder is None else dict(source)
            for message, source in zip(self.messages, self.source, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Message:
    fields: Mapping[str, Any]
    content: Any  # None, a compiled text, or JSON whose texts are compiled
    placeholder: str | None = None
    optional: bool = False


def compile_chat(template: Sequence[Any], where: str, compile_text: CompileText) -> ChatTemplate:
    """Return the compiled form of a list of messages. Raises `InvalidTemplate` with the number of the message."""
    messages = tuple(_compile_message(message, f"message {i} of {where}", compile_text) for i, message in enumerate(template, 1))
    texts = [text for message in messages for text in values_of(TextTemplate, message.content)]
    names = {name for text in texts for name in text.variables}
    placeholders = {message.placeholder for message in messages if message.placeholder is not None}
    if both := names & placeholders:
        raise InvalidTemplate(f"{where} uses {min(both)!r} both as a variable and as a placeholder for messages")
    blank = all(not text.source.strip() for text in texts)
    if blank and not placeholders and not any("tool_calls" in message.fields for message in messages):
        raise InvalidTemplate(f"the messages of {where} are all empty")
    required = {message.placeholder for message in messages if message.placeholder is not None and not message.optional}
    return ChatTemplate(freeze(template), messages, frozenset(names | required))


def map_strings(value: Any, function: Callable[[str], Any]) -> Any:
    """Return the content of a message with every string replaced by the result of `function`, except the types of its parts."""
    if isinstance(value, str):
        return function(value)
    if isinstance(value, Mapping):
        return {key: item if key == "type" else map_strings(item, function) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_strings(item, function) for item in value]
    return value


def map_texts(value: Any, function: Callable[[TextTemplate], Any]) -> Any:
    """Return a compiled content with every compiled text replaced by the result of `function`."""
    if isinstance(value, TextTemplate):
        return function(value)
    if isinstance(value, Mapping):
        return {key: map_texts(item, function) for key, item in value.items()}
    if isinstance(value, list):
        return [map_texts(item, function) for item in value]
    return value


def _compile_message(message: object, where: str, compile_text: CompileText) -> _Message:
    if not isinstance(message, Mapping):
        kind = type(message).__name__.removeprefix("Frozen").lower()
        raise InvalidTemplate(f"{where} is a mapping with 'role' and 'content', not a {kind}")
    if message.get("type") == "placeholder":
        name = message.get("name")
        if not isinstance(name, str) or not re.fullmatch(VARIABLE_NAME, name):
            raise InvalidTemplate(f"{where} is a placeholder without a valid 'name': {name!r}")
        optional = message.get("optional", False)
        if not isinstance(optional, bool):
            raise InvalidTemplate(f"'optional' of {where} is true or false, not {optional!r}")
        return _Message(EMPTY, None, placeholder=name, optional=optional)
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise InvalidTemplate(f"{where} has no 'role'")
    if "content" not in message and "tool_calls" not in message:
        raise InvalidTemplate(f"{where} has no 'content'")
    content = message.get("content")
    if content is not None and not isinstance(content, str | list | tuple):
        raise InvalidTemplate(f"the content of {where} is a text, a list of parts or None, not {type(content).__name__}")
    fields = {key: freeze(value) for key, value in message.items() if key != "content"}
    return _Message(fields, map_strings(content, lambda text: compile_text(text, where)))
