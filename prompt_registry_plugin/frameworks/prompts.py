"""The functions that an adapter calls where a framework loads a prompt.

An adapter calls `is_active()` first, and an idle process pays for nothing else. Then `serve(text_hash)` returns the version that
replaces a hard-coded text, and `record_discovered(…)` records a text that is not adopted. Where a framework holds a plain text, such as
an agent's instructions, `serve_text` does all of it, and `serve_description` for the description of a tool.

An error of the registry never reaches the agent here: it uses its own text, and one warning is logged. A `prompts:/` URI is different:
there is no own text to use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from prompt_registry_plugin.errors import InvalidTemplate, PromptRegistryError
from prompt_registry_plugin.frameworks.notices import warn_once
from prompt_registry_plugin.frameworks.serving import serve_adopted, serve_adopted_description, serve_adopted_values
from prompt_registry_plugin.prompts.context import Place, current_override, current_recorder, final_texts, is_observed
from prompt_registry_plugin.prompts.messages import user_text as user_text  # adapters import it from here
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import EMPTY, Role, Template
from prompt_registry_plugin.registry.current import current_registry, opened_registry
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.uri import SCHEME, is_prompt_uri


def is_active() -> bool:
    """Whether rendering a prompt here may mean anything to us: an override, a recording, or an adopted text."""
    return is_observed() or has_adopted()


def has_adopted() -> bool:
    """Whether anything was adopted in the current registry, so that `serve_text` and `serve_description` may replace a text."""
    registry = opened_registry()
    try:
        return registry is not None and registry.has_adopted
    except PromptRegistryError as error:
        warn_once(f"the agent's own texts are used: {error}")
        return False


def serve(text_hash: str) -> PromptVersion | None:
    """Return the version that replaces the hard-coded text with this `digest`, or None.

    If the registry is unreachable, the agent uses its own text and a warning is logged.
    """
    registry = opened_registry()
    try:
        return None if registry is None else registry.serve(text_hash)
    except PromptRegistryError as error:
        warn_once(f"the agent's own texts are used: {error}")
        return None


def record_discovered(
    template: Template,
    rendered: Any,
    values: Mapping[str, Any],
    *,
    unadoptable: str | None = None,
    place: Place | None = None,
    text_hash: str | None = None,
) -> None:
    """Record a prompt that is not in the registry, if a recording is open. `text_hash` is the template's `digest`."""
    recorder = current_recorder()
    if recorder is not None:
        recorder.add_prompt(template, rendered, values, unadoptable=unadoptable, place=place, template_hash=text_hash)


def text_here(text: str, context: object, place: Place | None = None) -> str:
    """Return what `serve_text` returns for a system text. The name of 0.1.0."""
    return serve_text(text, "system", place, context)


def serve_text(text: str, role: Role, place: Place | None = None, context: object = None) -> str:
    """Return the text to send instead of `text`, which an agent is about to give to a model; `text` itself if nothing replaces it.

    Call it for every system, developer and instruction text, each text block of them, and user messages that the agent's code makes.
    Calling it again with what it returned changes nothing. A `prompts:/` URI is loaded and rendered with variables from `context`,
    as `values_of` has it, unless a user wrote it. Raises what `load_prompt` and `format` raise for a URI; nothing for any other text.
    """
    if text in final_texts():
        return text
    if role != "user" and is_prompt_uri(text):  # somebody may type one, who must not read the registry by that
        return text_from(current_registry().load_prompt(text), context)
    registry = _registry_with_adopted()
    return text if registry is None or not text.strip() else serve_adopted(registry, text, role, place)


def _registry_with_adopted() -> PromptRegistry | None:
    """Return the current registry if anything was adopted in it, which asks the store ten times a second at most."""
    return opened_registry() if has_adopted() else None


def serve_description(text: str, key: str, place: Place | None = None, context: object = None) -> str:
    """Return the description to send instead of `text`; `text` itself if nothing replaces it.

    `key` is `tools/NAME`, `tools/NAME.PARAMETER`, `handoffs/NAME`, `output` or `output.FIELD`. Every `prompts:/` URI in the text is
    replaced by the text that it names.
    """
    if SCHEME in text:
        return description_here(text, context) or text
    registry = _registry_with_adopted()
    return text if registry is None else serve_adopted_description(registry, text, key, place)


def serve_values(text_hash: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values to render a template object with: those that are adopted prompts themselves are replaced.

    `text_hash` is the `digest` of the object's template. Call it before the template is rendered, in the code's version or another.
    """
    registry = _registry_with_adopted()
    return dict(values) if registry is None else serve_adopted_values(registry, text_hash, values)


_ADDRESS = re.compile(rf"{SCHEME}[\w.@/-]*\w")


def description_here(text: str | None, context: object) -> str | None:
    """Return the description of a tool or handoff, with every `prompts:/` URI in it replaced by the text that it names."""
    if not text or SCHEME not in text:
        return text
    return _ADDRESS.sub(lambda found: text_here(found[0], context), text)


def values_of(context: object) -> dict[str, Any]:
    """Return the variables that a framework's context object (`deps`, a run context) offers: its items, fields or attributes."""
    if context is None:
        return {}
    if isinstance(context, Mapping):
        return {str(key): value for key, value in context.items()}
    if is_dataclass(context) and not isinstance(context, type):
        return {field.name: getattr(context, field.name) for field in fields(context) if hasattr(context, field.name)}
    return {key: value for key, value in getattr(context, "__dict__", {}).items() if not key.startswith("_")}


def text_from(prompt: PromptVersion, context: object, values: Mapping[str, Any] = EMPTY) -> str:
    """Return a text prompt rendered with the variables it needs, from `context` or else from `values`. Only those are recorded."""
    if not prompt.is_text_prompt:
        raise InvalidTemplate(f"prompt {prompt.name!r} is used where a text is needed, but holds chat messages")
    override = current_override()
    candidate = override.find(prompt.name) if override is not None else None
    needed = prompt.variables | (candidate.variables if candidate is not None else frozenset())
    given = {**values, **values_of(context)} if needed else {}
    return str(prompt.format({name: given[name] for name in needed & given.keys()}))
