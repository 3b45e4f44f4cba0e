"""An Anthropic client with the name of a model, or `anthropic:<name>`, as a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from prompt_registry_adapters.clients.anthropic_messages import MessagesAnswer
from prompt_registry_adapters.clients.model import ClientModel, renamed, split_system
from prompt_registry_plugin.errors import PluginError, UserError
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage

MAX_TOKENS = 4_096
"""The protocol needs a limit; this one holds where nobody gave `max_tokens`."""


class AnthropicModel(ClientModel):
    """Asks for messages."""

    def method(self, client: Any) -> Callable[..., Any]:
        """Return `messages.create`."""
        return client.messages.create  # type: ignore[no-any-return]

    def request(self, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments; system messages become the system text."""
        system, others = split_system(messages)
        more = renamed(params, {"stop": "stop_sequences"})
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
        return Reply("".join(read.texts), Usage(read.usage.get("input_tokens", 0), read.usage.get("output_tokens", 0), 1))


def named_model(name: str) -> AnthropicModel:
    """Return the model of a name. Raises `PluginError` without the package, `UserError` without `ANTHROPIC_API_KEY`."""
    if find_spec("anthropic") is None:
        raise PluginError("the Anthropic client is not installed: pip install 'prompt-registry-plugin[anthropic]'")
    if not (os.environ.get("ANTHROPIC_API_KEY") or os.environ.get("ANTHROPIC_AUTH_TOKEN")):
        raise UserError(f"model {name!r} needs the environment variable ANTHROPIC_API_KEY")
    from anthropic import AsyncAnthropic

    return AnthropicModel(name, make=AsyncAnthropic)
