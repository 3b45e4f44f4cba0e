"""Replaces adopted texts where an agent gives them to a model. Whatever goes wrong, the agent's own text is sent."""

from __future__ import annotations

from collections.abc import Mapping

from prompt_registry_plugin.frameworks.notices import warn_once
from prompt_registry_plugin.prompts.context import Place, current_override, current_recorder
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Role
from prompt_registry_plugin.registry.adopted_texts import AdoptedText, AdoptedTexts
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.templates.text import TextTemplate
from prompt_registry_plugin.tracing.slots import place_name
from prompt_registry_plugin.uri import SCHEME

_MAX_DEPTH = 5  # adopted templates within one another


def serve_adopted(registry: PromptRegistry, text: str, role: Role, place: Place | None) -> str:
    """Return the text of the version that replaces `text`, or `text` itself. Never raises; what is wrong is logged once."""
    try:
        texts = registry.loader.adopted_texts()
        if not texts or texts.was_served(text):
            return text
        where = place_name(place)
        adopted = texts.find(text, role, where)
        if adopted is None:
            _report_unknown(texts, text, role, where)
            return text
        return _serve(registry, texts, text, adopted, where, _MAX_DEPTH)
    except Exception as error:  # noqa: BLE001  a boundary: the agent must not fail because of the registry
        warn_once(f"The agent's own text is used for {_words(text)}: {type(error).__name__}: {error}")
        return text


def serve_adopted_description(registry: PromptRegistry, text: str, key: str, place: Place | None) -> str:
    """Return the description that replaces `text`, or `text` itself. Never raises."""
    try:
        texts = registry.loader.adopted_texts()
        if not texts or texts.was_served(text):
            return text
        where = place_name(place, key)
        adopted = texts.find_description(text, key, where)
        return text if adopted is None else _serve(registry, texts, text, adopted, where, 0)
    except Exception as error:  # noqa: BLE001  a boundary: the agent must not fail because of the registry
        warn_once(f"The agent's own description of {key} is used: {type(error).__name__}: {error}")
        return text


def serve_adopted_values(registry: PromptRegistry, text_hash: str, values: Mapping[str, object]) -> dict[str, object]:
    """Return the values of an adopted template object, with those replaced that are adopted templates themselves. Never raises."""
    replaced = dict(values)
    try:
        texts = registry.loader.adopted_texts()
        for name, place in texts.nested_places(text_hash, list(values)) if texts else ():
            value = values[name]
            if isinstance(value, str) and not texts.was_served(value) and (inner := texts.find(value, "system", place)):
                replaced[name] = _serve(registry, texts, value, inner, place, _MAX_DEPTH)
    except Exception as error:  # noqa: BLE001  a boundary: the agent must not fail because of the registry
        warn_once(f"The agent's own values are used: {type(error).__name__}: {error}")
    return replaced


def _serve(registry: PromptRegistry, texts: AdoptedTexts, text: str, adopted: AdoptedText, where: str, depth: int) -> str:
    binding, pattern = adopted.binding, adopted.pattern
    reference = f"{SCHEME}{binding.name}@{binding.alias}"
    version = registry.loader.load(reference, None)  # without the context: a candidate that cannot be sent was not rendered
    label = f"version {version.version} of {binding.name!r}{f' at {where}' if where else ''}"
    override = current_override()
    candidate = override.find(binding.name) if override is not None else None
    template = candidate or version.compiled
    if not isinstance(template, TextTemplate) and not version.is_text_prompt:
        warn_once(f"The agent's own text is used instead of {label}: it holds chat messages, and a text is needed.")
        return text
    if reason := _unfillable(template.variables, pattern.names):
        warn_once(f"The agent's own text is used instead of {label}: {reason}")
        return text
    if pattern.render(adopted.values) != text:  # never so, unless the pattern is wrong
        return text
    if _is_served(version, candidate is not None, pattern.weight, binding.template, text):
        return text
    values = dict(adopted.values)
    if depth:
        for name, place in texts.nested_places(binding.text_hash, pattern.names):
            if inner := texts.find(values[name], binding.role, place):
                values[name] = _serve(registry, texts, values[name], inner, place, depth - 1)
    recorder = current_recorder()
    version = registry.load_prompt(reference) if override is not None or recorder is not None else version
    if candidate is None and version.template == binding.template and values == adopted.values:
        if recorder is not None and not recorder.has_rendered(text):
            version.format(values)  # the text that the agent has, recorded as the prompt's
        return text
    rendered = str(version.format(values))
    texts.remember(rendered)
    return rendered


def _is_served(version: PromptVersion, has_candidate: bool, weight: int, adopted: str | None, text: str) -> bool:
    """Whether a text is what the version itself renders, as in a history, although the adopted template fits as well."""
    if has_candidate or version.template == adopted or not isinstance(version.compiled, TextTemplate):
        return False
    from prompt_registry_plugin.templates.pattern import Pattern

    compiled = version.compiled
    served = Pattern(compiled.source, compiled.literals, compiled.names)
    return served.weight > weight and served.match(text) is not None


def _unfillable(needed: frozenset[str], names: tuple[str, ...]) -> str | None:
    if missing := sorted(needed.difference(names)):
        return f"it needs {missing[0]!r}, which the text in the code does not have."
    if dropped := sorted(set(names) - needed):
        return f"it has no {dropped[0]!r}, so the value that the code sends would be lost."
    return None


def _report_unknown(texts: AdoptedTexts, text: str, role: Role, where: str) -> None:
    """Log once that a place whose texts were all adopted sends another one."""
    name = texts.expected_at(role, where) if role == "system" else None
    if name is None:
        return
    recorder = current_recorder()
    if recorder is not None and recorder.has_rendered(text):
        return  # another prompt of the registry
    reason = texts.why_not(text, role, where) or "no adopted prompt gives it"
    warn_once(
        f"The agent's own text is used at {where}: {reason}. Expected {name!r}; found {_words(text)}. "
        "If the code has changed, adopt it again."
    )


def _words(text: str) -> str:
    shown = " ".join(text.split())
    return repr(shown if len(shown) <= 60 else shown[:59] + "…")
