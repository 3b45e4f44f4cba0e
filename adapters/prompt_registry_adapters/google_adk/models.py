"""Model calls, wrapped in the class of each model that an agent takes: a span that holds what was really sent.

Any class can be a model, so each is wrapped when an agent first takes one. All callbacks of the user have run by then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from threading import Lock
from typing import Any

from prompt_registry_adapters.google_adk import runs
from prompt_registry_adapters.google_adk.requests import ServedRequest, names_prompts, serve_request
from prompt_registry_plugin.frameworks import adapter
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.prompts.context import Recorder, current_recorder
from prompt_registry_plugin.tracing.recorder import inside

# A model may pass a call on to another one, or to the class that it extends: the outermost is the one that counts.
_calling: ContextVar[bool] = ContextVar("prompt_registry_adk_calling", default=False)
_METHOD = "generate_content_async"


def wrap_canonical_model(patches: adapter.Patches) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Wrap the class of every model that an agent takes."""
    lock = Lock()

    def wrap(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @wraps(original)
        def canonical_model(self: Any) -> Any:
            model = original(self)
            if runs.state.attached:  # looked at each time: what somebody else put in a method's place takes ours away with it
                with lock:
                    _wrap_class(type(model), patches)
            return model

        return canonical_model

    return wrap


def _wrap_class(model: type[Any], patches: adapter.Patches) -> None:
    owner = next((owner for owner in model.__mro__ if _METHOD in owner.__dict__), None)
    if owner is not None and not hasattr(owner.__dict__[_METHOD], "__prompt_registry__"):
        with suppress(AttributeError, TypeError):  # a class that cannot be changed
            patches.replace(owner, _METHOD, _wrap_generate)


def _wrap_generate(original: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    @wraps(original)
    def generate_content_async(self: Any, llm_request: Any, stream: bool = False) -> AsyncIterator[Any]:
        if not runs.state.attached or _calling.get():
            return original(self, llm_request, stream)
        if not (framework_prompts.is_active() or names_prompts(llm_request)):
            return original(self, llm_request, stream)
        call = serve_request(llm_request, runs.current_run())
        recorder = current_recorder()
        responses = original(self, call.request, stream)
        return responses if recorder is None else _record(recorder, self, call, responses)

    generate_content_async.__prompt_registry__ = True  # type: ignore[attr-defined]
    return generate_content_async


async def _record(recorder: Recorder, model: Any, call: ServedRequest, responses: Any) -> AsyncIterator[Any]:
    name = str(call.request.model or getattr(model, "model", None) or type(model).__name__)
    span_id = recorder.start_model(name, call.messages, descriptions=call.descriptions, place=call.place)
    answer, error = _Answer(), None
    try:
        while True:
            with inside(span_id), adapter.set_flag(_calling):  # not while the response is used
                response = await anext(responses, None)
            if response is None:
                break
            answer.add(response)
            yield response
    except GeneratorExit:
        raise  # whoever used the responses had enough
    except BaseException as failure:
        error = failure
        raise
    finally:
        recorder.finish(span_id, attributes=answer.attributes(), error=error or answer.error)
        if hasattr(responses, "aclose"):
            await responses.aclose()


class _Answer:
    """What a model answered. A stream gives parts first, and the whole at its end."""

    def __init__(self) -> None:
        self.error: RuntimeError | None = None
        self._whole: list[str] = []
        self._parts: list[str] = []
        self._tool_calls: list[dict[str, Any]] = []
        self._tokens: dict[str, int] = {}

    def add(self, response: Any) -> None:
        """Add what a response holds."""
        content = getattr(response, "content", None)
        is_part = bool(getattr(response, "partial", None))
        (self._parts if is_part else self._whole).append(runs.message_text(content))
        if not is_part:
            for part in getattr(content, "parts", None) or ():
                if part.function_call is not None:
                    self._tool_calls.append({"name": part.function_call.name, "args": part.function_call.args or {}})
        usage = getattr(response, "usage_metadata", None)
        if usage is not None:
            thoughts = getattr(usage, "thoughts_token_count", None) or 0
            self._tokens = {
                "input_tokens": usage.prompt_token_count or 0,
                "output_tokens": (usage.candidates_token_count or 0) + thoughts,
            }
        code = getattr(response, "error_code", None)
        if code and content is None:
            self.error = RuntimeError(f"{code}: {getattr(response, 'error_message', None) or 'the model gave no answer'}")

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the span."""
        output = "".join(self._whole) or "".join(self._parts)
        return {"output": output, **self._tokens, **({"tool_calls": self._tool_calls} if self._tool_calls else {})}
