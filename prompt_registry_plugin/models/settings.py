"""The settings of a prompt version as parameters of the chat protocol, and notes of those that a model does not take."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from prompt_registry_plugin.prompts.version import PromptVersion

logger = logging.getLogger(__name__)

_NAMES = {
    "stop_sequences": "stop",
    "max_output_tokens": "max_tokens",
    "effort": "reasoning_effort",
    "presence_penality": "presence_penalty",
}  # names of MLflow and other tools -> those of the chat protocol
# They say which model is asked, and where; `PromptAgent` and the environment decide that.
_NOT_SETTINGS = frozenset(
    "model model_name provider type api api_type connection endpoint azure_endpoint azure_deployment api_version base_url "
    "max_turns return_tool_requests".split()
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SCHEMA_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_notes: ContextVar[list[str] | None] = ContextVar("prompt_registry_settings_left_out", default=None)
_logged: set[str] = set()


def chat_params(version: PromptVersion) -> dict[str, Any]:
    """Return the model settings of a version as parameters of the chat protocol: its `model_config`, response format and tools.

    Names are those of the protocol, whatever tool they come from (`maxOutputTokens`, `stop_sequences`). Names that the protocol does not
    have are returned as they are, for a provider that takes them.
    """
    params = _params_of_config(version.model_config or {})
    if version.response_format is not None:
        params["response_format"] = response_format_of(version.response_format, version.name)
    if version.tools:
        params["tools"] = [tool_of(tool) for tool in version.tools]
    return params


def _params_of_config(config: Mapping[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for key, value in config.items():
        name = _CAMEL.sub("_", str(key)).lower()
        name = _NAMES.get(name, name)
        if value is None or name in _NOT_SETTINGS:
            continue
        if name in ("extra_params", "parameters") and isinstance(value, Mapping):
            params |= _params_of_config(value)
        elif name == "reasoning" and isinstance(value, Mapping) and isinstance(value.get("effort"), str):
            params["reasoning_effort"] = value["effort"]
        elif name == "response_format" and isinstance(value, Mapping):
            params[name] = response_format_of(value, "answer")
        else:
            params[name] = _plain(value)
    return params


def response_format_of(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a response format of the chat protocol for one, or for a JSON Schema, whose title or else `name` names it."""
    if found.get("type") in ("json_schema", "json_object", "text") and not found.keys() & {"properties", "$ref", "anyOf"}:
        return dict(_plain(found))
    schema = dict(_plain(found))
    title = _SCHEMA_NAME.sub("_", str(schema.get("title") or name)).strip("_")[:64]
    return {"type": "json_schema", "json_schema": {"name": title or "answer", "schema": schema}}


def tool_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool as the chat protocol defines it, from its own form, that of the Responses API, or that of Anthropic."""
    if (
        isinstance(tool.get("function"), Mapping)
        or "name" not in tool
        or tool.get("type", "function") not in ("function", "custom")
    ):
        return dict(_plain(tool))
    function = {key: value for key, value in tool.items() if key in ("name", "description", "parameters", "strict")}
    if "input_schema" in tool:
        function["parameters"] = tool["input_schema"]
    return {"type": "function", "function": dict(_plain(function))}


def wants_json(params: Mapping[str, Any]) -> bool:
    """Return whether the parameters ask for an answer in JSON."""
    wanted = params.get("response_format")
    return isinstance(wanted, Mapping) and wanted.get("type") in ("json_schema", "json_object")


def _plain(value: Any) -> Any:
    """Return a copy that may be changed, of JSON data that may not."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@contextmanager
def collect_notes() -> Iterator[list[str]]:
    """Yield a list that receives what `note_left_out` says inside the block, each sentence once."""
    found: list[str] = []
    token = _notes.set(found)
    try:
        yield found
    finally:
        _notes.reset(token)


def note_left_out(model: str, names: Sequence[str], why: str = "does not take it") -> None:
    """Log once that a model is asked without these settings, and tell a surrounding `collect_notes`."""
    for name in names:
        message = f"Model {model!r} is asked without {name!r}: it {why}."
        if message not in _logged:
            _logged.add(message)
            logger.warning("%s", message)
        found = _notes.get()
        if found is not None and message not in found:
            found.append(message)
