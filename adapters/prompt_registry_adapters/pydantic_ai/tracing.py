"""The wrapped methods: they record or replace the prompts of a request, and make spans of runs, requests and tool calls.

Containers of capabilities nest, and a run's agents may call other agents: the outermost container of one run is told from the
nested ones by the run's id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

from pydantic_ai.messages import BaseToolCallPart, ModelResponse, TextPart, ToolCallPart

from prompt_registry_adapters.pydantic_ai.requests import RequestTexts, names_prompts, plain_prompt, system_prompts
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.prompts.context import Recorder, current_recorder
from prompt_registry_plugin.tracing.recorder import span

_run: ContextVar[str | None] = ContextVar("prompt_registry_pydantic_run", default=None)
_request: ContextVar[str | None] = ContextVar("prompt_registry_pydantic_request", default=None)
_tool: ContextVar[str | None] = ContextVar("prompt_registry_pydantic_tool", default=None)


_added: dict[
    str, list[Any]
] = {}  # system prompts that were put into a history, by the run; a later request of the run has them too
_MAX_RUNS = 1_000

_requests: WeakKeyDictionary[Recorder, dict[str, str]] = WeakKeyDictionary()  # the newest request of each run, by recording


class _State:
    attached = False


state = _State()  # a wrapper that another library wrapped after us cannot be taken away; it falls silent by this


def wrap_run(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A run becomes a span."""

    @wraps(original)
    async def run(self: Any, ctx: Any, *, handler: Callable[[], Awaitable[Any]]) -> Any:
        if not _is_on(self) or current_recorder() is None or _run.get() == ctx.run_id:
            return await original(self, ctx, handler=handler)
        _run.set(ctx.run_id)  # never reset: another run has another id, and a streamed one may end in another context
        with span("agent", _span_name(ctx), {"inputs": plain_prompt(ctx.prompt)}) as span_id:
            recorder = current_recorder()
            try:
                result = await original(self, ctx, handler=handler)
            except BaseException as error:
                if recorder is not None:  # a request that failed is told of nowhere else
                    recorder.finish(recorder.span_id(_requests.get(recorder, {}).get(ctx.run_id)), error=error)
                raise
            if recorder is not None:
                recorder.finish(span_id, attributes={"outputs": getattr(result, "output", None)})
            return result

    return run


def wrap_before(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Record or replace the prompts of a request, and start its span."""

    @wraps(original)
    async def before_model_request(self: Any, ctx: Any, request_context: Any) -> Any:
        key = f"{ctx.run_id}:{ctx.run_step}"
        if not _is_on(self) or _request.get() == key:
            return await original(self, ctx, request_context)
        known = system_prompts(request_context.messages) if framework_prompts.is_active() else None
        token = _request.set(key)
        try:
            request_context = await original(self, ctx, request_context)
        finally:
            _request.reset(token)
        request_context, texts = _serve_request(ctx, request_context, known)
        recorder = current_recorder()
        if recorder is not None and texts is not None and not recorder.owns_key(key):
            name = getattr(request_context.model, "model_name", None) or type(request_context.model).__name__
            sent = texts.descriptions.sent
            recorder.start_model(str(name), texts.messages(), descriptions=sent, place=texts.place, key=key)
            _requests.setdefault(recorder, {})[ctx.run_id] = key
        return request_context

    return before_model_request


def wrap_after(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The answer ends the request's span."""

    @wraps(original)
    async def after_model_request(self: Any, ctx: Any, *, request_context: Any, response: ModelResponse) -> Any:
        recorder = current_recorder()
        if _is_on(self) and recorder is not None:
            calls = [{"name": part.tool_name, "args": part.args} for part in response.parts if isinstance(part, BaseToolCallPart)]
            usage = response.usage
            recorder.finish(
                recorder.span_id(f"{ctx.run_id}:{ctx.run_step}"),
                attributes={
                    "output": "".join(part.content for part in response.parts if isinstance(part, TextPart)),
                    "input_tokens": usage.input_tokens,
                    "output_tokens": usage.output_tokens,
                    **({"tool_calls": calls} if calls else {}),
                },
            )
        return await original(self, ctx, request_context=request_context, response=response)

    return after_model_request


def wrap_tool(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A tool call becomes a span."""

    @wraps(original)
    async def wrap_tool_execute(self: Any, ctx: Any, *, call: ToolCallPart, args: Any, **rest: Any) -> Any:
        key = f"{ctx.run_id}:{call.tool_call_id}"
        if not _is_on(self) or current_recorder() is None or _tool.get() == key:
            return await original(self, ctx, call=call, args=args, **rest)
        token = _tool.set(key)
        try:
            with span("tool", call.tool_name, {"inputs": args}) as span_id:
                result = await original(self, ctx, call=call, args=args, **rest)
                recorder = current_recorder()
                if recorder is not None:
                    recorder.finish(span_id, attributes={"outputs": result})
                return result
        finally:
            _tool.reset(token)

    return wrap_tool_execute


WRAPPED: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("wrap_run", wrap_run),
    ("before_model_request", wrap_before),
    ("after_model_request", wrap_after),
    ("wrap_tool_execute", wrap_tool),
)


def _is_on(capability: Any) -> bool:
    return state.attached or getattr(capability, "is_registrys", False)


def _span_name(ctx: Any) -> str:
    return str(getattr(ctx.agent, "name", None) or "agent")


def _serve_request(ctx: Any, request_context: Any, known: Sequence[Any] | None) -> tuple[Any, RequestTexts | None]:
    """Return the request with the texts of the registry, and these texts if they were looked at. `known` were in the history before."""
    if known is None and not names_prompts(ctx, request_context):
        return request_context, None
    added = _added.get(ctx.run_id, [])
    if known is not None:
        added += [part for part in system_prompts(request_context.messages) if not any(part is old for old in known)]
        if added and ctx.run_id not in _added:
            _added[ctx.run_id] = added
            if len(_added) > _MAX_RUNS:
                del _added[next(iter(_added))]
    texts = RequestTexts(ctx, request_context, added)
    texts.serve()
    return texts.context, texts
