"""The smallest agent: a prompt and a model. `try`, `serve-prompt` and configuration files use it."""

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
}  # by their names in a prompt's model_config, those of the chat protocol


@with_recipe
class PromptAgent:
    """An agent that asks a model with one prompt. The prompt is loaded for each answer, so a moved alias takes effect at once.

    `model` and `params`, such as `temperature=0`, override those in the prompt's `model_config`. It is a target: pass it as
    `predict_fn`. Raises `UserError` for an unknown model.
    """

    def __init__(self, prompt: str, model: AnyModel | None = None, **params: Any) -> None:
        self.prompt = prompt
        self.name = prompt.removeprefix("prompts:/")
        self._spec = model
        self._model = None if model is None else resolve_model(model)
        self._params = params

    async def __call__(self, inputs: Mapping[str, Any]) -> str:
        """Return the model's answer to the prompt with these values."""
        version = await current_registry().aload_prompt(self.prompt)
        return (await ask(self.model_of(version), messages_of(version, inputs), **self.params_of(version))).text

    async def stream(self, inputs: Mapping[str, Any]) -> AsyncIterator[str]:
        """Yield the answer in pieces; in one piece if the model does not stream."""
        version = await current_registry().aload_prompt(self.prompt)
        async for piece in ask_streaming(self.model_of(version), messages_of(version, inputs), **self.params_of(version)):
            yield piece

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Return an error if these inputs lack variables of the prompt, or None."""
        version = current_registry().load_prompt(self.prompt)
        missing = ", ".join(map(repr, sorted(version.variables - inputs.keys())))
        return f"{version.uri} needs {missing}; the row has {', '.join(map(repr, inputs)) or 'nothing'}" if missing else None

    def replace(self, *, prompt: str | None = None, model: AnyModel | None = None) -> PromptAgent:
        """Return the same agent with another version of its prompt, or another model."""
        return PromptAgent(prompt or self.prompt, self._spec if model is None else model, **self._params)

    def predict(self, inputs: Mapping[str, Any]) -> str:
        """Return the answer, from sync code."""
        return run_sync(self(inputs))

    def model_of(self, version: PromptVersion) -> Model:
        """Return the model to ask: the given one, or else that of the version's `model_config`. Raises `UserError` without one."""
        return resolve_model(self.spec_of(version)) if self._model is None else self._model

    def spec_of(self, version: PromptVersion) -> str:
        """Return that model's name, as `resolve_model` takes it. Raises `UserError` if no model is named."""
        if self._model is not None:
            return self._spec if isinstance(self._spec, str) else self._model.name
        config = version.model_config or {}
        name = config.get("model_name") or config.get("model")
        if not name:
            raise UserError(f"{version.uri} says no model; give one, or register it with model_config={{'model_name': '…'}}")
        return model_spec(str(name), config.get("provider"))

    def params_of(self, version: PromptVersion) -> dict[str, Any]:
        """Return the parameters for the model: those of `model_config`, overridden by the given ones."""
        config = version.model_config or {}
        own = {theirs: config[ours] for ours, theirs in _PARAMS.items() if config.get(ours) is not None}
        return {**own, **self._params}

    def __repr__(self) -> str:
        return f"<agent {self.name}{f' with {self._model.name}' if self._model else ''}>"


def messages_of(version: PromptVersion, inputs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a rendered version as chat messages; a string becomes a user message. Raises `MissingVariable`."""
    rendered = version.format(inputs)
    return [{"role": "user", "content": rendered}] if isinstance(rendered, str) else list(rendered)
