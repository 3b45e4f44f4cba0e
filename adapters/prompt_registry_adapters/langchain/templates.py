"""LangChain's templates in our terms, and the wrappers that serve them from the registry.

A template is recognised by its content: the texts of its messages are compared, as strings whose hashes Python keeps, so a
lookup costs a few microseconds and notices when a template was changed in place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.prompts import (
    AIMessagePromptTemplate,
    ChatPromptTemplate,
    FewShotPromptTemplate,
    HumanMessagePromptTemplate,
    MessagesPlaceholder,
    PromptTemplate,
    SystemMessagePromptTemplate,
)

from prompt_registry_adapters.langchain.tracing import state
from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.frameworks import adapter
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Template, digest
from prompt_registry_plugin.templates.convert import from_single_brace
from prompt_registry_plugin.templates.text import to_source
from prompt_registry_plugin.uri import is_prompt_uri

_ROLES = {
    SystemMessagePromptTemplate: "system",
    HumanMessagePromptTemplate: "user",
    AIMessagePromptTemplate: "assistant",
}
_MESSAGE_ROLES = {"system": "system", "human": "user", "ai": "assistant"}

# The templates inside a chat template are parts of it, not prompts of their own.
_inside_chat: ContextVar[bool] = ContextVar("prompt_registry_langchain_inside_chat", default=False)

# One message, in a form that can be hashed: what kind, its text or name, its template format, whether it is optional.
Part = tuple[str, str, str, bool]


@dataclass(frozen=True, slots=True)
class Described:
    """A LangChain template in our terms; `unadoptable` says why it has no counterpart, or is None.

    `names_prompts` when a message of it is a `prompts:/` URI, whose prompt records itself.
    """

    template: Template
    text_hash: str | None
    unadoptable: str | None = None
    names_prompts: bool = False


@lru_cache(maxsize=4096)
def describe_text(text: str, template_format: str) -> Described:
    """A text template in our terms."""
    try:
        converted = _convert(text, template_format)
    except InvalidTemplate as error:
        return Described(text, None, str(error))
    return Described(converted, digest(converted))


@lru_cache(maxsize=4096)
def describe_chat(parts: tuple[Part, ...]) -> Described:
    """A chat template in our terms."""
    messages: list[dict[str, Any]] = []
    reason = None
    for kind, text, template_format, optional in parts:
        if kind == "placeholder":
            messages.append({"type": "placeholder", "name": text, **({"optional": True} if optional else {})})
            continue
        try:
            content = _convert(text, template_format)
        except InvalidTemplate as error:
            content, reason = text, str(error)
        if kind == "other":
            reason = f"message {text!r} has no counterpart"
        messages.append({"role": kind, "content": content})
    names_prompts = any(is_prompt_uri(text) for kind, text, _, _ in parts if kind != "placeholder")
    return Described(messages, None if reason or names_prompts else digest(messages), reason, names_prompts)


def parts_of(chat: ChatPromptTemplate) -> tuple[Part, ...]:
    """The messages of a chat template, in the form that `describe_chat` takes."""
    parts: list[Part] = []
    for message in chat.messages:
        role = _ROLES.get(type(message))  # type: ignore[arg-type]
        prompt = getattr(message, "prompt", None)
        if isinstance(message, MessagesPlaceholder):
            parts.append(("placeholder", message.variable_name, "", message.optional))
        elif (
            role
            and type(prompt) is PromptTemplate
            and not (prompt.partial_variables or getattr(message, "additional_kwargs", None))
        ):
            parts.append((role, prompt.template, prompt.template_format, False))
        elif isinstance(message, BaseMessage) and _is_text_only(message):
            parts.append((_MESSAGE_ROLES[message.type], str(message.content), "literal", False))
        else:
            parts.append(("other", type(message).__name__, "literal", False))
    return tuple(parts)


def _is_text_only(message: BaseMessage) -> bool:
    """Whether role and text are all there is to a literal message."""
    extras = (
        message.name,
        message.id,
        message.additional_kwargs,
        message.response_metadata,
        getattr(message, "tool_calls", None),
    )
    return message.type in _MESSAGE_ROLES and isinstance(message.content, str) and not any(extras)


def _convert(text: str, template_format: str) -> str:
    if template_format == "literal":
        return to_source([(text, None)])
    if template_format != "f-string":
        raise InvalidTemplate(f"{template_format} templates cannot be converted, only f-string ones")
    return from_single_brace(text, "the LangChain template")


def _wrap_format(original: Callable[..., str]) -> Callable[..., str]:
    @wraps(original)
    def format(self: PromptTemplate, **kwargs: Any) -> str:
        if state.attached and is_prompt_uri(self.template):
            return framework_prompts.text_here(self.template, self._merge_partial_and_user_variables(**kwargs))
        if not state.attached or _inside_chat.get() or not framework_prompts.is_active():
            return original(self, **kwargs)
        described = describe_text(self.template, self.template_format)
        served = _served(described)
        values = _values(described, self._merge_partial_and_user_variables(**kwargs))
        if served is not None:
            return _text(served, values)
        text = original(self, **values)  # not kwargs: a partial variable that is computed must not change between text and trace
        _record_discovered(described, text, values)
        return text

    return format


def _wrap_format_messages(original: Callable[..., list[BaseMessage]]) -> Callable[..., list[BaseMessage]]:
    @wraps(original)
    def format_messages(self: ChatPromptTemplate, **kwargs: Any) -> list[BaseMessage]:
        if not state.attached or _inside_chat.get():
            return original(self, **kwargs)
        if not framework_prompts.is_active():
            with _within():  # so that the templates inside need not ask again
                return original(self, **kwargs)
        described, values, served = _look_up(self, kwargs)
        if served is not None:
            return _render(self, served, values)
        with _within():
            messages = original(self, **values)
        _record_discovered(described, messages, values)
        return messages

    return format_messages


def _wrap_aformat_messages(
    original: Callable[..., Awaitable[list[BaseMessage]]],
) -> Callable[..., Awaitable[list[BaseMessage]]]:
    @wraps(original)
    async def aformat_messages(self: ChatPromptTemplate, **kwargs: Any) -> list[BaseMessage]:
        if not state.attached or _inside_chat.get():
            return await original(self, **kwargs)
        if not framework_prompts.is_active():
            with _within():
                return await original(self, **kwargs)
        described, values, served = _look_up(self, kwargs)
        if served is not None:
            return _render(self, served, values)
        with _within():
            messages = await original(self, **values)
        _record_discovered(described, messages, values)
        return messages

    return aformat_messages


def _wrap_few_shot(original: Callable[..., str]) -> Callable[..., str]:
    @wraps(original)
    def format(self: FewShotPromptTemplate, **kwargs: Any) -> str:
        if not state.attached or _inside_chat.get() or not framework_prompts.is_active():
            return original(self, **kwargs)
        described = describe_few_shot(self)
        values = _values(described, self._merge_partial_and_user_variables(**kwargs))
        served = _served(described)
        if served is not None:
            return _text(served, values)
        with _within():
            text = original(self, **values)
        _record_discovered(described, text, values)
        return text

    return format


def _wrap_few_shot_async(original: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
    @wraps(original)
    async def aformat(self: FewShotPromptTemplate, **kwargs: Any) -> str:
        if not state.attached or _inside_chat.get() or not framework_prompts.is_active():
            return await original(self, **kwargs)
        described = describe_few_shot(self)
        values = _values(described, self._merge_partial_and_user_variables(**kwargs))
        served = _served(described)
        if served is not None:
            return _text(served, values)
        with _within():
            text = await original(self, **values)
        _record_discovered(described, text, values)
        return text

    return aformat


def describe_few_shot(template: FewShotPromptTemplate) -> Described:
    """A few-shot template in our terms: prefix, examples and suffix as the one text that LangChain makes of them."""
    if template.examples is None:
        return Described(
            f"{template.prefix}\n…\n{template.suffix}", None, "its examples are chosen for each input, so that it is no one text"
        )
    with _within():
        keys = template.example_prompt.input_variables
        examples = [template.example_prompt.format(**{key: example[key] for key in keys}) for example in template.examples]
    pieces = [piece for piece in (template.prefix, *examples, template.suffix) if piece]
    return describe_text(template.example_separator.join(pieces), template.template_format)


def _within() -> AbstractContextManager[None]:
    """What is formatted inside is a part of a prompt, not one of its own."""
    return adapter.set_flag(_inside_chat)


def _record_discovered(described: Described, rendered: Any, values: Mapping[str, Any]) -> None:
    """Records a template that nobody adopted; one that names prompts is left to them."""
    if not described.names_prompts:
        framework_prompts.record_discovered(
            described.template, rendered, values, unadoptable=described.unadoptable, text_hash=described.text_hash
        )


def _values(described: Described, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values to render with: those that are adopted prompts themselves are served."""
    if described.text_hash is None or not framework_prompts.has_adopted():
        return values
    return framework_prompts.serve_values(described.text_hash, values)


