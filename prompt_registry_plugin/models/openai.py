"""Models behind the OpenAI API, or a server that is compatible with it, through the official client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.errors import ModelUnavailable, PluginError, UserError
from prompt_registry_plugin.masking import mask_url
from prompt_registry_plugin.models.failures import explain, no_such_model, not_compatible
from prompt_registry_plugin.models.servers import Server
from prompt_registry_plugin.models.settings import note_left_out
from prompt_registry_plugin.plain.messages import message_calls
from prompt_registry_plugin.plain.streams import ToolCallPieces
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_NEWER_NAMES = {"max_tokens": "max_completion_tokens"}  # newer models of OpenAI refuse the first
_OURS = ("model", "messages", "stream", "stream_options", "n")  # this class decides on them
_MAX_REFUSALS = 8  # settings that a server may refuse one by one before its error is raised


class OpenAIModel:
    """A chat model by name, of OpenAI or of another server. The client itself retries rate limits and timeouts.

    A setting that the client does not have, or that the server refuses by name, is left out, and a note says so once (`note_left_out`).
    Raises `PluginError` without the `openai` package and, for OpenAI itself, `UserError` without `OPENAI_API_KEY`.
    """

    simulated = False

    def __init__(self, name: str, server: Server | None = None) -> None:
        if find_spec("openai") is None:
            raise PluginError("the OpenAI client is not installed: pip install 'prompt-registry-plugin[openai]'")
        self._server = Server() if server is None else server
        if self._server.needs_key and not os.environ.get("OPENAI_API_KEY"):
            raise UserError(
                f"model {name!r} needs the environment variable OPENAI_API_KEY (and OPENAI_BASE_URL for another server)"
            )
        self.name = name
        self._refused: dict[str, str] = {}  # settings that the server does not take -> their newer name, or ""

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
        """Return the model's answer. Raises `ModelUnavailable` if the server cannot be reached or refuses."""
        async with self._client() as client:
            with self._translate_errors(client):
                answer = await self._create(client, messages, params)
        if not answer.choices:
            raise ModelUnavailable(f"model {self.name!r} answered without any choice")
        used = answer.usage
        usage = Usage(used.prompt_tokens, used.completion_tokens, 1) if used else Usage(0, 0, 1)
        choice = answer.choices[0]
        said = choice.message
        return Reply(said.content or said.refusal or "", usage, message_calls(said), choice.finish_reason)

    async def stream(
        self, messages: Sequence[Mapping[str, Any]], **params: Any
    ) -> AsyncIterator[str | Usage | Mapping[str, Any]]:
        """Yield the answer in pieces, its tool calls, and the tokens. Raises as a call does."""
        options = {"stream": True, "stream_options": {"include_usage": True}}
        calls, usage = ToolCallPieces(), Usage(calls=1)
        async with self._client() as client:
            with self._translate_errors(client):
                async for chunk in await self._create(client, messages, params, **options):
                    if chunk.choices:
                        delta = chunk.choices[0].delta
                        if delta.content:
                            yield delta.content
                        calls.add_chat(delta)
                    if chunk.usage:
                        usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens, 1)
        for call in calls.made():
            yield call
        yield usage

    async def check(self) -> None:
        """Raise `ModelUnavailable`, before any cost, if the server is unreachable or refuses the key. Lists models, which is free.

        Ollama lists all that it can run, so a model that it does not list is an error too.
        """
        import openai

        async with self._client(timeout=10.0, max_retries=1) as client:
            try:
                listed = [model.id for model in (await client.models.list()).data or ()]
            except (openai.APIConnectionError, openai.AuthenticationError) as error:
                raise ModelUnavailable(explain(error, self._server, self.name, _address(client))) from error
            except openai.APIStatusError:
                return  # many compatible servers do not list their models
            except (AttributeError, TypeError, ValueError) as error:  # the client fails so on a page that is not JSON
                raise ModelUnavailable(not_compatible(self._server, self.name, _address(client))) from error
        if self._server.is_ollama and not {self.name.lower(), f"{self.name.lower()}:latest"} & {name.lower() for name in listed}:
            raise ModelUnavailable(no_such_model(self._server, self.name, _address(client), listed))

    def left_out(self, params: Mapping[str, Any]) -> list[str]:
        """Return the names among `params` that this model does not take, as far as that is known without asking the server."""
        from openai.resources.chat.completions import AsyncCompletions

        from prompt_registry_plugin.concurrency import signature_of

        signature = signature_of(AsyncCompletions.create)
        known = signature.parameters.keys() if signature is not None else params.keys()
        return sorted(name for name in params if name not in known or name in _OURS)

    async def _create(
        self, client: AsyncOpenAI, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any], **options: Any
    ) -> Any:
        """Return the client's answer, asked again without a setting that the server refuses by name."""
        import openai

        unknown = self.left_out(params)
        note_left_out(self.name, unknown, "is not a setting of the chat protocol")
        given = {name: value for name, value in params.items() if name not in unknown}
        for _ in range(_MAX_REFUSALS):
            request = {"model": self.name, "messages": [dict(message) for message in messages], **self._taken(given), **options}
            try:
                return await client.chat.completions.create(**request)
            except openai.BadRequestError as error:
                if (name := _refused_setting(error, self._taken(given))) is None:
                    raise
                self._refuse(name)
        raise ModelUnavailable(f"model {self.name!r} refuses more than {_MAX_REFUSALS} of its settings")

    def _taken(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings without those that the server refused, under their newer names."""
        taken = {self._refused.get(name, name): value for name, value in given.items()}
        note_left_out(self.name, [name for name in given if self._refused.get(name) == ""])
        taken.pop("", None)
        return taken

    def _refuse(self, name: str) -> None:
        older = next((old for old, new in self._refused.items() if new == name), None)
        newer = "" if older is not None else _NEWER_NAMES.get(name, "")
        self._refused[older or name] = newer

    @contextmanager
    def _translate_errors(self, client: AsyncOpenAI) -> Iterator[None]:
        """A block in which the client's errors are raised as errors of this package."""
        import openai

        try:
            yield
        except openai.OpenAIError as error:
            raise ModelUnavailable(explain(error, self._server, self.name, _address(client))) from error
        except (AttributeError, TypeError, ValueError) as error:
            raise ModelUnavailable(not_compatible(self._server, self.name, _address(client))) from error

    def _client(self, **options: Any) -> AsyncOpenAI:
        # A new client for each call: a client belongs to one event loop, and sync callers may start a new loop for each run.
        from openai import AsyncOpenAI

        return AsyncOpenAI(**self._server.client_options(), **options)


def _refused_setting(error: Any, sent: Mapping[str, Any]) -> str | None:
    """Return the setting that a server does not support, by the error's code; None for any other error, such as a wrong value."""
    name = str(error.param or "").partition(".")[0].partition("[")[0]
    said = str(error.message).lower()
    is_unsupported = error.code in ("unsupported_parameter", "unsupported_value", "unknown_parameter") or (
        "not support" in said or "unsupported" in said or "unrecognized" in said or "unknown parameter" in said
    )
    return name if is_unsupported and name in sent else None


def _address(client: Any) -> str:
    """Return where a client asks, without a login, for messages."""
    return mask_url(str(client.base_url))
