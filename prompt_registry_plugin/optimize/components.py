"""The texts that an optimizer may change: a text prompt is one component, a chat prompt one for each message with words of its own.

A component is named like its prompt; with several in one prompt, `name#2` is the one in the second message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.records import Candidate, Template
from prompt_registry_plugin.templates import compile_template

_VARIABLE = re.compile(r"\{\{.*?\}\}")
_MAX_GROWTH = 3000  # characters that a component may gain over its baseline


def components(templates: Mapping[str, Template]) -> dict[str, str]:
    """Component texts by key, for all prompts."""
    found: dict[str, str] = {}
    for name, template in templates.items():
        if isinstance(template, str):
            found[name] = template
            continue
        texts = {i: message["content"] for i, message in enumerate(template, 1) if _is_instruction(message)}
        found.update({name if len(texts) == 1 else f"{name}#{i}": text for i, text in texts.items()})
    return found


def with_component(candidate: Candidate, key: str, text: str, note: str) -> Candidate:
    """The child of `candidate` in which component `key` reads `text`."""
    name, _, number = key.partition("#")
    template = candidate.templates[name]
    if isinstance(template, str):
        return candidate.replace(name, text, note=note)
    at = int(number) if number else next(i for i, message in enumerate(template, 1) if _is_instruction(message))
    messages = [{**message, "content": text} if i == at else dict(message) for i, message in enumerate(template, 1)]
    return candidate.replace(name, messages, note=note)


def fault_of(text: str, baseline: str, current: str) -> str | None:
    """Why `text` may not replace a component, or None: it is empty, unchanged, too long, or its variables differ from the baseline's."""
    if not text.strip():
        return "it is empty"
    if text != text.encode("utf-8", "replace").decode():
        return "it is not valid Unicode"
    if text.strip() == current.strip():
        return "it is the same as before"
    if len(text) > len(baseline) + _MAX_GROWTH:
        return f"it has {len(text)} characters, over the limit of {len(baseline) + _MAX_GROWTH}"
    try:
        variables = compile_template(text, "the proposal").variables
    except InvalidTemplate as error:
        return str(error)
    wanted = compile_template(baseline, "the baseline").variables
    if dropped := sorted(wanted - variables):
        return f"it drops the variable {{{{{dropped[0]}}}}}"
    if invented := sorted(variables - wanted):
        return f"it invents the variable {{{{{invented[0]}}}}}"
    return None


def _is_instruction(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, str) and len(re.findall(r"[^\W\d_]{2,}", _VARIABLE.sub(" ", content))) >= 4
