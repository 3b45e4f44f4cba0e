"""The answer in what a target returned: plain data, without the conversation or the response around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prompt_registry_plugin.errors import NotPlainData
from prompt_registry_plugin.plain.data import plain_data
from prompt_registry_plugin.plain.messages import inner_answer, is_message, message_answer, role_of_message

_ADVICE = (
    "Answer with text, numbers, lists, mappings, dataclasses or models. If the agent cannot, pass a function that calls it and returns "
    "what is to be scored."
)


def answer_data(value: Any) -> Any:
    """Return the answer in `value` as JSON data, as scorers, stores and other processes get it. JSON data is returned equal.

    - A message is its text; with tool calls, a mapping of `tool_calls` and, if there is text too, `content`.
    - A list of messages is its last answer. So is the state of a graph whose only content is messages.
    - The state of `create_agent(response_format=…)` is its structured response.
    - A response of a model's SDK or the result of an agent's run is the answer that it holds.

    Other objects become what `plain_data` makes of them. Raises `NotPlainData`.
    """
    try:
        return plain_data(answer_inside(value))
    except NotPlainData as error:
        raise NotPlainData(f"{error} {_ADVICE}") from error


def answer_inside(value: Any) -> Any:
    """Return the answer in `value` as it is there, which may be an object; `value` itself if it holds no other."""
    for _ in range(10):  # a result of a run may hold a state, which holds a message
        found = _inside(value)
        if found is None:
            break
        value = found[0]
    return value


def _inside(value: Any) -> tuple[Any] | None:
    """Return the answer one level further in, or None."""
    if is_message(value):
        return (message_answer(value),)
    if isinstance(value, Mapping):
        return _inside_mapping(value)
    if isinstance(value, list | tuple) and value and all(map(is_message, value)):
        return (_last_answer(value),)
    return inner_answer(value)


def _inside_mapping(state: Mapping[Any, Any]) -> tuple[Any] | None:
    if state.get("structured_response") is not None and "messages" in state:
        return (state["structured_response"],)
    if state.keys() == {"raw", "parsed", "parsing_error"} and state["parsed"] is not None:  # `include_raw=True` of LangChain
        return (state["parsed"],)
    messages = state.get("messages")
    if isinstance(messages, list | tuple) and messages and any(map(is_message, messages)) and len(state) == 1:
        return (_last_answer(messages),)
    return None


def _last_answer(messages: Any) -> Any:
    """Return the last message of the model, or else the last one."""
    return next((m for m in reversed(messages) if role_of_message(m) == "assistant"), messages[-1])
