"""Model calls, wrapped in the class of each model: a span that holds what was really sent, and texts of the code that stand in messages.

CrewAI's events tell of a model call later and from a pool, and a model class of the user's own need not send any.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from threading import Lock
from typing import Any

from prompt_registry_adapters.crewai import runs
from prompt_registry_adapters.crewai.calls import ServedCall, serve_call
from prompt_registry_plugin.frameworks import adapter
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.prompts.context import Recorder, current_recorder
from prompt_registry_plugin.tracing.recorder import inside

# A model may pass a call on to another one, or to the class that it extends: the outermost is the one that counts.
_calling: ContextVar[bool] = ContextVar("prompt_registry_crewai_calling", default=False)
_usage: ContextVar[dict[str, int] | None] = ContextVar("prompt_registry_crewai_usage", default=None)


def seams(patches: adapter.Patches) -> Iterable[adapter.Seam]:
    """Return where models tell their tokens, and wrap the classes of models; those that come later before a crew or an agent runs."""
    from crewai.llms.base_llm import BaseLLM

    lock = Lock()

    def wrap_all() -> None:
        with lock:
            for model in _subclasses(BaseLLM):
                _wrap_class(model, patches)

    wrap_all()
    runs.state.before_run = wrap_all
    found: list[adapter.Seam] = []
    if "_emit_call_completed_event" in BaseLLM.__dict__:
        found.append((BaseLLM, "_emit_call_completed_event", _wrap_completed))
    if "__init_subclass__" in BaseLLM.__dict__:
        found.append((BaseLLM, "__init_subclass__", lambda original: _wrap_init_subclass(original, wrap_all)))
    return found


def _subclasses(model: type[Any]) -> Iterator[type[Any]]:
    for each in model.__subclasses__():
        yield each
        yield from _subclasses(each)


def _wrap_class(model: type[Any], patches: adapter.Patches) -> None:
    for method, wrap in (("call", _wrap_call), ("acall", _wrap_acall)):
        if method in model.__dict__ and not hasattr(model.__dict__[method], "__prompt_registry__"):
            with suppress(AttributeError, TypeError):  # a class that cannot be changed
                patches.replace(model, method, wrap)


def _wrap_call(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def call(self: Any, messages: Any, *args: Any, **kwargs: Any) -> Any:
        if not runs.state.attached or _calling.get() or not framework_prompts.is_active():
            return original(self, messages, *args, **kwargs)
        served = serve_call(messages, args, kwargs)
        recorder = current_recorder()
        if recorder is None:
            with adapter.set_flag(_calling):
                return original(self, served.messages, *served.args, **served.kwargs)
        with _record(recorder, self, served) as end:
            answer = original(self, served.messages, *served.args, **served.kwargs)
            end(answer)
        return answer

    call.__prompt_registry__ = True  # type: ignore[attr-defined]
    return call


def _wrap_acall(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(original)
    async def acall(self: Any, messages: Any, *args: Any, **kwargs: Any) -> Any:
        if not runs.state.attached or _calling.get() or not framework_prompts.is_active():
            return await original(self, messages, *args, **kwargs)
        served = serve_call(messages, args, kwargs)
        recorder = current_recorder()
        if recorder is None:
            with adapter.set_flag(_calling):
                return await original(self, served.messages, *served.args, **served.kwargs)
        with _record(recorder, self, served) as end:
            answer = await original(self, served.messages, *served.args, **served.kwargs)
            end(answer)
        return answer

    acall.__prompt_registry__ = True  # type: ignore[attr-defined]
    return acall


@contextmanager
def _record(recorder: Recorder, model: Any, call: ServedCall) -> Iterator[Callable[[Any], None]]:
    span_id = recorder.start_model(str(model.model), call.shown, descriptions=call.descriptions, place=call.place)
    usage: dict[str, int] = {}
    token = _usage.set(usage)
    try:
        with inside(span_id), adapter.set_flag(_calling):
            yield lambda answer: recorder.finish(span_id, attributes={**_readable(answer), **usage})
    except BaseException as error:
        recorder.finish(span_id, error=error)
        raise
    finally:
        with suppress(ValueError):
            _usage.reset(token)


def _readable(answer: Any) -> dict[str, Any]:
    """Return the attributes of an answer, or none if an object of the user's own cannot be written as text: the agent goes on with it."""
    with suppress(Exception):
        return _answer(answer)
    return {}


def _answer(answer: Any) -> dict[str, Any]:
    """Return the attributes of an answer: a text, a model of pydantic, or the tool calls that the agent has to make."""
    if isinstance(answer, str):
        return {"output": answer}
    if isinstance(answer, list):
        functions = [
            getattr(call, "function", None) or (call.get("function") if isinstance(call, dict) else call) for call in answer
        ]
        calls = [{"name": _part(function, "name"), "args": _part(function, "arguments")} for function in functions]
        return {"output": "", "tool_calls": calls}
    dump = getattr(answer, "model_dump_json", None)
    return {"output": dump() if dump else str(answer)}


def _part(function: Any, name: str) -> Any:
    return function.get(name) if isinstance(function, dict) else getattr(function, name, None)


def _wrap_completed(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def _emit_call_completed_event(self: Any, *args: Any, **kwargs: Any) -> None:
        kept, told = _usage.get(), kwargs.get("usage")
        if kept is not None and isinstance(told, dict):
            for ours, names in _TOKENS.items():
                count = next((told[name] for name in names if isinstance(told.get(name), int)), 0)
                kept[ours] = kept.get(ours, 0) + count
        original(self, *args, **kwargs)

    return _emit_call_completed_event


_TOKENS = {
    "input_tokens": ("prompt_tokens", "input_tokens", "prompt_token_count"),
    "output_tokens": ("completion_tokens", "output_tokens", "candidates_token_count"),
}


def _wrap_init_subclass(original: Callable[..., None], wrap_all: Callable[[], None]) -> Callable[..., None]:
    """Wrap the classes of models that are defined later."""

    @wraps(original)
    def init_subclass(cls: type[Any], /, **kwargs: Any) -> None:
        original(cls, **kwargs)
        if runs.state.attached:
            wrap_all()

    return init_subclass
