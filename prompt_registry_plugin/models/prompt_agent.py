"""A prompt and a model: the smallest agent there is. Tried on the command line, served over HTTP, named in configuration files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from prompt_registry_plugin.concurrency import run_sync
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.models.resolve import ask, ask_streaming, model_spec, resolve_model
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import AnyModel, Model
from prompt_registry_plugin.recipes import with_recipe
from prompt_registry_plugin.registry.current import current_registry

_PARAMS = {
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "top_p": "top_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop_sequences": "stop",
}  # as a prompt's model_config names them, and as the chat protocol does


@with_recipe
class PromptAgent:
    """Answers by asking a model with one prompt, which is loaded for each answer: a moved alias counts at once.

    `model` and `params` (such as `temperature=0`) stand before those of the prompt's `model_config`. It is a target: `predict_fn`
    may be one. Raises `UserError` for a model that nothing installed knows.
    """

    def __init__(self, prompt: str, model: AnyModel | None = None, **params: Any) -> None:
        self.prompt = prompt
        self.name = prompt.removeprefix("prompts:/")
        self._spec = model
        self._model = None if model is None else resolve_model(model)
        self._params = params

    async def __call__(self, inputs: Mapping[str, Any]) -> str:
        """What the model answers to the prompt with these values."""
        version = await current_registry().aload_prompt(self.prompt)
        return (await ask(self.model_of(version), messages_of(version, inputs), **self.params_of(version))).text

    async def stream(self, inputs: Mapping[str, Any]) -> AsyncIterator[str]:
        """The same in pieces, as they come; in one piece from a model that does not stream."""
        version = await current_registry().aload_prompt(self.prompt)
        async for piece in ask_streaming(self.model_of(version), messages_of(version, inputs), **self.params_of(version)):
            yield piece

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Which variables of the prompt these inputs lack, or None."""
        version = current_registry().load_prompt(self.prompt)
        missing = ", ".join(map(repr, sorted(version.variables - inputs.keys())))
        return f"{version.uri} needs {missing}; the row has {', '.join(map(repr, inputs)) or 'nothing'}" if missing else None

    def replace(self, *, prompt: str | None = None, model: AnyModel | None = None) -> PromptAgent:
        """The same agent with another version of its prompt, or another model."""
        return PromptAgent(prompt or self.prompt, self._spec if model is None else model, **self._params)

    def predict(self, inputs: Mapping[str, Any]) -> str:
        """The answer, for callers that do not await."""
        return run_sync(self(inputs))

    def model_of(self, version: PromptVersion) -> Model:
        """The model that is asked: the one that was given, else the one of the version's `model_config`. Raises `UserError`."""
        return resolve_model(self.spec_of(version)) if self._model is None else self._model

    def spec_of(self, version: PromptVersion) -> str:
        """What that model is called where it can be found again."""
        if self._model is not None:
            return self._spec if isinstance(self._spec, str) else self._model.name
        config = version.model_config or {}
        name = config.get("model_name") or config.get("model")
        if not name:
            raise UserError(f"{version.uri} says no model; give one, or register it with model_config={{'model_name': '…'}}")
        return model_spec(str(name), config.get("provider"))

    def params_of(self, version: PromptVersion) -> dict[str, Any]:
        """What else the model is told."""
        config = version.model_config or {}
        own = {theirs: config[ours] for ours, theirs in _PARAMS.items() if config.get(ours) is not None}
        return {**own, **self._params}

    def __repr__(self) -> str:
        return f"<agent {self.name}{f' with {self._model.name}' if self._model else ''}>"


def messages_of(version: PromptVersion, inputs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A version with its values as chat messages; a text is what the user says. Raises `MissingVariable`."""
    rendered = version.format(inputs)
    return [{"role": "user", "content": rendered}] if isinstance(rendered, str) else list(rendered)
