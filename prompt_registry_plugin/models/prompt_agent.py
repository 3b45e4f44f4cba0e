"""The smallest agent: a prompt and a model. `try`, `serve-prompt` and configuration files use it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from prompt_registry_plugin.concurrency import run_sync
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.models.answers import without_thinking
from prompt_registry_plugin.models.resolve import ask, ask_streaming, model_spec, resolve_model
from prompt_registry_plugin.models.settings import chat_params, wants_json
from prompt_registry_plugin.prompts.messages import user_key
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import AnyModel, Model
from prompt_registry_plugin.recipes import with_recipe
from prompt_registry_plugin.registry.current import current_registry


@with_recipe
class PromptAgent:
    """An agent that asks a model with one prompt. The prompt is loaded for each answer, so a moved alias takes effect at once.

    `model` and `params`, such as `temperature=0`, override those in the prompt's `model_config`. Its tools and its response format are
    sent too. Settings that the model does not take are left out, and the log says so once. It is a target: pass it as `predict_fn`.

    `input` is the name of the value that is the user's message; the prompt then is the system message. Without it, that is a value named
    `input`, `prompt`, `message`, `question`, `query`, `text` or `user_prompt`, if the prompt has no variable of that name. If the prompt
    has no variables, it is the only value. A text without such a value is sent as the user's message. Chat prompts are sent as they are,
    with the user's message at their end if they have none.

    Raises `UserError` for an unknown model.
    """

    def __init__(self, prompt: str, model: AnyModel | None = None, *, input: str | None = None, **params: Any) -> None:
        self.prompt = prompt
        self.name = prompt.removeprefix("prompts:/")
        self._spec = model
        self._model = None if model is None else resolve_model(model)
        self._params = params
        self._input = input

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """Return the model's answer to the prompt with these values.

        It is text. Where the prompt asks for JSON (`response_format`), it is the data in it, if it is JSON. With tool calls, it is a
        mapping of `tool_calls` and, if there is text too, `content`.
        """
        version = await current_registry().aload_prompt(self.prompt)
        params = self.params_of(version)
        reply = await ask(self.model_of(version), messages_of(version, inputs, self._input), **params)
        return structured(reply.answer, params)

    async def stream(self, inputs: Mapping[str, Any]) -> AsyncIterator[str | Mapping[str, Any]]:
        """Yield the answer in pieces, then its tool calls (`name`, `arguments`); in one piece if the model does not stream."""
        version = await current_registry().aload_prompt(self.prompt)
        messages = messages_of(version, inputs, self._input)
        async for piece in ask_streaming(self.model_of(version), messages, **self.params_of(version)):
            yield piece

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Return an error if these inputs lack variables of the prompt, or None."""
        version = current_registry().load_prompt(self.prompt)
        missing = ", ".join(map(repr, sorted(version.variables - inputs.keys())))
        if missing:
            return f"{version.uri} needs {missing}; the row has {', '.join(map(repr, inputs)) or 'nothing'}"
        if self._input is not None and self._input not in inputs:
            return f"input={self._input!r} names no value of the row, which has {', '.join(map(repr, inputs)) or 'nothing'}"
        return None

    def describe(self, inputs: Mapping[str, Any]) -> str:
        """Return how a row becomes the request, for people."""
        version = current_registry().load_prompt(self.prompt)
        user = user_value(version, inputs, self._input)
        values = f" with {', '.join(sorted(version.variables & inputs.keys()))}" if version.variables & inputs.keys() else ""
        if not version.is_text_prompt:
            said = f"sends the messages of {self.name}{values}" + ("" if user is None else f", and {user} as the user's message")
        elif user is None:
            said = f"sends {self.name}{values} as the user's message"
        else:
            said = f"sends {self.name}{values} as the system message, and {user} as the user's message"
        return f"{said}, to {self.model_of(version).name}"

    def replace(self, *, prompt: str | None = None, model: AnyModel | None = None) -> PromptAgent:
        """Return the same agent with another version of its prompt, or another model."""
        return PromptAgent(prompt or self.prompt, self._spec if model is None else model, **self._named_input, **self._params)

    @property
    def _named_input(self) -> dict[str, Any]:
        return {} if self._input is None else {"input": self._input}

    def with_settings(self, settings: CallInput) -> PromptAgent:
        """Return the same agent with another user's message, as `target(agent, input=…)` asks. Raises `UserError` for anything else."""
        if settings.deps is not None or settings.config is not None or not isinstance(settings.input, str | None):
            raise UserError(f"{self!r} takes input='NAME' only, the name of the value that is the user's message.")
        return PromptAgent(self.prompt, self._spec, input=settings.input, **self._params)

    def predict(self, inputs: Mapping[str, Any]) -> Any:
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
            raise UserError(
                f"{version.uri} says no model; give one (--model on the command line), or register it with "
                f"model_config={{'model_name': '…'}}"
            )
        return model_spec(str(name), config.get("provider"))

    def params_of(self, version: PromptVersion) -> dict[str, Any]:
        """Return the parameters for the model, by their names in the chat protocol: those of the version, overridden by the given ones."""
        return {**chat_params(version), **self._params}

    def __repr__(self) -> str:
        return f"<agent {self.name}{f' with {self._model.name}' if self._model else ''}>"


class CallInput(Protocol):
    """What `target(…)` says about a call."""

    @property
    def deps(self) -> Any: ...
    @property
    def input(self) -> Any: ...
    @property
    def config(self) -> Any: ...


def user_value(version: PromptVersion, inputs: Mapping[str, Any], name: str | None = None) -> str | None:
    """Return the name of the value that is sent as the user's message beside the prompt, or None. `name` was given for it.

    A value of a variable is part of the prompt. A chat prompt that has a user's message gets another one only if `name` is given.
    """
    if name is not None:
        return None if name in version.variables else name
    messages: Any = () if version.is_text_prompt else version.template
    if any(message.get("role") in ("user", None) for message in messages):
        return None
    left = {key: value for key, value in inputs.items() if key not in version.variables}
    return user_key(left, only=not version.variables and len(inputs) == 1)


def messages_of(version: PromptVersion, inputs: Mapping[str, Any], name: str | None = None) -> list[Mapping[str, Any]]:
    """Return a rendered version as chat messages. Raises `MissingVariable`.

    A text is the system message beside the user's message (`user_value`), and the user's message where there is none.
    """
    rendered = version.format(inputs)
    user = user_value(version, inputs, name)
    said = [] if user is None else [{"role": "user", "content": _message_text(inputs[user])}]
    if isinstance(rendered, str):
        return [{"role": "system" if said else "user", "content": rendered}, *said]
    return [*rendered, *said]


def _message_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def structured(answer: Any, params: Mapping[str, Any]) -> Any:
    """Return the data in an answer in JSON, if `params` ask for one and it is one; other answers are returned as they are."""
    if not isinstance(answer, str) or not wants_json(params):
        return answer
    try:
        found = json.loads(without_thinking(answer))
    except (ValueError, RecursionError):
        return answer
    return found if isinstance(found, dict | list) else answer
