"""The protocol of Gemini's `generateContent`, of the Gemini API and of Vertex AI."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prompt_registry_adapters.clients.shape import (
    Answer,
    Body,
    DescriptionSlot,
    Shape,
    TextSlot,
    get,
    items,
    plain_text,
    text_slots,
)

_ROLES = {"model": "assistant", None: "user"}


@dataclass(slots=True)
class GeminiAnswer(Answer):
    """The parts of the first candidate. A stream's events are answers of the same form."""

    def read(self, whole: Any) -> None:
        """Take an answer, as JSON data."""
        self.add(whole)

    def add(self, event: Any) -> None:
        """Take a piece of an answer, as JSON data."""
        candidate = next((candidate for _, candidate in items(get(event, "candidates"))), None)
        for _, part in items(get(get(candidate, "content"), "parts")):
            call = _named(part, "functionCall", "function_call")
            if call:
                self.calls[len(self.calls)] = {"name": str(get(call, "name")), "args": get(call, "args") or {}}
            elif not get(part, "thought"):
                self.texts.append(plain_text(get(part, "text")))
        self.count(
            get(event, "usageMetadata"),
            ("promptTokenCount", "toolUsePromptTokenCount"),
            ("candidatesTokenCount", "thoughtsTokenCount"),
        )


class Gemini(Shape):
    """`…:generateContent` and `…:streamGenerateContent`."""

    def new_answer(self) -> Answer:
        """Return an empty answer."""
        return GeminiAnswer()

    def model(self, body: Body, path: str) -> str:
        """Return the name of the model, which stands in the path."""
        found = re.search(r"([^/:]+):\w*[gG]enerateContent", path)
        return found[1] if found else "gemini"

    def system_slots(self, body: Body) -> Iterator[TextSlot]:
        """Yield the parts of the system instruction."""
        yield from text_slots(body.get("systemInstruction"), "parts", "system", ("systemInstruction",))

    def user_slots(self, body: Body) -> Iterator[TextSlot]:
        """Yield the text parts of the user's contents."""
        for i, content in items(body.get("contents")):
            if get(content, "role") in ("user", None):
                yield from text_slots(content, "parts", "user", ("contents", i))

    def description_slots(self, body: Body) -> Iterator[DescriptionSlot]:
        """Yield what stands in the declarations of functions and the schema of the answer."""
        for i, tool in items(body.get("tools")):
            for j, function in items(get(tool, "functionDeclarations")):
                for key in ("description", "parameters", "parametersJsonSchema", "parameters_json_schema"):
                    if get(function, key):
                        path = ("tools", i, "functionDeclarations", j, key)
                        yield DescriptionSlot(path, f"tools/{get(function, 'name')}", function[key])
        config = body.get("generationConfig")
        for key in ("responseSchema", "responseJsonSchema"):
            if get(config, key):
                yield DescriptionSlot(("generationConfig", key), "output", get(config, key))

    def messages(self, body: Body) -> list[dict[str, Any]]:
        """Return the system instruction and the contents; what functions returned are messages of tools."""
        given: Any = body.get("systemInstruction")
        found = [{"role": "system", "content": get(given, "parts") or plain_text(given)}] if given else []
        for _, content in items(body.get("contents")):
            parts = get(content, "parts")
            results = [result for _, part in items(parts) if (result := _response(part))]
            found += [{"role": "tool", "content": _result_text(get(result, "response"))} for result in results]
            others = [_shown(part) for _, part in items(parts) if not _response(part)]
            if others or not results:
                role = get(content, "role")
                found.append({"role": _ROLES.get(role, role), "content": others})
        return found


def _response(part: Any) -> Any:
    return _named(part, "functionResponse", "function_response")


def _named(part: Any, name: str, in_words: str) -> Any:
    """Return a value by the protocol's name or by Python's: the client sends both, as the server takes both."""
    return get(part, name) or get(part, in_words)


def _shown(part: Any) -> Any:
    """Return a part in the words of the chat protocol; without a text, it is named by its kind."""
    text = get(part, "text")
    return {"type": "text", "text": text} if isinstance(text, str) else {"type": next(iter(part), "part")}


def _result_text(response: Any) -> str:
    """Return what a function returned; the client wraps a value that is no mapping in one."""
    if isinstance(response, dict) and len(response) == 1 and isinstance(only := next(iter(response.values())), str):
        return only
    return json.dumps(response, default=str, ensure_ascii=False)
