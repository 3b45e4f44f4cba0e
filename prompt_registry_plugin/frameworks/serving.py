"""Replaces adopted texts where an agent gives them to a model. Whatever goes wrong, the agent's own text is sent."""

from __future__ import annotations

from collections.abc import Mapping

from prompt_registry_plugin.frameworks.notices import warn_once
from prompt_registry_plugin.prompts import lost_contexts
from prompt_registry_plugin.prompts.context import Place, current_override, current_recorder, note_unscoped
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Role, digest
from prompt_registry_plugin.registry.adopted_texts import AdoptedText, AdoptedTexts
from prompt_registry_plugin.registry.loader import AdoptedView
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.templates.text import TextTemplate, to_source
from prompt_registry_plugin.tracing.slots import place_name
from prompt_registry_plugin.uri import SCHEME

_MAX_DEPTH = 5  # adopted templates within one another


def serve_adopted(registry: PromptRegistry, text: str, role: Role, place: Place | None) -> str:
    """Return the text of the version that replaces `text`, or `text` itself. Never raises; what is wrong is logged once."""
    try:
        view = registry.loader.view()
        texts = view.texts
        if view.templates and role == "system" and (literal := _serve_literal(registry, view, text)) is not None:
            return literal
        if not texts or texts.was_served(text):
            return text
        where = place_name(place)
        adopted = texts.find(text, role, where)
        if adopted is None:
            _report_unknown(texts, text, role, where)
            return text
        return _serve(registry, view, text, adopted, where, _MAX_DEPTH)
    except Exception as error:  # noqa: BLE001  a boundary: the agent must not fail because of the registry
        reason = f"{type(error).__name__}: {error}"
        warn_once(f"The agent's own text is used for {_words(text)}: {reason}", f"{role} {place} {reason}")
        return text


def serve_adopted_description(registry: PromptRegistry, text: str, key: str, place: Place | None) -> str:
    """Return the description that replaces `text`, or `text` itself. Never raises."""
    try:
        view = registry.loader.view()
        texts = view.texts
        if not texts or texts.was_served(text):
            return text
        where = place_name(place, key)
        adopted = texts.find_description(text, key, where)
        return text if adopted is None else _serve(registry, view, text, adopted, where, 0)
    except Exception as error:  # noqa: BLE001  a boundary: the agent must not fail because of the registry
        warn_once(f"The agent's own description of {key} is used: {type(error).__name__}: {error}")
        return text


def serve_adopted_values(registry: PromptRegistry, text_hash: str, values: Mapping[str, object]) -> dict[str, object]:
    """Return the values of an adopted template object, with those replaced that are adopted templates themselves. Never raises."""
    replaced = dict(values)
    try:
        view = registry.loader.view()
        texts = view.texts
        for name, place in texts.nested_places(text_hash, list(values)) if texts else ():
            value = values[name]
            if isinstance(value, str) and not texts.was_served(value) and (inner := texts.find(value, "system", place)):
                replaced[name] = _serve(registry, view, value, inner, place, _MAX_DEPTH)
    except Exception as error:  # noqa: BLE001  a boundary: the agent must not fail because of the registry
        warn_once(f"The agent's own values are used: {type(error).__name__}: {error}")
    return replaced


def _serve(registry: PromptRegistry, view: AdoptedView, text: str, adopted: AdoptedText, where: str, depth: int) -> str:
    texts, binding, pattern = view.texts, adopted.binding, adopted.pattern
    reference = f"{SCHEME}{binding.name}@{binding.alias}"
    # Without the context: a candidate that cannot be sent was not rendered.
    version = view.versions.get((reference, None)) or registry.loader.load(reference, None)
    override = current_override()
    candidate = override.find(binding.name) if override is not None else None
    template = candidate or version.compiled
    if not isinstance(template, TextTemplate) and not version.is_text_prompt:
        return _report_unusable(version, where, text, "it holds chat messages, and a text is needed.")
    if template.variables != adopted.names:
        return _report_unusable(version, where, text, _unfillable(template.variables, adopted.names))
    if pattern.render(adopted.values) != text:  # never so, unless the pattern is wrong
        return text
    if _is_served(version, candidate is not None, pattern.weight, binding.template, text):
        return text
    values = dict(adopted.values)
    if candidate is None and lost_contexts.watching:
        note_unscoped(binding.name, values)
    if depth:
        for name, place in texts.nested_places(binding.text_hash, pattern.names):
            if inner := texts.find(values[name], binding.role, place):
                values[name] = _serve(registry, view, values[name], inner, place, depth - 1)
    recorder = current_recorder()
    version = registry.load_prompt(reference) if override is not None or recorder is not None else version
    if candidate is None and version.template == binding.template and values == adopted.values:
        if recorder is not None and not recorder.has_rendered(text):
            version.format(values)  # the text that the agent has, recorded as the prompt's
        return text
    rendered = str(version.format(values))
    if rendered != text:  # a candidate may give the agent's own text, which another version has to replace later
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


def _unfillable(needed: frozenset[str], names: frozenset[str]) -> str:
    if missing := sorted(needed - names):
        return f"it needs {missing[0]!r}, which the text in the code does not have."
    return f"it has no {min(names - needed)!r}, so the value that the code sends would be lost."


def _report_unusable(version: PromptVersion, where: str, text: str, reason: str) -> str:
    place = f" at {where}" if where else ""
    warn_once(f"The agent's own text is used instead of version {version.version} of {version.name!r}{place}: {reason}")
    return text


def _serve_literal(registry: PromptRegistry, view: AdoptedView, text: str) -> str | None:
    """Return the text that replaces one that was adopted as a literal, as version 0.1.0 does; None for any other text."""
    bound = view.templates.get(digest(to_source([(text, None)])))
    if bound is None:
        return None
    version = registry.load_prompt(f"{SCHEME}{bound[0]}@{bound[1]}")
    return str(version.format()) if version.is_text_prompt and not version.variables else None


def _report_unknown(texts: AdoptedTexts, text: str, role: Role, where: str) -> None:
    """Log once that a text nearly is an adopted one, or that a place whose texts were all adopted sends another one."""
    expected = texts.expected_at(role, where) if role == "system" else None
    reason = texts.why_not(text, role, where)
    if expected is None and reason is None:
        return
    recorder = current_recorder()
    if recorder is not None and recorder.has_rendered(text):
        return  # another prompt of the registry
    cause = message = f"The agent's own text is used{f' at {where}' if where else ''}: {reason or 'no adopted prompt gives it'}. "
    if expected is not None:
        message += f"Expected {expected!r}; found {_words(text)}. If the code has changed, adopt it again."
    warn_once(message, cause)


def _words(text: str) -> str:
    shown = " ".join(text.split())
    return repr(shown if len(shown) <= 60 else shown[:59] + "…")
