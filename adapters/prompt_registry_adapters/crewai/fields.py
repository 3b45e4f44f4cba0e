"""One text of an agent or a task: its template in our terms, and what is sent in its place.

`kickoff(inputs=…)` fills the texts in place. The template stays in `_original_…`, and the inputs are kept here, since CrewAI forgets them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from weakref import ReferenceType, ref

from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.frameworks.notices import warn_once
from prompt_registry_plugin.frameworks.slots import SlotTemplate, read_slots
from prompt_registry_plugin.prompts.context import Place, current_override
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.templates.variables import nameable
from prompt_registry_plugin.uri import is_prompt_uri

_SLOT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_\-]*)}")
_CHANGED = "The text was changed after CrewAI filled its inputs in, so that no template gives it."

# By the id of an agent or a task: these objects have no hash, and are shared between runs, so nothing is written on them.
_inputs: dict[int, tuple[ReferenceType[Any], Mapping[str, Any]]] = {}


def keep_inputs(owner: Any, inputs: Mapping[str, Any] | None) -> None:
    """Keep the inputs that the texts of an agent or a task are filled with."""
    key = id(owner)
    if inputs:
        _inputs[key] = (ref(owner, lambda _gone: _inputs.pop(key, None)), dict(inputs))


def inputs_of(owner: Any) -> Mapping[str, Any]:
    """Return the inputs that the texts of an agent or a task were filled with last."""
    kept = _inputs.get(id(owner))
    return kept[1] if kept is not None and kept[0]() is owner else {}


@lru_cache(maxsize=4096)
def describe(text: str, given: frozenset[str]) -> SlotTemplate:
    """Return a text in our terms. Only names among the inputs are slots; other braces are text."""
    names: dict[str, str] = {}

    def variable_of(match: re.Match[str]) -> str | None:
        if match[1] not in given:
            return None
        variable = nameable(match[1], names)
        names[variable] = match[1]
        return variable

    return read_slots(text, _SLOT, variable_of, names)


def serve_field(owner: Any, field: str, place: Place, inputs: Mapping[str, Any]) -> Any:
    """Return what is sent for one text of an agent or a task: a served version with the inputs in it, or what stands there."""
    now = getattr(owner, field)
    written = getattr(owner, f"_original_{field}", None) or now
    if not isinstance(now, str) or not isinstance(written, str) or not now.strip():
        return now
    if is_prompt_uri(written):
        return framework_prompts.text_from(current_registry().load_prompt(written.strip()), inputs)
    if not framework_prompts.is_active():
        return now
    described = describe(written, frozenset(inputs))
    values = {variable: str(inputs[name]) for variable, name in described.slots.items()}
    if _as_filled(written, described, inputs) != now:
        framework_prompts.record_discovered(described.template, now, values, unadoptable=_CHANGED, place=place)
        return now
    served = framework_prompts.serve(described.text_hash) if framework_prompts.has_adopted() else None
    replaced = framework_prompts.serve_values(described.text_hash, values)
    if served is not None and (rendered := _render(served, replaced, inputs, place)) is not None:
        return rendered
    sent = now if replaced == values else described.fill(replaced)
    framework_prompts.record_discovered(described.template, sent, replaced, place=place, text_hash=described.text_hash)
    return sent


def _as_filled(written: str, described: SlotTemplate, inputs: Mapping[str, Any]) -> str:
    """Return what CrewAI makes of a template: it also fills slots in the inputs themselves, so it is asked."""
    if not described.slots:
        return written
    from crewai.utilities.string_utils import interpolate_only

    try:
        return str(interpolate_only(written, dict(inputs)))
    except (KeyError, ValueError):
        return described.fill({variable: str(inputs[name]) for variable, name in described.slots.items()})


def _render(served: PromptVersion, values: Mapping[str, Any], inputs: Mapping[str, Any], place: Place) -> str | None:
    """Return the served version with the inputs in it, or None if the agent's own text has to be used."""
    override = current_override()
    candidate = override.find(served.name) if override is not None else None
    needed = served.variables if candidate is None else candidate.variables
    missing = sorted(needed - values.keys() - inputs.keys())
    reason = ""
    if not served.is_text_prompt:
        reason = "it holds chat messages, and a text is needed."
    elif missing:
        reason = f"it needs {missing[0]!r}, which neither the text in the code nor the inputs have."
    if reason:
        where = f"{place.graph}/{place.node}"
        warn_once(f"The agent's own text is used instead of version {served.version} of {served.name!r} at {where}: {reason}")
        return None
    return framework_prompts.text_from(served, values, {name: str(value) for name, value in inputs.items()})
