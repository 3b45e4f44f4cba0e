"""Model calls, wrapped where they are made: tools and handoffs described by name, and a span that holds what was really sent.

Any class can be a model, so that each is wrapped when a run first takes it. That needs no tracing of the SDK's, which many switch off
where the model is not OpenAI's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from typing import Any

from prompt_registry_adapters.openai_agents.calls import ServedCall, serve_call
from prompt_registry_adapters.openai_agents.tracing import item_text, keep_inputs, messages_of, state, tokens_of, tool_calls_of
from prompt_registry_plugin.forks import ForkLock
from prompt_registry_plugin.frameworks import adapter
from prompt_registry_plugin.frameworks.patching import Patches
from prompt_registry_plugin.prompts.context import Recorder, current_recorder
from prompt_registry_plugin.tracing.recorder import inside

# A model may pass a call on to another one, or to the class that it extends: the outermost is the one that counts.
_calling: ContextVar[bool] = ContextVar("prompt_registry_openai_calling", default=False)
_agent: ContextVar[str | None] = ContextVar("prompt_registry_openai_agent", default=None)  # whose turn it is


def wrap_get_model(patches: Patches) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Wrap every model that a run uses."""
    lock = ForkLock()

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def get_model(*args: Any, **kwargs: Any) -> Any:
            model = original(*args, **kwargs)
            _calling.set(False)  # a turn begins, perhaps inside the call of another agent's model
            agent = args[0] if args else kwargs.get("agent")
            _agent.set(getattr(agent, "name", None))
            if state.attached:  # looked at each time: what somebody else put in a method's place takes ours away with it
                state.models_are_wrapped = True  # not when it is wrapped: a wrapper that another library holds is used again
                with lock:
                    _wrap_model_class(type(model), patches)
            return model

        return get_model

    return wrap


def _wrap_model_class(model: type[Any], patches: Patches) -> None:
    for method, wrap in (("get_response", _wrap_get_response), ("stream_response", _wrap_stream_response)):
        owner = next((owner for owner in model.__mro__ if method in owner.__dict__), None)
        if owner is None or hasattr(owner.__dict__[method], "__prompt_registry__"):
            continue  # an object that passes calls on to a model without being one has no methods to wrap
        with suppress(AttributeError, TypeError):  # a class that cannot be changed
            patches.replace(owner, method, wrap)


def _wrap_get_response(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(original)
    async def get_response(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not state.attached or _calling.get():
            return await original(self, *args, **kwargs)
        call = serve_call(args, kwargs, _agent.get())
        args, kwargs = call.args, call.kwargs
        recorder = current_recorder()
        if recorder is None:
            return await original(self, *args, **kwargs)
        with _record_call(recorder, self, call) as span_id:
            with inside(span_id), adapter.set_flag(_calling):
                response = await original(self, *args, **kwargs)
            recorder.finish(span_id, attributes=_answer_attributes(response))
            return response

    get_response.__prompt_registry__ = True  # type: ignore[attr-defined]
    return get_response


def _wrap_stream_response(original: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    async def stream_and_record(recorder: Recorder, call: ServedCall, self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        with _record_call(recorder, self, call) as span_id:
            with inside(span_id), adapter.set_flag(_calling):
                events = original(self, *args, **kwargs)
            try:
                while True:
                    with inside(span_id), adapter.set_flag(_calling):  # not while the event is used
                        event = await anext(events)
                    response = getattr(event, "response", None)
                    if getattr(event, "type", "") in ("response.completed", "response.incomplete") and response is not None:
                        recorder.finish(span_id, attributes=_answer_attributes(response))
                    yield event
            except StopAsyncIteration:
                return
            finally:
                if hasattr(events, "aclose"):
                    await events.aclose()

    @wraps(original)
    def stream_response(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        if not state.attached or _calling.get():
            return original(self, *args, **kwargs)
        call = serve_call(args, kwargs, _agent.get())
        args, kwargs = call.args, call.kwargs
        recorder = current_recorder()
        return original(self, *args, **kwargs) if recorder is None else stream_and_record(recorder, call, self, *args, **kwargs)

    stream_response.__prompt_registry__ = True  # type: ignore[attr-defined]
    return stream_response


@contextmanager
def _record_call(recorder: Recorder, model: Any, call: ServedCall) -> Iterator[str]:
    messages = messages_of(call.given.get("input"))
    keep_inputs(recorder, messages)
    if call.given.get("system_instructions"):
        messages.insert(0, {"role": "system", "content": call.given["system_instructions"]})
    name = str(getattr(model, "model", None) or type(model).__name__)
    span_id = recorder.start_model(name, messages, descriptions=call.descriptions, place=call.place)
    try:
        yield span_id
    except BaseException as error:
        recorder.finish(
            span_id, error=None if isinstance(error, GeneratorExit) else error
        )  # or whoever used the events had enough
        raise
    recorder.finish(span_id)


def _answer_attributes(response: Any) -> dict[str, Any]:
    calls = tool_calls_of(response.output)
    return {"output": item_text(response.output), **tokens_of(response.usage), **({"tool_calls": calls} if calls else {})}
