"""The texts of one model call: system texts one by one, messages, and the descriptions of tools and agents.

ADK joins instructions, its own sentences and what callbacks add to one text. It is taken apart again here, since an adopted text is
recognized as a whole. The request of the agent is never changed: the model gets a copy if anything is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_registry_adapters.google_adk import runs
from prompt_registry_adapters.google_adk.declarations import serve_tools
from prompt_registry_adapters.google_adk.system_texts import instructions_of, split_system
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.frameworks.descriptions import Descriptions
from prompt_registry_plugin.prompts.context import Place
from prompt_registry_plugin.prompts.messages import FRAMEWORK
from prompt_registry_plugin.uri import SCHEME, is_prompt_uri

_ROLES = {"model": "assistant", "user": "user"}
_OTHERS = "For context:"  # how ADK begins what another agent said


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """A request with the texts of the registry."""

    request: Any
    messages: Sequence[Mapping[str, Any]]
    """What is sent, in the words of the chat protocol; sentences of ADK's own have the role `framework`."""
    descriptions: Mapping[str, str]
    """The descriptions that are sent, by key."""
    place: Place
    """The agent."""


def serve_request(request: Any, run: runs.AgentRun | None) -> ServedRequest:
    """Return a request with the texts of the registry; the same object if nothing is replaced."""
    agent = run.agent if run else None
    place = Place(node="instruction", graph=getattr(agent, "name", None) or "agent")
    descriptions = Descriptions(Place(graph=place.graph))
    given = list(run.instructions.values()) if run else []
    config = request.config
    changed: dict[str, Any] = {}
    messages: list[Mapping[str, Any]] = []
    system = getattr(config, "system_instruction", None)
    if isinstance(system, str):
        pieces = split_system(system, agent, given, place, descriptions)
        served = "".join(piece.sent for piece in pieces)
        texts = [piece.text for piece in pieces if piece and not piece.is_framework]
        messages.append({"role": "system" if texts else FRAMEWORK, "content": served, "blocks": texts})
        if served != system:
            changed["system_instruction"] = served
    elif system is not None:
        messages.append({"role": "system", "content": [{"type": "text", "text": text} for text in _texts_of(system)]})
    tools = getattr(config, "tools", None)
    if (served_tools := serve_tools(tools, request.tools_dict, descriptions)) is not tools:
        changed["tools"] = served_tools
    contents = [_serve_content(content, given, place) for content in request.contents or ()]
    for content in contents:
        messages += _messages_of(content, given)
    update: dict[str, Any] = {"config": config.model_copy(update=changed)} if changed else {}
    if any(now is not before for now, before in zip(contents, request.contents or (), strict=True)):
        update["contents"] = contents
    return ServedRequest(request.model_copy(update=update) if update else request, messages, descriptions.sent, place)


def names_prompts(request: Any) -> bool:
    """Return whether a request that nothing else is done for has the address of a prompt in a description."""
    run = runs.current_run()
    if run is not None and SCHEME in str(getattr(request.config, "system_instruction", "")):
        return True
    return any(
        SCHEME in (declaration.description or "")
        for tool in getattr(request.config, "tools", None) or ()
        for declaration in getattr(tool, "function_declarations", None) or ()
    )


def _texts_of(system: Any) -> list[str]:
    """Return the texts of a system instruction that is no plain text: a part, a message, or a list of them."""
    if isinstance(system, str):
        return [system]
    if isinstance(system, list | tuple):
        return [text for each in system for text in _texts_of(each)]
    if (parts := getattr(system, "parts", None)) is not None:
        return [text for part in parts for text in _texts_of(part)]
    text = system.get("text") if isinstance(system, Mapping) else getattr(system, "text", None)
    return [text] if isinstance(text, str) and text else []


def _serve_content(content: Any, given: Sequence[str], place: Place) -> Any:
    """Return a message with what the registry has for the user's texts that the code made; itself if nothing replaces them."""
    if content.role != "user" or not content.parts or _is_of_others(content):
        return content
    parts = [_serve_part(part, given, place) for part in content.parts]
    is_same = all(now is before for now, before in zip(parts, content.parts, strict=True))
    return content if is_same else content.model_copy(update={"parts": parts})


def _serve_part(part: Any, given: Sequence[str], place: Place) -> Any:
    text = part.text
    if (
        not text or is_prompt_uri(text) or instructions_of(text, given)
    ):  # whoever writes to the agent must not choose what is loaded
        return part
    served = framework_prompts.serve_text(text, "user", place)
    return part if served == text else part.model_copy(update={"text": served})


def _is_of_others(content: Any) -> bool:
    return bool(content.parts) and content.parts[0].text == _OTHERS


def _messages_of(content: Any, given: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return a message in the words of the chat protocol; an instruction that ADK sends as the user's is a system text."""
    role = FRAMEWORK if _is_of_others(content) else _ROLES.get(str(content.role), str(content.role))
    found: list[Mapping[str, Any]] = []
    blocks: list[Any] = []
    for part in content.parts or ():
        if part.function_response is not None:
            found.append({"role": "tool", "content": str(part.function_response.response)})
        elif part.text and (pieces := instructions_of(part.text, given)):
            found += [{"role": FRAMEWORK if piece.is_framework else "system", "content": piece.text} for piece in pieces if piece]
        elif part.text:
            blocks.append({"type": "text", "text": part.text})
        elif part.function_call is not None:
            blocks.append({"type": f"call of {part.function_call.name}"})
        else:
            blocks.append({"type": next(iter(part.model_dump(exclude_none=True)), "part")})
    if blocks:
        is_text = len(blocks) == 1 and "text" in blocks[0]
        found.append({"role": role, "content": blocks[0]["text"] if is_text else blocks})
    return found