def _served(described: Described) -> PromptVersion | None:
    """Return the version that replaces a template, or None."""
    if described.text_hash is None or not framework_prompts.has_adopted():
        return None
    return framework_prompts.serve(described.text_hash)


def _text(served: PromptVersion, values: Mapping[str, Any]) -> str:
    if not served.is_text_prompt:
        raise InvalidTemplate(f"prompt {served.name!r} is served where the agent has a text, but holds chat messages")
    return str(served.format(values))


def _look_up(chat: ChatPromptTemplate, kwargs: Mapping[str, Any]) -> tuple[Described, Mapping[str, Any], PromptVersion | None]:
    described = describe_chat(parts_of(chat))
    values = _values(described, chat._merge_partial_and_user_variables(**kwargs))
    served = _served(described)
    return described, values, served


def _render(chat: ChatPromptTemplate, served: PromptVersion, values: Mapping[str, Any]) -> list[BaseMessage]:
    # Placeholders keep LangChain's own treatment: conversion of tuples, and the last n messages only.
    histories = {
        message.variable_name: message.format_messages(**values)
        for message in chat.messages
        if isinstance(message, MessagesPlaceholder) and (message.variable_name in values or not message.optional)
    }
    rendered = served.format({**values, **histories})
    # A text in the place of messages is what the user says.
    return convert_to_messages([{"role": "user", "content": rendered}] if isinstance(rendered, str) else rendered)


WRAPPED: tuple[tuple[type[Any], str, Callable[[Any], Any]], ...] = (
    (PromptTemplate, "format", _wrap_format),
    (ChatPromptTemplate, "format_messages", _wrap_format_messages),
    (ChatPromptTemplate, "aformat_messages", _wrap_aformat_messages),
    (FewShotPromptTemplate, "format", _wrap_few_shot),
    (FewShotPromptTemplate, "aformat", _wrap_few_shot_async),
)
