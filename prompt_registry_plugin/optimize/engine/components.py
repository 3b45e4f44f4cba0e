"""The texts that an optimizer may change: a text prompt is one component, a chat prompt has one for each message with instructions.

A component has the name of its prompt. If a prompt has several, `name#2` is the one in its second message. Demonstrations in a chat prompt
(a user's message and the assistant's answer) stay as they are; only `few_shot` replaces them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from prompt_registry_plugin.records import Candidate, Template

_VARIABLE = re.compile(r"\{\{.*?\}\}")
_WORD = re.compile(r"[^\W\d_]{2,}")
_FEWEST_WORDS = 4  # of an instruction: `Question: {{question}}` has nothing to improve


def components(templates: Mapping[str, Template]) -> dict[str, str]:
    """Return the text of each component by key, for all prompts."""
    found: dict[str, str] = {}
    for name, template in templates.items():
        if isinstance(template, str):
            found[name] = template
            continue
        texts = {i: template[i - 1]["content"] for i in _instructions(template)}
        found.update({name if len(texts) == 1 else f"{name}#{i}": text for i, text in texts.items()})
    return found


def with_component(candidate: Candidate, key: str, text: str, note: str) -> Candidate:
    """Return the child of `candidate` with another text of component `key`."""
    name, _, number = key.partition("#")
    template = candidate.templates[name]
    if isinstance(template, str):
        return candidate.replace(name, text, note=note)
    at = int(number) if number else _instructions(template)[0]
    messages = [{**message, "content": text} if i == at else dict(message) for i, message in enumerate(template, 1)]
    return candidate.replace(name, messages, note=note)


def demonstrations(template: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the positions, from 0, of messages that show an exchange: a user's, and the assistant's answer right after it."""
    roles = [message.get("role") for message in template]
    starts = [i for i in range(len(roles) - 1) if roles[i : i + 2] == ["user", "assistant"]]
    return [place for i in starts for place in (i, i + 1)]


def _instructions(template: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the positions, from 1, of messages with instructions. Demonstrations do not count: rewritten, they would be false."""
    shown = set(demonstrations(template))
    return [i for i, message in enumerate(template, 1) if i - 1 not in shown and _is_instruction(message)]


def _is_instruction(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, str) and len(_WORD.findall(_VARIABLE.sub(" ", content))) >= _FEWEST_WORDS
