"""An Anthropic client with the name of a model, or `anthropic:<name>`, as a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from prompt_registry_adapters.clients.anthropic_messages import MessagesAnswer
from prompt_registry_adapters.clients.model import ClientModel, functions_of, renamed, schema_of, split_system
from prompt_registry_plugin.errors import PluginError, UserError
from prompt_registry_plugin.models.settings import note_left_out
from prompt_registry_plugin.plain.messages import message_calls
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage

MAX_TOKENS = 4_096
"""The protocol needs a limit; this one holds where nobody gave `max_tokens`."""
LEFT_OUT = frozenset(
    "seed frequency_penalty presence_penalty logit_bias logprobs top_logprobs n parallel_tool_calls verbosity store".split()
)
"""Settings of the chat protocol that the Messages API does not have."""


class AnthropicModel(ClientModel):
    """Asks for messages."""

    def method(self, client: Any) -> Callable[..., Any]:
        """Return `messages.create`."""
        return client.messages.create  # type: ignore[no-any-return]

    def request(self, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments; system messages become the system text."""
        system, others = split_system(messages)
        more = messages_settings(params)
        note_left_out(self.name, sorted(params.keys() & LEFT_OUT))
        shown = [{"role": message["role"], "content": message["content"]} for message in others]
        request = {"model": self.name, "messages": shown, "max_tokens": more.pop("max_tokens", MAX_TOKENS)}
        if system:
            request["system"] = system
        if more:  # newer clients have no argument for what older models take, such as `temperature`: the server decides
            request["extra_body"] = more
        return request

    def reply(self, answer: Any) -> Reply:
        """Return the text blocks."""
        read = MessagesAnswer()
        read.read(answer)
        usage = Usage(read.usage.get("input_tokens", 0), read.usage.get("output_tokens", 0), 1)
        return Reply("".join(read.texts), usage, message_calls(answer))


def messages_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of the chat protocol as the Messages API has them, without those of `LEFT_OUT`."""
    given = {name: value for name, value in params.items() if name not in LEFT_OUT}
    made = renamed(given, {"stop": "stop_sequences", "max_completion_tokens": "max_tokens"})
    if isinstance(made.get("stop_sequences"), str):
        made["stop_sequences"] = [made["stop_sequences"]]
    output = dict(made.pop("output_config", None) or {})
    if (schema := schema_of(made.pop("response_format", None))) is not None:
        output["format"] = {"type": "json_schema", "schema": schema}
    if (effort := made.pop("reasoning_effort", None)) is not None:
        output["effort"] = effort
    if (user := made.pop("user", None)) is not None:
        made["metadata"] = {"user_id": user}
    if functions := functions_of(made.get("tools")):
        made["tools"] = [
            {
                **{key: function[key] for key in ("name", "description") if key in function},
                "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
            }
            for function in functions
        ]
    if "tool_choice" in made:
        made["tool_choice"] = _tool_choice(made["tool_choice"])
    return {**made, **({"output_config": output} if output else {})}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, Mapping) and isinstance(choice.get("function"), Mapping):
        return {"type": "tool", "name": choice["function"].get("name")}
    return {"type": {"required": "any"}.get(choice, choice)} if isinstance(choice, str) else choice


def named_model(name: str) -> AnthropicModel:
    """Return the model of a name. Raises `PluginError` without the package, `UserError` without `ANTHROPIC_API_KEY`."""
    if find_spec("anthropic") is None:
        raise PluginError("the Anthropic client is not installed: pip install 'prompt-registry-plugin[anthropic]'")
    if not (os.environ.get("ANTHROPIC_API_KEY") or os.environ.get("ANTHROPIC_AUTH_TOKEN")):
        raise UserError(f"model {name!r} needs the environment variable ANTHROPIC_API_KEY")
    from anthropic import AsyncAnthropic

    return AnthropicModel(name, make=AsyncAnthropic)
