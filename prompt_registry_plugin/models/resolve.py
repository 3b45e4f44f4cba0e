"""Find the `Model` that a user names, and ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from prompt_registry_plugin.concurrency import call, signature_of
from prompt_registry_plugin.errors import ModelUnavailable, PromptRegistryError, UserError
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.models.answers import plain_text
from prompt_registry_plugin.models.settings import note_left_out
from prompt_registry_plugin.plugins import PluginManager, default_plugin_manager
from prompt_registry_plugin.prompts.context import current_recorder, send_as_is
from prompt_registry_plugin.prompts.messages import blocks_of
from prompt_registry_plugin.protocols import AnyModel, Model, Reply, StreamingModel
from prompt_registry_plugin.recipes import with_recipe
from prompt_registry_plugin.records import EMPTY, Usage
from prompt_registry_plugin.tracing.recorder import span

Piece = TypeVar("Piece")


def resolve_model(spec: AnyModel, plugins: PluginManager | None = None) -> Model:
    """Return the model for a string (`"openai:gpt-…"`, `"offline:reflection"`), a function or a framework's object.

    Raises `UserError` if no installed plugin knows it.
    """
    if isinstance(spec, Model):
        return spec
    found: Model | None = (plugins or default_plugin_manager()).hook.prompt_registry_model(spec=spec)
    if found is not None:
        return found
    if callable(spec):
        return FunctionModel(spec)
    raise UserError(
        f"no installed plugin knows the model {mask_secrets(repr(spec))}; write 'openai:<name>', 'anthropic:<name>', 'google:<name>', "
        "'ollama:<name>', 'openai+http://host:port/v1:<name>', or 'offline:task', 'offline:judge' or "
        "'offline:reflection' (simulated), or pass a function of the messages, or a client with a name: (client, 'gpt-…')"
    )


async def ask(model: Model, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
    """Return the model's answer. Record the call as a span with its messages and tokens."""
    with span("llm", model.name, _span_attributes(model, messages)) as span_id, _translate_errors(model), _as_is(messages):
        return _record_reply(span_id, await model(messages, **params))


async def ask_streaming(
    model: Model, messages: Sequence[Mapping[str, Any]], **params: Any
) -> AsyncIterator[str | Mapping[str, Any]]:
    """Yield the answer in pieces, and then its tool calls; in one piece if the model does not stream. Record the call as a span."""
    with span("llm", model.name, _span_attributes(model, messages)) as span_id, _translate_errors(model):
        if not isinstance(model, StreamingModel):
            with _as_is(messages):
                reply = _record_reply(span_id, await model(messages, **params))
            yield reply.text
            for call in reply.tool_calls:
                yield call
            return
        pieces, calls, usage = list[str](), list[Mapping[str, Any]](), Usage(calls=1)
        async for piece in _stream_as_is(model.stream(messages, **params), messages):
            if isinstance(piece, Usage):
                usage = piece
                continue
            if isinstance(piece, str):
                pieces.append(piece)
            else:
                calls.append(piece)
            yield piece
        _record_reply(span_id, Reply("".join(pieces), usage, calls))


def _as_is(messages: Sequence[Mapping[str, Any]]) -> AbstractContextManager[None]:
    """Return a block in which the texts of these messages are final: whoever asks has rendered the version that is meant."""
    return send_as_is(text for message in messages for text in blocks_of(message))


async def _stream_as_is(pieces: AsyncIterator[Piece], messages: Sequence[Mapping[str, Any]]) -> AsyncIterator[Piece]:
    """Yield the pieces, each read as `ask` reads an answer; what the consumer does between them is not affected."""
    while True:
        with _as_is(messages):
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                return
        yield piece


@contextmanager
def _translate_errors(model: Model) -> Iterator[None]:
    """A block in which errors of a user's model are raised as `ModelUnavailable`."""
    try:
        yield
    except PromptRegistryError:
        raise
    except Exception as error:
        raise ModelUnavailable(f"model {model.name!r} failed: {type(error).__name__}: {error}") from error


def _span_attributes(model: Model, messages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the attributes of the span of a call; none if nothing is recorded."""
    recorder = current_recorder()
    return EMPTY if recorder is None else {"model": model.name, **recorder.model_attributes(messages)}


def _record_reply(span_id: str | None, reply: Reply) -> Reply:
    """Finish the span of a call with its reply, and return the reply."""
    recorder = current_recorder()
    if recorder is not None:
        used = {"input_tokens": reply.usage.input_tokens, "output_tokens": reply.usage.output_tokens}
        calls = [{"name": call["name"], "args": call["arguments"]} for call in reply.tool_calls]
        recorder.finish(span_id, attributes={**used, "output": reply.text, **({"tool_calls": calls} if calls else {})})
    return reply


def model_spec(name: str, provider: str | None = None) -> str:
    """Return `provider:name`. Without a provider, a name with a prefix keeps it, and other names get `openai:`."""
    return f"{provider}:{name}" if provider else name if ":" in name else f"openai:{name}"


@with_recipe
class ModelWithParams:
    """A model with parameters for every call, such as `temperature`."""

    def __init__(self, model: AnyModel, **params: Any) -> None:
        self._model, self._params = resolve_model(model), params
        self.name, self.simulated = self._model.name, self._model.simulated

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
        """Return the model's answer. Parameters of the call override those of the model."""
        return await self._model(messages, **{**self._params, **params})

    async def stream(
        self, messages: Sequence[Mapping[str, Any]], **params: Any
    ) -> AsyncIterator[str | Usage | Mapping[str, Any]]:
        """Yield the answer in pieces, and the tokens; in one piece if the model does not stream."""
        given = {**self._params, **params}
        if isinstance(self._model, StreamingModel):
            async for piece in self._model.stream(messages, **given):
                yield piece
        else:
            reply = await self._model(messages, **given)
            yield reply.text
            for call in reply.tool_calls:
                yield call
            yield reply.usage

    async def check(self) -> None:
        """Check the model."""
        await self._model.check()


class FunctionModel:
    """A function, or coroutine function, of the messages that returns a string or a `Reply`.

    It gets the settings that are among its parameters, or all if it has `**params`.
    """

    simulated = False

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.name = getattr(function, "__qualname__", repr(function))
        signature = signature_of(function)
        parameters = () if signature is None else tuple(signature.parameters.values())
        self._takes_all = signature is None or any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._takes = {p.name for p in parameters[1:]} | {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
        """Return the function's answer. Raises `ModelUnavailable` if it fails, and `UserError` if it returns something else."""
        if not self._takes_all:
            note_left_out(self.name, sorted(params.keys() - self._takes), "has no parameter of that name")
            params = {name: value for name, value in params.items() if name in self._takes}
        try:
            said = await call(self._function, messages, **params)
        except PromptRegistryError:
            raise
        except Exception as error:  # the boundary to a user's function, which may raise whatever its client raises
            raise ModelUnavailable(f"model {self.name!r} failed: {type(error).__name__}: {error}") from error
        if isinstance(said, Reply):
            return said
        text = plain_text(said)
        if text is None:
            raise UserError(f"model {self.name!r} returns a text or a Reply, not {type(said).__name__}")
        return Reply(text)

    async def check(self) -> None:
        """Do nothing: a function has nothing to check."""
