"""The texts of one model call: messages, with the prompts in them told from CrewAI's own words, and the descriptions of tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_registry_adapters.crewai import runs
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.frameworks.descriptions import Descriptions
from prompt_registry_plugin.prompts.context import Place
from prompt_registry_plugin.prompts.messages import FRAMEWORK, content_of
from prompt_registry_plugin.records import Role
from prompt_registry_plugin.uri import is_prompt_uri

_ROLES: Mapping[object, Role] = {"user": "user", "system": "system", "developer": "system"}


@dataclass(frozen=True, slots=True)
class ServedCall:
    """A call of a model with the texts of the registry."""

    messages: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shown: Sequence[Mapping[str, Any]]
    """The messages as a trace has them."""
    descriptions: Mapping[str, str]
    """The descriptions that are sent, by key."""
    place: Place | None
    """The agent, if one makes the call."""


def serve_call(messages: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ServedCall:
    """Return the call with the texts of the registry; objects in which nothing changes stay the same."""
    run = runs.current_run()
    place = Place(node="messages", graph=run.name) if run else None
    known = tuple(run.texts) if run else ()
    descriptions = Descriptions(Place(graph=place.graph) if place else None)
    if isinstance(messages, str):
        served: Any = _serve_text(messages, "user", place, known)
        shown: list[Mapping[str, Any]] = [{"role": "user", "content": served}]
    elif not isinstance(messages, list | tuple):  # what can be read only once is left to the model
        served, shown = messages, []
    else:
        served = [_serve_message(message, place, known) for message in messages]
        shown = [_shown(message, known) for message in served]
        if all(now is before for now, before in zip(served, messages, strict=True)):
            served = messages  # CrewAI and its hooks add to this very list
    kwargs = dict(kwargs)
    if args:
        args = (_serve_tools(args[0], descriptions), *args[1:])
    elif kwargs.get("tools"):
        kwargs["tools"] = _serve_tools(kwargs["tools"], descriptions)
    return ServedCall(served, args, kwargs, shown, descriptions.sent, place)


def _serve_message(message: Any, place: Place | None, known: Sequence[str]) -> Any:
    role = _ROLES.get(message.get("role")) if isinstance(message, Mapping) else None
    content = message.get("content") if role else None
    if role is None or not isinstance(content, str):
        return message
    served = _serve_text(content, role, place, known)
    return message if served is content else {**message, "content": served}


def _serve_text(text: str, role: Role, place: Place | None, known: Sequence[str]) -> str:
    if not text.strip() or is_prompt_uri(text) or any(each in text for each in known):
        return text  # its parts were served where CrewAI put it together; whoever writes to the agent chooses no prompt
    served = framework_prompts.serve_text(text, role, place)
    return text if served == text else served


def _shown(message: Any, known: Sequence[str]) -> Mapping[str, Any]:
    """Return a message with the prompts in it as its blocks; without any, an agent's system message is CrewAI's own."""
    role = str(message.get("role") if isinstance(message, Mapping) else "message")
    content = message.get("content") if isinstance(message, Mapping) else message
    text = content_of({"content": content})
    blocks = [each for each in known if each in text]
    if blocks:
        return {"role": role, "content": text, "blocks": blocks}
    return {"role": FRAMEWORK if known and role == "system" else role, "content": content if content is not None else ""}


def _serve_tools(tools: Any, descriptions: Descriptions) -> Any:
    if not isinstance(tools, list):
        return tools
    served = [_serve_tool(tool, descriptions) for tool in tools]
    return served if any(now is not before for now, before in zip(served, tools, strict=True)) else tools


def _serve_tool(tool: Any, descriptions: Descriptions) -> Any:
    """Return the schema of a tool with the descriptions of the registry. Other shapes stay as they are."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping):
        return tool
    key = f"tools/{function.get('name')}"
    text, schema = function.get("description"), function.get("parameters")
    served_text, served_schema = descriptions.serve(text, key), descriptions.serve_schema(schema, key)
    if served_text is text and served_schema is schema:
        return tool
    return {**tool, "function": {**function, "description": served_text, "parameters": served_schema}}
