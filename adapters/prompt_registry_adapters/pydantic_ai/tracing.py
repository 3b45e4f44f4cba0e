"""The wrapped methods: they record or replace the prompts of a request, and make spans of runs, requests and tool calls.

Containers of capabilities nest, and a run's agents may call other agents: the outermost container of one run is told from the
nested ones by the run's id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.prompts.context import Place, Recorder, current_recorder
from prompt_registry_plugin.tracing.recorder import span
from prompt_registry_plugin.uri import is_prompt_uri

_run: ContextVar[str | None] = ContextVar("prompt_registry_pydantic_run", default=None)
_request: ContextVar[str | None] = ContextVar("prompt_registry_pydantic_request", default=None)
_tool: ContextVar[str | None] = ContextVar("prompt_registry_pydantic_tool", default=None)


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
        with span("agent", _agent_name(ctx), {"inputs": _plain_prompt(ctx.prompt)}) as span_id:
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
        token = _request.set(key)
        try:
            request_context = await original(self, ctx, request_context)
        finally:
            _request.reset(token)
        request_context = _replace_prompts(ctx, request_context)
        recorder = current_recorder()
        if recorder is not None and not recorder.owns_key(key):
            name = getattr(request_context.model, "model_name", None) or type(request_context.model).__name__
            tools = {tool.name: tool.description or "" for tool in request_context.model_request_parameters.function_tools}
            recorder.start_model(str(name), _messages(request_context), tools=tools, key=key)
            _requests.setdefault(recorder, {})[ctx.run_id] = key
        return request_context

    return before_model_request


def wrap_after(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The answer ends the request's span."""

    @wraps(original)
    async def after_model_request(self: Any, ctx: Any, *, request_context: Any, response: ModelResponse) -> Any:
        recorder = current_recorder()
        if _is_on(self) and recorder is not None:
            calls = [{"name": part.tool_name, "args": part.args} for part in response.parts if isinstance(part, ToolCallPart)]
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


def _replace_prompts(ctx: Any, request_context: Any) -> Any:
    """Return the request with its literal instructions and system prompts as the registry has them. User messages never change."""
    parameters = request_context.model_request_parameters
    parts = parameters.instruction_parts or []
    # System prompts stand in the first request of a conversation; in a history that was handed in they belong to another run.
    own = [
        i for i, message in enumerate(request_context.messages)
        if isinstance(message, ModelRequest) and message.run_id == ctx.run_id
        and any(isinstance(part, SystemPromptPart) and part.dynamic_ref is None for part in message.parts)
    ]  # fmt: skip
    tools = [_describe_tool(tool, ctx.deps) for tool in parameters.function_tools]
    if any(now is not tool for now, tool in zip(tools, parameters.function_tools, strict=True)):
        parameters = replace(parameters, function_tools=tools)
        request_context = replace(request_context, model_request_parameters=parameters)
    texts = [part.content for part in parts if not part.dynamic]
    texts += [part.content for i in own for part in request_context.messages[i].parts if isinstance(part, SystemPromptPart)]
    if not texts or not (any(map(is_prompt_uri, texts)) or framework_prompts.is_active()):
        return request_context
    agent = _agent_name(ctx)

    def replacement(text: str, node: str) -> str:
        return framework_prompts.text_here(text, ctx.deps, Place(node=node, graph=agent))

    new_parts = [part if part.dynamic else replace(part, content=replacement(part.content, "instructions")) for part in parts]
    for i in own:
        # In the message itself, so that the conversation's history holds what was sent and later turns send the same.
        request_context.messages[i].parts = [
            _replace_system_prompt(part, replacement) for part in request_context.messages[i].parts
        ]
    if new_parts == parts:
        return request_context
    return replace(request_context, model_request_parameters=replace(parameters, instruction_parts=new_parts))


def _describe_tool(tool: Any, context: object) -> Any:
    text = framework_prompts.description_here(tool.description, context)
    return tool if text is tool.description else replace(tool, description=text)


def _replace_system_prompt(part: Any, replacement: Callable[[str, str], str]) -> Any:
    if not isinstance(part, SystemPromptPart) or part.dynamic_ref is not None:
        return part
    return replace(part, content=replacement(part.content, "system"))


def _agent_name(ctx: Any) -> str:
    return str(getattr(ctx.agent, "name", None) or "agent")


def _messages(request_context: Any) -> list[Mapping[str, Any]]:
    """The messages as the model gets them, in the words of the chat protocol."""
    found: list[Mapping[str, Any]] = [
        {"role": "system", "content": part.content} for part in request_context.model_request_parameters.instruction_parts or []
    ]
    for message in request_context.messages:
        for part in message.parts:
            if isinstance(part, SystemPromptPart):
                found.append({"role": "system", "content": part.content})
            elif isinstance(part, UserPromptPart):
                found.append({"role": "user", "content": _plain_prompt(part.content)})
            elif isinstance(part, ToolReturnPart):
                found.append({"role": "tool", "content": str(part.content)})
            elif isinstance(part, TextPart):
                found.append({"role": "assistant", "content": part.content})
    return found


def _plain_prompt(prompt: Any) -> str:
    if prompt is None or isinstance(prompt, str):
        return prompt or ""
    return " ".join(part if isinstance(part, str) else f"<{type(part).__name__}>" for part in prompt)
