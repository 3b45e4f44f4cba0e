"""The texts of the registry in the body of a request. What the caller holds is never changed: what differs is a copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_registry_adapters.clients.shape import Body, Path, Shape
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.frameworks.descriptions import Descriptions
from prompt_registry_plugin.prompts.context import Place, current_recorder
from prompt_registry_plugin.tracing.call_site import caller_place
from prompt_registry_plugin.uri import SCHEME, is_prompt_uri


@dataclass(frozen=True, slots=True)
class ServedBody:
    """The body to send, and what a recording needs of it."""

    body: Body
    """The given one, if nothing in it is replaced."""
    place: Place | None
    """The user's function that makes the call, with its module."""
    descriptions: Mapping[str, str]
    """The descriptions that are sent, by key."""


def is_wanted(shape: Shape, body: Body) -> bool:
    """Return whether a call is recorded, or may be sent with another text. An idle process pays for nothing else."""
    return framework_prompts.is_active() or _names_prompt(shape, body)


def _names_prompt(shape: Shape, body: Body) -> bool:
    if any(is_prompt_uri(slot.text) for slot in shape.system_slots(body)):
        return True
    if not body.get("tools"):
        return False
    return any(isinstance(slot.value, str) and SCHEME in slot.value for slot in shape.description_slots(body))


def serve_body(shape: Shape, body: Body) -> ServedBody:
    """Return the body with the texts of the registry. Raises what `load_prompt` and `format` raise for a `prompts:/` URI."""
    place = caller_place()
    recorder = current_recorder()
    changes: list[tuple[Path, Any]] = []
    for slots in (shape.system_slots(body), shape.user_slots(body)):
        for slot in slots:
            if recorder is not None and recorder.has_rendered(slot.text):
                continue  # the framework above has served it, or the code loaded it from the registry itself
            served = framework_prompts.serve_text(slot.text, slot.role, place)
            if served != slot.text:
                changes.append((slot.path, served))
    descriptions = Descriptions(place)
    for described in shape.description_slots(body):
        serve = descriptions.serve if isinstance(described.value, str) else descriptions.serve_schema
        served = serve(described.value, described.key)
        if served is not described.value:
            changes.append((described.path, served))
    for path, value in changes:
        body = replaced(body, path, value)
    return ServedBody(body, place, descriptions.sent)


def replaced(holder: Any, path: Sequence[str | int], value: Any) -> Any:
    """Return a copy of nested dictionaries and lists with another value at a path. What does not lie on the path is shared."""
    key, *rest = path
    copied: Any = dict(holder) if isinstance(holder, dict) else list(holder)
    copied[key] = replaced(holder[key], rest, value) if rest else value
    return copied
