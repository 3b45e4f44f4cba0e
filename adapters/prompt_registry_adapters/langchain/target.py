"""Runnables as targets and chat models as models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from prompt_registry_plugin.errors import ModelUnavailable
from prompt_registry_plugin.prompts.messages import content_of
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage


class RunnableTarget:
    """A chain that is given a row's inputs as its input."""

    def __init__(self, runnable: Runnable[Any, Any]) -> None:
        self._runnable = runnable
        self.name = runnable.get_name()

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The chain's answer."""
        return await self._runnable.ainvoke(dict(inputs))

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Why the chain cannot take these inputs, or None."""
        if missing := sorted(self._needs - inputs.keys()):
            return f"{self.name} needs {missing[0]!r}"
        return None

    @cached_property
    def _needs(self) -> frozenset[str]:
        schema = self._runnable.get_input_jsonschema()
        return frozenset(schema.get("required", ())) if schema.get("type") == "object" else frozenset()


class ChatModel:
    """A LangChain chat model as a `Model`."""

    simulated = False

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model
        self.name = str(getattr(model, "model_name", None) or getattr(model, "model", None) or model.get_name())

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
        """The model's answer. Raises `ModelUnavailable` for whatever the provider's client raises."""
        try:
            answer = await self._model.ainvoke([dict(message) for message in messages], **params)
        except Exception as error:  # each provider has exceptions of its own
            raise ModelUnavailable(f"model {self.name!r} failed: {type(error).__name__}: {error}") from error
        usage = answer.usage_metadata or {"input_tokens": 0, "output_tokens": 0}
        return Reply(content_of(answer), Usage(usage["input_tokens"], usage["output_tokens"], 1))

    async def check(self) -> None:
        """A LangChain model has no call that costs nothing, so nothing is checked."""
