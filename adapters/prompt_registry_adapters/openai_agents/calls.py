"""The texts of one model call: messages of the input, and the descriptions of tools, handoffs and the output.

Instructions were replaced before, where the agent gave them. The objects of the agent are never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.frameworks.descriptions import Descriptions
from prompt_registry_plugin.prompts.context import Place
from prompt_registry_plugin.records import Role
from prompt_registry_plugin.uri import is_prompt_uri

_PARAMETERS = ("system_instructions", "input", "model_settings", "tools", "output_schema", "handoffs")
_DEFAULT_INPUT = "Default input schema for agent-as-tool calls."  # the SDK's own description
_ROLES: Mapping[object, Role] = {"user": "user", "system": "system", "developer": "system"}


@dataclass(frozen=True, slots=True)
class ServedCall:
    """A call of a model with the texts of the registry."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    given: Mapping[str, Any]
    """All arguments by name."""
    descriptions: Mapping[str, str]
    """The descriptions that are sent, by key; empty while nothing is recorded, replaced or adopted."""
    place: Place
    """The agent."""


def serve_call(args: Sequence[Any], kwargs: Mapping[str, Any], agent: str | None) -> ServedCall:
    """Return the call with the texts of the registry; arguments in which nothing changes stay the same objects."""
    given = {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs}
    place = Place(node="instructions", graph=agent or "agent")
    descriptions = Descriptions(Place(graph=place.graph))
    if framework_prompts.is_active():
        served = {
            "input": _serve_input(given.get("input"), place),
            "tools": _serve_all(given.get("tools"), "tools", "description", "params_json_schema", descriptions),
            "handoffs": _serve_all(given.get("handoffs"), "handoffs", "tool_description", "input_json_schema", descriptions),
            "output_schema": _serve_output(given.get("output_schema"), descriptions),
        }
    else:
        served = {name: _load_addresses(given.get(name), attribute) for name, attribute in _DESCRIBED.items()}
    changed = {name: value for name, value in served.items() if value is not given.get(name)}
    if changed:
        args = [changed.get(name, value) for name, value in zip(_PARAMETERS, args, strict=False)] + list(args[len(_PARAMETERS) :])
        kwargs = {name: changed.get(name, value) for name, value in kwargs.items()}
    return ServedCall(tuple(args), dict(kwargs), {**given, **changed}, descriptions.sent, place)


_DESCRIBED = {"tools": "description", "handoffs": "tool_description"}


def _load_addresses(items: Any, attribute: str) -> Any:
    """Return tools or handoffs with the prompts that their descriptions name."""
    loaded = [
        _changed(item, {attribute: framework_prompts.description_here(_attribute(item, attribute), None)}) for item in items or ()
    ]
    return loaded if any(now is not item for now, item in zip(loaded, items or (), strict=True)) else items


def _serve_all(items: Any, kind: str, text: str, schema: str, descriptions: Descriptions) -> Any:
    served = [_serve_one(item, kind, text, schema, descriptions) for item in items or ()]
    return served if any(now is not item for now, item in zip(served, items or (), strict=True)) else items


def _serve_one(item: Any, kind: str, text: str, schema: str, descriptions: Descriptions) -> Any:
    key = f"{kind}/{_attribute(item, 'name') or _attribute(item, 'tool_name')}"
    parameters = _attribute(item, schema)
    is_default = isinstance(parameters, dict) and parameters.get("description") == _DEFAULT_INPUT
    served = {text: descriptions.serve(_attribute(item, text), key)}
    return _changed(item, served if is_default else {**served, schema: descriptions.serve_schema(parameters, key)})


def _attribute(item: Any, name: str) -> Any:
    return getattr(item, name, None)


def _changed(item: Any, attributes: Mapping[str, Any]) -> Any:
    """Return a copy of an object with other attributes, or itself if it has them."""
    changed = {name: value for name, value in attributes.items() if value is not _attribute(item, name)}
    if changed:
        item = copy(item)
        for name, value in changed.items():
            setattr(item, name, value)
    return item


def _serve_output(output: Any, descriptions: Descriptions) -> Any:
    """Return an output schema whose descriptions are replaced: a copy whose `json_schema` gives another one."""
    if output is None or output.is_plain_text():
        return output
    schema = output.json_schema()
    served = descriptions.serve_schema(schema, "output")
    if served is schema:
        return output
    output = copy(output)
    output.json_schema = lambda: served
    return output


def _serve_input(given: Any, place: Place) -> Any:
    if isinstance(given, str):
        return _serve_text(given, "user", place)
    if not isinstance(given, list):
        return given
    items = [_serve_item(item, place) for item in given]
    return items if any(now is not item for now, item in zip(items, given, strict=True)) else given


def _serve_item(item: Any, place: Place) -> Any:
    """Return a message of the input; what is no message of a user or of the code stays as it is."""
    role = _ROLES.get(item.get("role")) if isinstance(item, dict) and item.get("type", "message") == "message" else None
    if role is None:
        return item
    content = item.get("content")
    if isinstance(content, str):
        served = _serve_text(content, role, place)
        return item if served is content else {**item, "content": served}
    if not isinstance(content, list):
        return item
    parts = [_serve_part(part, role, place) for part in content]
    return {**item, "content": parts} if any(now is not part for now, part in zip(parts, content, strict=True)) else item


def _serve_part(part: Any, role: Role, place: Place) -> Any:
    text = part.get("text") if isinstance(part, dict) else None
    if not isinstance(text, str):
        return part
    served = _serve_text(text, role, place)
    return part if served is text else {**part, "text": served}


def _serve_text(text: str, role: Role, place: Place) -> str:
    if role == "user" and is_prompt_uri(text):
        return text  # whoever writes to the agent must not choose what is loaded
    served = framework_prompts.serve_text(text, role, place)
    return text if served == text else served
