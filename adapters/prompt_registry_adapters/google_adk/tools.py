"""Spans of tools, from the callbacks that ADK's plugins get. Plugins of the user see and change everything as before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from typing import Any

from prompt_registry_adapters.google_adk import runs
from prompt_registry_plugin.prompts.context import Recorder, current_recorder
from prompt_registry_plugin.tracing.recorder import inside

_CALLBACKS = ("before_tool_callback", "after_tool_callback", "on_tool_error_callback")


def wrap_run_callbacks(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Begin the span of a tool before the plugins are asked, and end it after they were."""

    @wraps(original)
    async def _run_callbacks(self: Any, callback_name: str, **kwargs: Any) -> Any:
        recorder = current_recorder() if runs.state.attached and callback_name in _CALLBACKS else None
        if recorder is None:
            return await original(self, callback_name, **kwargs)
        if callback_name == "before_tool_callback":
            _begin(recorder, kwargs)
            return await original(self, callback_name, **kwargs)
        changed = await original(self, callback_name, **kwargs)
        if changed is not None:
            _end(recorder, changed, None)
        else:
            _end(recorder, kwargs.get("result"), kwargs.get("error"))
        return changed

    return _run_callbacks


# A tool runs in one task from its first callback to its last; several tools at once have a task each.
_running: ContextVar[tuple[str, inside] | None] = ContextVar("prompt_registry_adk_tool", default=None)


def _begin(recorder: Recorder, given: Mapping[str, Any]) -> None:
    span_id = recorder.start("tool", given["tool"].name, attributes={"inputs": dict(given["tool_args"])})
    if (run := runs.current_run()) is not None:
        run.open_tools.append(span_id)
    block = inside(span_id)
    block.__enter__()
    _running.set((span_id, block))


def _end(recorder: Recorder, result: Any, error: BaseException | None) -> None:
    running = _running.get()
    if running is None:
        return  # it was ended by the callback for its error
    _running.set(None)
    span_id, block = running
    recorder.finish(span_id, attributes={} if result is None else {"outputs": result}, error=error)
    block.__exit__()
    if (run := runs.current_run()) is not None and span_id in run.open_tools:
        run.open_tools.remove(span_id)
