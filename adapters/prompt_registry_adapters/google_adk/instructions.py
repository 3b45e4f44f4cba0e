"""An agent's instructions: replaced and recorded where the agent gives them, while they are still templates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from google.adk.utils.instructions_utils import inject_session_state

from prompt_registry_adapters.google_adk import runs
from prompt_registry_adapters.google_adk.templates import describe, state_values
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.frameworks.notices import warn_once
from prompt_registry_plugin.frameworks.slots import SlotTemplate
from prompt_registry_plugin.prompts.context import Place, current_override
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.uri import is_prompt_uri

Canonical = Callable[[Any, Any], Awaitable[tuple[str, bool]]]


def wrap(node: str) -> Callable[[Canonical], Canonical]:
    """Return the wrapper of `canonical_instruction` or `canonical_global_instruction`, whose prompt is called `AGENT/node`."""

    def wrap_canonical(original: Canonical) -> Canonical:
        @wraps(original)
        async def canonical(self: Any, ctx: Any) -> tuple[str, bool]:
            text, is_made = await original(self, ctx)
            if not runs.state.attached or not isinstance(text, str) or not text.strip():
                return text, is_made
            if is_prompt_uri(text):
                prompt = await current_registry().aload_prompt(text.strip())
                served: str | None = framework_prompts.text_from(prompt, await state_values(_needed(prompt), {}, ctx))
            elif not framework_prompts.is_active():
                return text, is_made
            elif is_made:  # a function's text
                served = framework_prompts.serve_text(text, "system", runs.place_of(self), ctx.state)
            else:
                served = await _serve_template(text, Place(node=node, graph=self.name), ctx)
            if served is None:
                return text, is_made
            runs.note_instruction(node, served)
            return served, True

        return canonical

    return wrap_canonical


async def _serve_template(text: str, place: Place, ctx: Any) -> str:
    """Return the text to send instead of a template: another version's, or the agent's own with the state in it."""
    described = describe(text)
    served = framework_prompts.serve(described.text_hash) if framework_prompts.has_adopted() else None
    if served is not None and (rendered := await _render(served, described, place, ctx)) is not None:
        return rendered
    own: str = await inject_session_state(text, ctx)
    values = await state_values(described.slots, described.slots, ctx)
    if described.fill(values) != own:  # never so, unless ADK reads its templates in another way by then
        reason = "Google ADK fills this text in a way that no template of the registry has"
        framework_prompts.record_discovered(text, own, values, unadoptable=reason, place=place)
        return own
    replaced = framework_prompts.serve_values(described.text_hash, values)
    if replaced != values:
        own = described.fill(replaced)
    framework_prompts.record_discovered(described.template, own, replaced, place=place, text_hash=described.text_hash)
    return own


async def _render(served: PromptVersion, described: SlotTemplate, place: Place, ctx: Any) -> str | None:
    """Return the served version with the state in it, or None if the agent's own text has to be used."""
    if not served.is_text_prompt:
        _report_unusable(served, place, "it holds chat messages, and a text is needed.")
        return None
    needed = _needed(served)
    values = await state_values(needed & described.slots.keys(), described.slots, ctx)
    for variable in sorted(needed - described.slots.keys()):
        try:
            values |= await state_values([variable], {}, ctx)
        except (KeyError, ValueError):
            _report_unusable(
                served, place, f"it needs {variable!r}, which neither the text in the code nor the session's state has."
            )
            return None
    return framework_prompts.text_from(served, framework_prompts.serve_values(described.text_hash, values))


def _needed(prompt: PromptVersion) -> frozenset[str]:
    override = current_override()
    candidate = override.find(prompt.name) if override is not None else None
    return prompt.variables if candidate is None else candidate.variables


def _report_unusable(version: PromptVersion, place: Place, reason: str) -> None:
    where = f"{place.graph}/{place.node}"
    warn_once(f"The agent's own text is used instead of version {version.version} of {version.name!r} at {where}: {reason}")
