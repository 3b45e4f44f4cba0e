"""One system text of ADK's, taken apart: the instructions of the code, sentences of ADK's own, and what callbacks added."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prompt_registry_adapters.google_adk.runs import agents_near
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.frameworks.descriptions import Descriptions
from prompt_registry_plugin.prompts.context import Place
from prompt_registry_plugin.uri import SCHEME

_IDENTITY = 'You are an agent. Your internal name is "{}".'
_OWN_DESCRIPTION = "The description about you is "
_TRANSFER = "You have a list of other agents to transfer to:"
_TRANSFER_ENDS = re.compile(
    r"function are\n[^\n]*\.\n|the function call\.\n|text other than the function\ncall\.\n"
    r"|transfer to your parent agent [^\n]*\.\n|to your parent agent\.\n"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a system text."""

    text: str
    """The part without space around it, as it is sent."""
    before: str = ""
    after: str = ""
    is_known: bool = False
    """Whether it was an instruction of the agent, so that it is as it should be."""
    is_framework: bool = False
    """Whether ADK wrote it."""

    def __bool__(self) -> bool:
        return bool(self.text)

    @property
    def sent(self) -> str:
        """The part with the space around it."""
        return f"{self.before}{self.text}{self.after}"


def split_system(system: str, agent: Any, given: Sequence[str], place: Place, descriptions: Descriptions) -> list[Piece]:
    """Return the parts of a system text, with what the registry has for them. `given` are the instructions as they were given."""
    statics = _static_texts(agent)
    pieces = _cut_all(_whole(system), [text for text in given if text.strip()], lambda text: Piece(text, is_known=True))
    pieces = _cut_all(pieces, statics, lambda text: Piece(text))
    if agent is not None:
        own = [text for text in _own_sentences(pieces, agent) if text]
        pieces = _cut_all(pieces, own, lambda text: Piece(text, is_framework=True))
    return [_serve(piece, agent, statics, place, descriptions) for piece in pieces]


def instructions_of(text: str, given: Sequence[str]) -> list[Piece]:
    """Return the parts of a user's message in which ADK sends an instruction; an empty list for any other message."""
    found = next((each for each in given if each.strip() and each in text), None)
    if found is None:
        return []
    before, _, after = text.partition(found)
    return [Piece(before, is_framework=True), Piece(found, is_known=True), Piece(after, is_framework=True)]


def _whole(text: str) -> list[Piece]:
    inner = text.strip()
    start = text.find(inner) if inner else 0
    return [Piece(inner, text[:start], text[start + len(inner) :])]


def _cut_all(pieces: list[Piece], texts: Sequence[str], make: Callable[[str], Piece]) -> list[Piece]:
    """Return the pieces, with each of `texts` as a piece of its own: the first time that it stands in one that nobody knows."""
    for text in texts:
        for at, piece in enumerate(pieces):
            start = -1 if piece.is_known or piece.is_framework else piece.sent.find(text)
            if start >= 0:
                before, after = piece.sent[:start], piece.sent[start + len(text) :]
                pieces = [*pieces[:at], *_whole(before), make(text), *_whole(after), *pieces[at + 1 :]]
                break
    return pieces


def _static_texts(agent: Any) -> list[str]:
    static = getattr(agent, "static_instruction", None)
    if isinstance(static, str):
        return [static]
    parts = getattr(static, "parts", None)
    if parts is None:
        parts = static if isinstance(static, list) else [static]
    texts = [part if isinstance(part, str) else getattr(part, "text", None) for part in parts]
    return [text for text in texts if isinstance(text, str) and text.strip()]


def _own_sentences(pieces: Sequence[Piece], agent: Any) -> list[str]:
    """Return what ADK itself wrote: who the agent is, and to which agents it may hand over."""
    found: list[str] = []
    for piece in pieces:
        if piece.is_known:
            continue
        text = piece.sent
        if (identity := _IDENTITY.format(agent.name)) in text:
            said = rf'\s*{_OWN_DESCRIPTION}"{re.escape(agent.description or "")}"\.?'
            description = re.match(said, text.partition(identity)[2]) if agent.description else None
            found.append(identity + (description[0] if description else ""))
        if (start := text.find(_TRANSFER)) >= 0:
            ends = [match.end() for match in _TRANSFER_ENDS.finditer(text, start)]
            found.append(text[start : ends[-1] if ends else len(text)].rstrip())
    return found


def _serve(piece: Piece, agent: Any, statics: Sequence[str], place: Place, descriptions: Descriptions) -> Piece:
    if piece.is_known or not piece.text:
        return piece
    if not piece.is_framework:
        if piece.text in statics or SCHEME not in piece.text:
            return replace(piece, text=framework_prompts.serve_text(piece.text, "system", place))
        return piece
    text = piece.text
    for each in agents_near(agent):
        if description := getattr(each, "description", None):
            served = descriptions.serve(description, f"handoffs/{each.name}") if description in text else description
            about = f"Agent name: {each.name}\nAgent description: "
            text = text.replace(about + description, about + served)
            if each is agent:
                text = text.replace(f'{_OWN_DESCRIPTION}"{description}"', f'{_OWN_DESCRIPTION}"{served}"')
    return replace(piece, text=text)
