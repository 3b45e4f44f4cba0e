"""Runnables as targets and chat models as models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from langchain_core.language_models import BaseChatModel, BaseLanguageModel
from langchain_core.runnables import Runnable

from prompt_registry_plugin.errors import ModelUnavailable, UserError
from prompt_registry_plugin.frameworks.calls import CallSettings
from prompt_registry_plugin.models.settings import note_left_out
from prompt_registry_plugin.plain.messages import message_calls, message_text
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage


class RunnableTarget:
    """A chain that is given a row's inputs as its input. A chat model, or a chain that begins with one, is given the row's text."""

    def __init__(self, runnable: Runnable[Any, Any], settings: CallSettings | None = None) -> None:
        self._runnable = runnable
        self._settings = settings or CallSettings()
        self.name = runnable.get_name()

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The chain's answer."""
        takes_input = self._settings.input is not None or self._takes_text
        given = await self._settings.input_of(inputs) if takes_input else dict(inputs)
        config: Any = await self._settings.config_of(inputs)
        return await self._runnable.ainvoke(given, config or None)

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Why the chain cannot take these inputs, or None."""
        if problem := self._settings.check(inputs):
            return problem
        if self._settings.input is None and self._takes_text and self._settings.key_of(inputs) is None:
            return f"{self.name} needs a text: a row with one value, or 'input'; or pass target(model, input='…')"
        if self._settings.input is None and (missing := sorted(self._needs - inputs.keys())):
            return f"{self.name} needs {missing[0]!r}"
        return None

    def describe(self, inputs: Mapping[str, Any]) -> str:
        """How a row becomes the call."""
        takes_input = self._settings.input is not None or self._takes_text
        given = self._settings.describe_input(inputs) if takes_input else f"{{{', '.join(inputs)}}}"
        return f"calls {self.name}.ainvoke({given}){' with config' if self._settings.config is not None else ''}"

    def with_settings(self, settings: CallSettings) -> RunnableTarget:
        """The same chain, called as `target(…)` says."""
        if settings.deps is not None:
            raise UserError(f"{self.name} is a Runnable, which takes no deps; pass input=… or config=….")
        return RunnableTarget(self._runnable, settings)

    @cached_property
    def _takes_text(self) -> bool:
        """Whether what gets the input is a model, or says that it takes a text."""
        first: Any = self._runnable
        while (inner := getattr(first, "first", None) or getattr(first, "bound", None)) is not None:
            first = inner
        return isinstance(first, BaseLanguageModel) or self._schema.get("type") == "string"

    @cached_property
    def _schema(self) -> Mapping[str, Any]:
        return self._runnable.get_input_jsonschema()

    @cached_property
    def _needs(self) -> frozenset[str]:
        schema = self._schema
        return frozenset(schema.get("required", ())) if schema.get("type") == "object" else frozenset()


class ChatModel:
    """A LangChain chat model as a `Model`."""

    simulated = False

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model
        self.name = str(getattr(model, "model_name", None) or getattr(model, "model", None) or model.get_name())

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
        """The model's answer. Raises `ModelUnavailable` for whatever the provider's client raises.

        Tools are given as the model's provider wants them, and so is everything else: each provider has names of its own.
        """
        try:
            tools = params.pop("tools", None)
            model = self._with_tools(tools) if tools else self._model
            answer = await model.ainvoke([dict(message) for message in messages], **params)
        except Exception as error:  # each provider has exceptions of its own
            raise ModelUnavailable(f"model {self.name!r} failed: {type(error).__name__}: {error}") from error
        usage = answer.usage_metadata or {"input_tokens": 0, "output_tokens": 0}
        said = answer.response_metadata
        reason = said.get("finish_reason") or said.get("stop_reason") or said.get("done_reason")
        used = Usage(usage["input_tokens"], usage["output_tokens"], 1)
        return Reply(message_text(answer), used, message_calls(answer), None if reason is None else str(reason))

    def _with_tools(self, tools: Any) -> Runnable[Any, Any]:
        try:
            return self._model.bind_tools(tools)
        except NotImplementedError:
            note_left_out(self.name, ["tools"])
            return self._model

    async def check(self) -> None:
        """A LangChain model has no call that costs nothing, so nothing is checked."""
