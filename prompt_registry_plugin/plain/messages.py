"""Messages, tool calls, responses of models' SDKs and results of agents' runs, known by their form: no framework is imported.

A message's plain form is `{"role": …, "content": …}`, with `"tool_calls": [{"name": …, "arguments": {…}}]` where it calls tools.
Ids are left out: they are others in each run, and no answer could be compared with what is expected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from prompt_registry_plugin.frozen import json_or_text

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "model": "assistant"}
_TEXT_BLOCKS = ("text", "output_text", "input_text")
# Parts of a message that are no part of its text. Tool calls among them are read as such.
_NO_TEXT = frozenset(
    "thinking redacted_thinking reasoning tool_use tool_call tool_call_chunk function_call server_tool_use "
    "web_search_tool_result tool_result server_tool_call server_tool_result".split()
)
Found = tuple[Any] | None
"""A value in a tuple of one, which may be None itself; None if the object is of another kind."""


def message_data(value: Any) -> Found:
    """Return the plain form of a framework's message, or None."""
    if not is_message(value):
        return None
    said: dict[str, Any] = {"role": role_of_message(value), "content": message_text(value)}
    if name := getattr(value, "name", None):
        said["name"] = name
    return ({**said, "tool_calls": calls} if (calls := message_calls(value)) else said,)


def protocol_message(value: Any) -> Found:
    """Return a framework's message as the chat protocol has it, with ids and all parts of its content, or None.

    So it can be an input: frameworks take such mappings as messages.
    """
    if not is_message(value):
        return None
    content = getattr(value, "content", None)
    said: dict[str, Any] = {
        "role": role_of_message(value),
        "content": message_text(value) if hasattr(value, "parts") else content,
    }
    for key in ("name", "tool_call_id"):
        if found := getattr(value, key, None):
            said[key] = found
    calls = [
        {
            "id": _get(call, "id"),
            "type": "function",
            "function": {"name": named["name"], "arguments": _as_text(named["arguments"])},
        }
        for call in _calls_of(value)
        if (named := _named_call(call)) is not None
    ]
    return ({**said, "tool_calls": calls} if calls else said,)


def _as_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)


def message_answer(message: Any) -> Any:
    """Return what a message answers: parsed data if its SDK parsed it, its text, or a mapping with its tool calls."""
    if (parsed := getattr(message, "parsed", None)) is not None and _is_from(message, "openai"):
        return parsed
    return text_or_calls(message_text(message), message_calls(message))


def text_or_calls(text: str, calls: Sequence[Mapping[str, Any]]) -> Any:
    """Return an answer of a model: its text, or with tool calls a mapping of `tool_calls` and, if there is text too, `content`."""
    if not calls:
        return text
    return {**({"content": text} if text else {}), "tool_calls": [dict(call) for call in calls]}


def tool_call_data(value: Any) -> Found:
    """Return name and arguments of an SDK's tool call, or None."""
    call = _tool_call(value)
    return None if call is None else (call,)


def inner_answer(value: Any) -> Found:
    """Return what a response of an SDK or the result of an agent's run holds, or None for any other object."""
    if isinstance(value, Mapping | Sequence):
        return None
    origin = _origin(value)
    if origin == "pydantic_ai" and type(value).__name__ == "DeferredToolRequests":
        return ({"tool_calls": [*value.calls, *value.approvals]},)
    if origin in ("pydantic_ai", "agents", "crewai", "langgraph"):
        return _run_output(value, origin)
    if origin in ("openai", "anthropic") and "APIResponse" in type(value).__name__ and callable(getattr(value, "parse", None)):
        return (value.parse(),)
    return _response_answer(value)


def _run_output(value: Any, origin: str) -> Found:
    name = type(value).__name__
    if origin == "pydantic_ai" and name.endswith("RunResult"):
        return (value.output,)
    if origin == "agents" and name.startswith("RunResult"):
        waiting = getattr(value, "interruptions", None)
        return (value.final_output if value.final_output is not None or not waiting else {"interruptions": list(waiting)},)
    if origin == "crewai" and hasattr(value, "raw"):
        found = getattr(value, "pydantic", None) or getattr(value, "json_dict", None)
        return (value.raw if found is None else found,)
    if origin == "langgraph" and name == "GraphOutput":
        return (value.value,)
    if origin == "langgraph" and name == "Interrupt":
        return ({"interrupt": value.value},)
    return None


def _response_answer(value: Any) -> Found:
    """Return the answer in a response, by the four forms that there are."""
    choices = getattr(value, "choices", None)
    if isinstance(choices, list) and choices and (message := _get(choices[0], "message")) is not None:
        return (message_answer(message),)
    output = getattr(value, "output", None)
    if isinstance(output, list) and getattr(value, "object", None) == "response":
        parsed = getattr(value, "output_parsed", None)
        if parsed is not None:
            return (parsed,)
        texts = [message_text(item) for item in output if _get(item, "type") == "message"]
        return (text_or_calls("".join(texts), [call for item in output if (call := _tool_call(item))]),)
    if hasattr(value, "stop_reason") and isinstance(getattr(value, "content", None), list):
        parsed = getattr(value, "parsed_output", None)
        return (message_answer(value) if parsed is None else parsed,)
    candidates = getattr(value, "candidates", None)
    if isinstance(candidates, list) and candidates and hasattr(value, "usage_metadata"):
        if (parsed := getattr(value, "parsed", None)) is not None:
            return (parsed,)
        return (parts_answer(_get(_get(candidates[0], "content"), "parts") or ()),)
    return None


