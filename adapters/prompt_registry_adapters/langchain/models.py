"""What a model is given, as the last thing before it goes there: messages and descriptions, served from the registry.

Every call style converts its input with `_convert_input`, and passes its arguments to `generate` or `stream` or their async forms. Some
clients convert a second time, so a served text has to stay as it is; `serve_text` sees to that. Messages that come from the model or
from tools are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.messages import BaseMessage, ChatMessage, HumanMessage, SystemMessage
from langchain_core.prompt_values import ChatPromptValue, PromptValue, StringPromptValue

from prompt_registry_adapters.langchain import streams
from prompt_registry_adapters.langchain.descriptions import has_descriptions, replace_descriptions
from prompt_registry_adapters.langchain.places import place_here
from prompt_registry_adapters.langchain.tracing import state
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.prompts.context import Place
from prompt_registry_plugin.records import Role
from prompt_registry_plugin.uri import SCHEME, is_prompt_uri

_CHAT_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "human": "user"}
_TEXT_BLOCKS = frozenset({"text", "input_text"})


def _role_of(message: BaseMessage) -> Role | None:
    """Return the role of a message that the agent's code may have made, or None."""
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, HumanMessage):
        return "user"
    return _CHAT_ROLES.get(message.role) if isinstance(message, ChatMessage) else None


def serve_messages(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """Return the messages to send instead: the same object if nothing in them is replaced, else a list with copies of what is."""
    if not framework_prompts.has_adopted():
        return _load_addresses(messages)
    place = place_here()
    served = [_serve_message(message, role, place) if (role := _role_of(message)) else message for message in messages]
    return messages if all(old is new for old, new in zip(messages, served, strict=True)) else served


def _load_addresses(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """Return the messages with the prompts that system messages name; all that an idle process does."""
    for message in messages:
        if isinstance(message, SystemMessage) and _names_prompt(message.content):
            place = place_here()
            return [_serve_message(each, "system", place) if isinstance(each, SystemMessage) else each for each in messages]
    return messages


def _names_prompt(content: Any) -> bool:
    if isinstance(content, str):
        return is_prompt_uri(content)
    return any(is_prompt_uri(_text_of(block)) for block in content)


def _serve_message(message: BaseMessage, role: Role, place: Place | None) -> BaseMessage:
    content = message.content
    new: Any
    if isinstance(content, str):
        new = framework_prompts.serve_text(content, role, place)
        return message if new is content or new == content else message.model_copy(update={"content": new})
    blocks = [_serve_block(block, role, place) for block in content]
    if all(old is block for old, block in zip(content, blocks, strict=True)):
        return message
    return message.model_copy(update={"content": blocks})


def _text_of(block: Any) -> str:
    if isinstance(block, str):
        return block
    text = block.get("text") if isinstance(block, dict) and block.get("type", "text") in _TEXT_BLOCKS else None
    return text if isinstance(text, str) else ""


def _serve_block(block: Any, role: Role, place: Place | None) -> Any:
    text = _text_of(block)
    new = framework_prompts.serve_text(text, role, place) if text else text
    if new == text:
        return block
    return new if isinstance(block, str) else {**block, "text": new}


def serve_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a model call with its descriptions served; the same object if none is replaced."""
    if not (arguments and state.attached and has_descriptions(arguments) and framework_prompts.has_adopted()):
        return arguments
    place = place_here()

    def replace(text: str, key: str) -> str:
        if SCHEME in text:
            return text  # a name is looked up in messages only: in descriptions, every idle call would have to look for one
        new = framework_prompts.serve_description(text, key, place)
        return text if new == text else new

    return dict(replace_descriptions(arguments, replace))


def wrap_convert_input(original: Callable[..., PromptValue]) -> Callable[..., PromptValue]:
    """Return `_convert_input` of a model, which every way of calling it but `generate` goes through."""

    @wraps(original)
    def _convert_input(self: Any, model_input: Any) -> PromptValue:
        value = original(self, model_input)
        if not state.attached:
            return value
        if isinstance(value, ChatPromptValue):
            messages = serve_messages(value.messages)
            return value if messages is value.messages else value.model_copy(update={"messages": messages})
        if isinstance(value, StringPromptValue) and framework_prompts.has_adopted():
            text = framework_prompts.serve_text(value.text, "user", place_here())
            return value if text == value.text else value.model_copy(update={"text": text})
        return value

    return _convert_input


def wrap_generate(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return `generate` or `agenerate` of a chat model, which is also called by code that holds messages already."""

    @wraps(original)
    def generate(self: Any, messages: Any, *args: Any, **kwargs: Any) -> Any:
        if state.attached and framework_prompts.has_adopted():
            messages = [serve_messages(each) for each in messages]
        return original(self, messages, *args, **serve_arguments(kwargs))

    return generate


def wrap_stream(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return `stream` or `astream` of a chat model."""

    @wraps(original)
    def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, *args, **serve_arguments(kwargs))

    return stream


_STREAMS_BY_EVENT = ("_chat_model_stream_v3", "_achat_model_stream_v3")  # not in every version that is supported

WRAPPED: tuple[tuple[type[Any], str, Callable[[Any], Any]], ...] = (
    (BaseChatModel, "_convert_input", wrap_convert_input),
    (BaseChatModel, "generate", wrap_generate),
    (BaseChatModel, "agenerate", wrap_generate),
    (BaseChatModel, "stream", lambda original: streams.wrap_stream(wrap_stream(original))),
    (BaseChatModel, "astream", lambda original: streams.wrap_astream(wrap_stream(original))),
    (BaseLLM, "_convert_input", wrap_convert_input),
    *((BaseChatModel, name, wrap_stream) for name in _STREAMS_BY_EVENT if name in BaseChatModel.__dict__),
)
