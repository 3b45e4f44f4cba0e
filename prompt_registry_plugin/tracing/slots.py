"""Text slots: the instruction-like texts of a model call, one by one, with their role and place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prompt_registry_plugin.prompts.context import Place
from prompt_registry_plugin.records import Role, Span
from prompt_registry_plugin.tracing.call_site import description_name

_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user"}


@dataclass(frozen=True, slots=True)
class Slot:
    """A text that an agent gave to a model, and that its code may have made."""

    span_id: str
    """The model call."""
    place: str
    """`agent/node` as far as the framework tells; of a description, `agent/KEY`."""
    role: Role
    """The kind of text."""
    text: str
    """The text as it was sent."""
    name: str = ""
    """Name of a prompt at this place."""
    key: str = ""
    """Of a description: `tools/NAME`, `tools/NAME.PARAMETER`, `handoffs/NAME`, `output` or `output.FIELD`."""


def place_name(place: Place | None, key: str = "") -> str:
    """Return a place as bindings have it: `agent/node`, or with the `key` of a description, `agent/key`."""
    if place is None:
        return key
    if key:
        return f"{place.graph or place.node or ''}/{key}".lstrip("/")
    return "/".join(part for part in (place.graph, place.node) if part)


def slots_of(span: Span) -> Iterator[Slot]:
    """Yield the slots of a model call: system and user texts, each content block alone, and descriptions. Empty texts are none."""
    attributes = span.attributes
    named = attributes.get("place") or {}
    place = Place(node=named.get("node"), graph=named.get("graph"))
    for message in attributes.get("messages") or ():
        role = _ROLES.get(str(message.get("role")))
        if role is not None:
            for text in message.get("blocks") or (message.get("content"),):
                if isinstance(text, str) and text.strip():
                    yield Slot(span.id, place_name(place), role, text, str(named.get("name") or "prompts/prompt"))
    for key, text in (attributes.get("descriptions") or {}).items():
        if isinstance(text, str) and text.strip():
            yield Slot(span.id, place_name(place, key), "description", text, description_name(_agent(named), key), key)


def _agent(named: Mapping[str, str | None]) -> str:
    return str(named.get("graph") or named.get("node") or str(named.get("name") or "agent").partition("/")[0])


def prompt_texts(spans: Iterable[Span]) -> frozenset[str]:
    """Return the texts that prompts of a recording rendered to, without space around them."""
    return frozenset(text.strip() for span in spans if span.kind == "prompt" for text in span.attributes.get("texts") or ())
