"""Streamed runs: the SDK begins them in a task, which goes on after the block of a recording or an override."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from prompt_registry_plugin.tracing.streams import end_when_forgotten, hold


def wrap_run_streamed(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return `Runner.run_streamed`, whose task keeps what is open here until it ends."""

    @wraps(original)
    def run_streamed(*args: Any, **kwargs: Any) -> Any:
        held = hold()
        if held is None:
            return original(*args, **kwargs)
        task = None
        try:
            with held:
                held.open()
                result = original(*args, **kwargs)
            task = getattr(result, "run_loop_task", None)
            return result
        finally:
            if task is None:
                held.end()
            else:
                task.add_done_callback(lambda _: held.end())
                end_when_forgotten(task, held)

    return run_streamed