def parts_answer(parts: Sequence[Any]) -> Any:
    """Return the answer in the parts of a response of Gemini."""
    text = "".join(_get(part, "text") or "" for part in parts if not _get(part, "thought"))
    calls = [
        {"name": call.name, "arguments": dict(call.args or {})}
        for part in parts
        if (call := _get(part, "function_call")) is not None
    ]
    return text_or_calls(text, calls)


def is_message(value: Any) -> bool:
    """Return whether an object is a message of LangChain, of the OpenAI client, or a response of a model in Pydantic AI."""
    if isinstance(value, type):
        return False
    if _is_from(value, "langchain_core"):
        return hasattr(value, "content") and hasattr(value, "type") and type(value).__name__ != "Document"
    if _is_from(value, "pydantic_ai"):
        return getattr(value, "kind", None) in ("request", "response") and isinstance(getattr(value, "parts", None), list | tuple)
    return _is_from(value, "openai") and hasattr(value, "role") and hasattr(value, "content")


def role_of_message(message: Any) -> str:
    """Return the role of a message as the chat protocol names it."""
    if hasattr(message, "parts"):
        return "assistant" if message.kind == "response" else "user"
    role = getattr(message, "role", None) or getattr(message, "type", "message")
    return _ROLES.get(str(role), str(role))


def message_text(message: Any) -> str:
    """Return the text of a message without thinking; other parts, such as images, appear as their type (`<image_url>`)."""
    parts = getattr(message, "parts", None)
    if isinstance(parts, list | tuple):
        kinds = ("text", "user-prompt", "system-prompt", "tool-return")
        return "".join(str(part.content) for part in parts if getattr(part, "part_kind", "") in kinds)
    content = _get(message, "content")
    if content is None:
        return _get(message, "refusal") or ""
    return content if isinstance(content, str) else "".join(map(_block_text, content))


def _block_text(block: Any) -> str:
    if isinstance(block, str):
        return block
    kind, text = _get(block, "type"), _get(block, "text")
    if kind in _TEXT_BLOCKS or (kind is None and isinstance(text, str)):
        return str(text or "")
    if kind == "refusal":
        return str(_get(block, "refusal") or "")
    return "" if kind in _NO_TEXT else f"<{kind or 'part'}>"


def message_calls(message: Any) -> list[dict[str, Any]]:
    """Return the tool calls of a message, each with its name and arguments."""
    return [call for each in _calls_of(message) if (call := _named_call(each)) is not None]


def _calls_of(message: Any) -> list[Any]:
    """Return the tool calls of a message as its framework holds them."""
    parts = getattr(message, "parts", None)
    if isinstance(parts, list | tuple):
        return [part for part in parts if getattr(part, "part_kind", "") == "tool-call"]
    found = [*(_get(message, "tool_calls") or ()), *(_get(message, "invalid_tool_calls") or ())]
    if not found and isinstance(content := _get(message, "content"), list | tuple):
        found = [block for block in content if _get(block, "type") == "tool_use"]
    return found or ([legacy] if (legacy := _get(message, "function_call")) else [])


def _tool_call(value: Any) -> dict[str, Any] | None:
    """Return a tool call, if this is certainly one."""
    if isinstance(value, Mapping | Sequence | type):
        return None
    origin = _origin(value)
    if origin == "pydantic_ai":
        return _named_call(value) if getattr(value, "part_kind", "") == "tool-call" else None
    if origin in ("openai", "anthropic"):
        kind = getattr(value, "type", None)
        known = kind in ("tool_use", "function_call", "custom_tool_call") or (
            kind in ("function", "custom") and hasattr(value, "id") and hasattr(value, kind)
        )
        return _named_call(value) if known else None
    return None


def named_call(call: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return name and arguments of a mapping that is a tool call, as LangChain, the chat protocol or Anthropic write it; or None."""
    if isinstance(call.get("function"), Mapping) and "arguments" in call["function"]:
        return _named_call(call)
    known = {"name", "args", "arguments", "input", "id", "type", "index", "call_id", "status", "error"}
    is_call = "name" in call and call.keys() <= known and len(call.keys() & {"args", "arguments", "input"}) == 1
    return _named_call(call) if is_call else None


def _named_call(call: Any) -> dict[str, Any] | None:
    inner = _get(call, "function") or _get(call, "custom") or call
    name = _get(inner, "name") or _get(inner, "tool_name")
    if not isinstance(name, str):
        return None
    given: Any = next((found for key in ("arguments", "args", "input") if (found := _get(inner, key)) is not None), {})
    return {"name": name, "arguments": read_arguments(given)}


def read_arguments(given: Any) -> Any:
    """Return the arguments of a tool call as data; text that is not JSON is returned as it is."""
    return {} if isinstance(given, str) and not given.strip() else json_or_text(given)


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _origin(value: Any) -> str:
    """Return the package that a class comes from, also through a user's subclass: the first that is known among its bases."""
    for base in type(value).__mro__:
        root = base.__module__.partition(".")[0]
        if root in _PACKAGES:
            return root
    return ""


_PACKAGES = frozenset({"langchain_core", "pydantic_ai", "openai", "anthropic", "agents", "crewai", "langgraph"})


def _is_from(value: Any, package: str) -> bool:
    return _origin(value) == package
