"""Models behind the OpenAI API, or a server that is compatible with it (`OPENAI_BASE_URL`), through the official client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.errors import ModelUnavailable, PluginError, UserError
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_NOT_COMPATIBLE = "model {name!r}: {url} answers, but not as an OpenAI-compatible server does; does OPENAI_BASE_URL lack a /v1?"


class OpenAIModel:
    """A chat model by name. The client itself retries rate limits and timeouts.

    Raises `PluginError` without the `openai` package and `UserError` without `OPENAI_API_KEY`.
    """

    simulated = False

    def __init__(self, name: str) -> None:
        if find_spec("openai") is None:
            raise PluginError("the OpenAI client is not installed: pip install 'prompt-registry-plugin[openai]'")
        if not os.environ.get("OPENAI_API_KEY"):
            raise UserError(
                f"model {name!r} needs the environment variable OPENAI_API_KEY (and OPENAI_BASE_URL for another server)"
            )
        self.name = name

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
        """Return the model's answer. Raises `ModelUnavailable` if the server cannot be reached or refuses."""
        request: Any = {"model": self.name, "messages": [dict(message) for message in messages], **params}
        async with self._client() as client:
            with self._translate_errors(client):
                answer = await client.chat.completions.create(**request)
        if not answer.choices:
            raise ModelUnavailable(f"model {self.name!r} answered without any choice")
        used = answer.usage
        usage = Usage(used.prompt_tokens, used.completion_tokens, 1) if used else Usage(0, 0, 1)
        return Reply(answer.choices[0].message.content or "", usage)

    async def stream(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> AsyncIterator[str | Usage]:
        """Yield the answer in pieces, and the tokens. Raises as a call does."""
        request: Any = {"model": self.name, "messages": [dict(message) for message in messages], **params}
        request |= {"stream": True, "stream_options": {"include_usage": True}}
        async with self._client() as client:
            with self._translate_errors(client):
                async for chunk in await client.chat.completions.create(**request):
                    if chunk.choices and (piece := chunk.choices[0].delta.content):
                        yield piece
                    if chunk.usage:
                        yield Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens, 1)

    async def check(self) -> None:
        """Raise `ModelUnavailable`, before any cost, if the server is unreachable or refuses the key. Lists models, which is free."""
        import openai

        async with self._client(timeout=10.0, max_retries=1) as client:
            try:
                await client.models.list()
            except (openai.APIConnectionError, openai.AuthenticationError) as error:
                raise ModelUnavailable(f"model {self.name!r} at {client.base_url}: {type(error).__name__}: {error}") from error
            except openai.APIStatusError:
                pass  # many compatible servers do not list their models
            except (AttributeError, TypeError, ValueError) as error:  # the client fails so on a page that is not JSON
                raise ModelUnavailable(_NOT_COMPATIBLE.format(name=self.name, url=client.base_url)) from error

    @contextmanager
    def _translate_errors(self, client: AsyncOpenAI) -> Iterator[None]:
        """A block in which the client's errors are raised as errors of this package."""
        import openai

        try:
            yield
        except openai.OpenAIError as error:
            raise ModelUnavailable(f"model {self.name!r} at {client.base_url}: {type(error).__name__}: {error}") from error
        except (AttributeError, TypeError, ValueError) as error:
            if "unexpected keyword argument" in str(error):
                raise UserError(f"model {self.name!r} does not take a setting that it was given: {error}") from error
            raise ModelUnavailable(_NOT_COMPATIBLE.format(name=self.name, url=client.base_url)) from error

    def _client(self, **options: Any) -> AsyncOpenAI:
        # A new client for each call: a client belongs to one event loop, and sync callers may start a new loop for each run.
        from openai import AsyncOpenAI

        return AsyncOpenAI(**options)
