"""ADK's instructions in our terms: `{name}`, `{app:name}`, `{name?}` and `{artifact.file}` are variables, any other brace is text.

The value of a slot is what ADK itself puts there. So `None`, a missing name and an artifact mean the same in a served version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from google.adk.utils import instructions_utils

from prompt_registry_plugin.frameworks.slots import SlotTemplate, read_slots
from prompt_registry_plugin.templates.variables import nameable

_SCOPES = ("app", "user", "temp")
_ARTIFACT = "artifact."
_SLOT = getattr(instructions_utils, "_TEMPLATE_VAR_PATTERN", None) or re.compile(r"{+[^{}]*}+")  # as versions before 1.18 have it


@lru_cache(maxsize=4096)
def describe(text: str) -> SlotTemplate:
    """Return an instruction in our terms. A slot is kept as the code writes it, braces included."""
    slots: dict[str, str] = {}
    names: dict[str, str] = {}

    def variable_of(match: re.Match[str]) -> str | None:
        name = _state_name(match[0])
        if name is None:
            return None
        variable = nameable(name.replace(":", ".", 1), names)
        names[variable] = name.replace(":", ".", 1)
        if variable not in slots or slots[variable].rstrip("} ").endswith("?"):
            slots[variable] = match[0]  # the one that must have a value decides
        return variable

    return read_slots(text, _SLOT, variable_of, slots)


async def state_values(variables: Iterable[str], slots: Mapping[str, str], context: Any) -> dict[str, str]:
    """Return the values of variables, from the agent's own slots or else from the state. Raises `KeyError` as ADK does."""
    return {
        variable: await instructions_utils.inject_session_state(slots.get(variable) or "{" + _key_of(variable) + "}", context)
        for variable in variables
    }


def _state_name(slot: str) -> str | None:
    """Return the name in a slot, or None if ADK leaves these braces alone."""
    name = slot.lstrip("{").rstrip("}").strip().removesuffix("?")
    if name.startswith(_ARTIFACT):
        return name
    scope, colon, key = name.rpartition(":")
    return name if key.isidentifier() and (not colon or scope in _SCOPES) else None


def _key_of(variable: str) -> str:
    """Return the key of the state that a variable of a later version means."""
    scope, dot, key = variable.partition(".")
    return f"{scope}:{key}" if dot and scope in _SCOPES else variable
