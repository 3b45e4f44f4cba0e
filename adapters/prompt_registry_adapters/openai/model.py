"""An `OpenAI` client with the name of a model, as a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prompt_registry_adapters.clients.model import ClientModel, split_known
from prompt_registry_plugin.concurrency import signature_of
from prompt_registry_plugin.models.settings import note_left_out
from prompt_registry_plugin.plain.messages import message_calls
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage


class OpenAIClientModel(ClientModel):
    """Asks for chat completions."""

    def method(self, client: Any) -> Callable[..., Any]:
        """Return `chat.completions.create`."""
        return client.chat.completions.create  # type: ignore[no-any-return]

    def request(self, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments, which are those of the protocol."""
        method = self.method(self._client)
        taken, left_out = split_known(params, signature_of(method))
        note_left_out(self.name, left_out, "is not a setting of the client")
        return {"model": self.name, "messages": [dict(message) for message in messages], **taken}

    def reply(self, answer: Any) -> Reply:
        """Return the first choice."""
        used = answer.usage
        usage = Usage(used.prompt_tokens, used.completion_tokens, 1) if used else Usage(0, 0, 1)
        said = answer.choices[0].message
        return Reply(said.content or "", usage, message_calls(said))
