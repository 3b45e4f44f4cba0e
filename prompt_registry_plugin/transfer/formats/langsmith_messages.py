"""The messages of a LangChain prompt, from its serialized form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from prompt_registry_plugin.errors import InvalidTemplate, UserError
from prompt_registry_plugin.templates.chat import map_strings
from prompt_registry_plugin.templates.convert import from_mustache
from prompt_registry_plugin.templates.text import pieces_of
from prompt_registry_plugin.transfer.formats import jinja_text
from prompt_registry_plugin.transfer.formats.pieces import JinjaText, Pieces, Variable, pieces

_ROLES = {
    "System": "system",
    "Human": "user",
    "AI": "assistant",
    "Tool": "tool",
    "Function": "function",
    "Developer": "developer",
}


def class_of(value: Any) -> str:
    """Return the name of the class in a serialized object; an empty string for other data."""
    path = value.get("id") if isinstance(value, Mapping) and value.get("type") == "constructor" else None
    return str(path[-1]) if isinstance(path, list) and path else ""


class MessageReader:
    """Reads one prompt. `defaults` are its partial variables; `notes` and `left_out` grow while it reads."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.defaults: dict[str, Any] = {}
        self.notes: list[str] = []
        self.left_out: list[str] = []

    def read(self, prompt: Mapping[str, Any]) -> Any:
        """Return the text or the messages of a prompt. Raises `UserError` for what has no counterpart here."""
        kind, kwargs = class_of(prompt), prompt["kwargs"]
        self._read_defaults(kwargs)
        if kwargs.get("output_parser") is not None:
            self.left_out.append("the output parser: it is code")
        if kind == "PromptTemplate":
            return self._text(prompt)
        if kind not in ("ChatPromptTemplate", "StructuredPrompt"):
            raise UserError(f"{self._where} holds no prompt that can be read, but {kind or type(prompt).__name__!r}")
        messages = kwargs.get("messages")
        if not isinstance(messages, list) or not messages:
            raise UserError(f"{self._where} has no messages")
        return [self._message(message) for message in messages]

    def _read_defaults(self, kwargs: Mapping[str, Any]) -> None:
        for name, value in (kwargs.get("partial_variables") or {}).items():
            if isinstance(value, Mapping) and "lc" in value:
                self.left_out.append(f"the value of the partial variable {name!r}: it is made by code")
            else:
                self.defaults[str(name)] = value

    def _message(self, message: Any) -> dict[str, Any]:
        kind = class_of(message)
        kwargs = message.get("kwargs") if isinstance(message, Mapping) else None
        if not isinstance(kwargs, Mapping):
            raise InvalidTemplate(f"a message of {self._where} cannot be read")
        if kind == "MessagesPlaceholder":
            return self._placeholder(kwargs)
        role = (
            kwargs.get("role")
            if kind.startswith("Chat")
            else next((r for start, r in _ROLES.items() if kind.startswith(start)), None)
        )
        if role is None or "FewShot" in kind:
            raise InvalidTemplate(
                f"a message of {self._where} is a {kind or 'thing without a class'}, which has no counterpart here"
            )
        if not kind.endswith("Template"):
            return self._literal(str(role), kwargs)
        prompt = kwargs.get("prompt")
        extra = {key: value for key, value in (kwargs.get("additional_kwargs") or {}).items() if value is not None}
        if isinstance(prompt, list):
            return {"role": str(role), **extra, "content": [self._part(part) for part in prompt]}
        return {"role": str(role), **extra, "content": self._text(prompt)}

    def _placeholder(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if kwargs.get("n_messages"):
            self.left_out.append(f"the limit of {kwargs['n_messages']} messages for {kwargs['variable_name']!r}")
        return {"type": "placeholder", "name": kwargs["variable_name"], **({"optional": True} if kwargs.get("optional") else {})}

    def _literal(self, role: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return a message without variables: braces in it are text."""
        content = kwargs.get("content", "")
        message: dict[str, Any] = {"role": role, "content": map_strings(content, lambda text: pieces([text]))}
        message |= {key: kwargs[key] for key in ("name", "tool_call_id") if kwargs.get(key) is not None}
        message |= {key: value for key, value in (kwargs.get("additional_kwargs") or {}).items() if value}
        if calls := kwargs.get("tool_calls"):
            message["tool_calls"] = [
                {
                    "id": call.get("id"),
                    "type": "function",
                    "function": {"name": call["name"], "arguments": json.dumps(call.get("args") or {}, ensure_ascii=False)},
                }
                for call in calls
            ]
        return message

    def _part(self, part: Any) -> dict[str, Any]:
        kind, template_format = class_of(part), self._format(part)
        if kind == "PromptTemplate":
            return {"type": "text", "text": self._text(part)}
        template = part["kwargs"].get("template")
        if kind not in ("ImagePromptTemplate", "DictPromptTemplate") or not isinstance(template, Mapping):
            raise InvalidTemplate(
                f"a part of {self._where} is a {kind or 'thing without a class'}, which has no counterpart here"
            )
        if kind == "ImagePromptTemplate":
            if "path" in template:
                raise InvalidTemplate(f"{self._where} reads an image from a path, which LangChain no longer does either")
            template = {"type": "image_url", "image_url": template}
        self._read_defaults(part["kwargs"])
        converted: dict[str, Any] = map_strings(template, lambda text: self._convert(text, template_format))
        return converted

    def _text(self, prompt: Any) -> Pieces | JinjaText:
        template_format = self._format(prompt)
        self._read_defaults(prompt["kwargs"])
        text = prompt["kwargs"].get("template")
        if not isinstance(text, str):
            raise InvalidTemplate(f"a template of {self._where} is not a text")
        return self._convert(text, template_format)

    def _convert(self, text: str, template_format: str) -> Pieces | JinjaText:
        converters: dict[str, Callable[[str], Pieces | JinjaText]] = {
            "jinja2": lambda text: jinja_text.read_text(text.removesuffix("\n"), self._where),
            "mustache": self._from_mustache,
            "f-string": self._from_fstring,
        }
        if template_format not in converters:
            raise InvalidTemplate(f"{self._where} has the template format {template_format!r}, which is not known here")
        return converters[template_format](text)

    def _from_mustache(self, text: str) -> Pieces:
        found = pieces_of(from_mustache(text, self._where), self._where)
        if any(piece.name for piece in found) and "{{{" not in text:
            note = "values are not HTML-escaped here, as mustache does for {{name}}"
            self.notes += [] if note in self.notes else [note]
        parts: list[str | Variable] = []
        for piece in found:
            parts += [piece.literal, Variable(piece.name)] if piece.name else [piece.literal]
        return pieces(parts)

    def _from_fstring(self, text: str) -> Pieces:
        parts: list[str | Variable] = []
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise InvalidTemplate(f"{self._where} is not a valid f-string template: {error}") from error
        for literal, name, spec, conversion in parsed:
            parts.append(literal)
            if name is None:
                continue
            if spec or conversion or not name or name.isdigit() or any(character in name for character in ".[]"):
                raise InvalidTemplate(f"{self._where}: field {{{name}}} formats its value, which only plain names do here")
            parts.append(Variable(name))
        return pieces(parts)

    def _format(self, prompt: Any) -> str:
        if not isinstance(prompt, Mapping) or not isinstance(prompt.get("kwargs"), Mapping):
            raise InvalidTemplate(f"a message of {self._where} has no template")
        return str(prompt["kwargs"].get("template_format") or "f-string")
