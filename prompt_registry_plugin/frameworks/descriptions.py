"""The descriptions of one model call: of tools, their parameters, handoffs and outputs, also inside of JSON schemas."""

from __future__ import annotations

from typing import Any, TypeVar

from prompt_registry_plugin.frameworks.prompts import serve_description
from prompt_registry_plugin.prompts.context import Place

T = TypeVar("T")

_NAMED = ("properties", "$defs", "definitions")  # schemas by name
_ONE = ("items", "additionalProperties")
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAX_DEPTH = 30


class Descriptions:
    """Replaces descriptions by those of the registry, and keeps what is sent. The objects that hold them are never changed."""

    sent: dict[str, str]
    """The texts to send, by key: `tools/NAME`, `tools/NAME.PARAMETER`, `handoffs/NAME`, `output` or `output.FIELD`."""

    def __init__(self, place: Place | None, context: object = None) -> None:
        self.sent = {}
        self._given: dict[str, str] = {}
        self._place = place
        self._context = context

    def serve(self, text: Any, key: str) -> Any:
        """Return the description to send instead of `text`; `text` itself if nothing replaces it, or if it is no text."""
        if not isinstance(text, str) or not text.strip():
            return text
        key = self._key_for(text, key)
        if key not in self.sent:
            self._given[key] = text
            self.sent[key] = serve_description(text, key, self._place, self._context)
        served = self.sent[key]
        return text if served == text else served

    def serve_schema(self, schema: T, key: str, depth: int = 0) -> T:
        """Return a JSON schema whose descriptions are replaced: a copy, or `schema` itself if nothing is.

        The description of a property has the key `KEY.PROPERTY`, within another property `KEY.OUTER.PROPERTY`.
        """
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return schema
        changed: dict[str, Any] = {}
        text = schema.get("description")
        if (served := self.serve(text, key)) is not text:
            changed["description"] = served
        for word in _NAMED:
            if isinstance(named := schema.get(word), dict):
                inner = {name: self.serve_schema(each, f"{key}.{name}", depth + 1) for name, each in named.items()}
                if any(inner[name] is not each for name, each in named.items()):
                    changed[word] = inner
        for word in _ONE:
            if (one := self.serve_schema(each := schema.get(word), key, depth + 1)) is not each:
                changed[word] = one
        for word in _SEVERAL:
            if isinstance(several := schema.get(word), list):
                served_ones = [self.serve_schema(each, key, depth + 1) for each in several]
                if any(now is not each for now, each in zip(served_ones, several, strict=True)):
                    changed[word] = served_ones
        return {**schema, **changed} if changed else schema  # type: ignore[return-value]  # a dict, as it was

    def _key_for(self, text: str, key: str) -> str:
        """Return the key, with a number if another text of this call has it: two alternatives of one parameter, say."""
        free, number = key, 2
        while self._given.get(free, text) != text:
            free, number = f"{key}-{number}", number + 1
        return free
