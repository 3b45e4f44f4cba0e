"""Calls that go through another transport. They are not recorded, and a recording says so where it was asked for one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from prompt_registry_plugin.prompts.context import current_recorder
from prompt_registry_plugin.tracing.call_site import caller_place
from prompt_registry_plugin.tracing.slots import place_name


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A method that begins such a call. It is looked for when its module is imported."""

    module: str
    owner: str
    method: str
    title: str
    """What it is called in the documentation of the client."""


def wrap_unrecorded(original: Callable[..., Any], title: str) -> Callable[..., Any]:
    """Return the method, which leaves a note in the recording."""
    if inspect.iscoroutinefunction(original):

        @wraps(original)
        async def noting_async(*args: Any, **kwargs: Any) -> Any:
            _note(title)
            return await original(*args, **kwargs)

        return noting_async

    @wraps(original)
    def noting(*args: Any, **kwargs: Any) -> Any:
        _note(title)
        return original(*args, **kwargs)

    return noting


def _note(title: str) -> None:
    recorder = current_recorder()
    if recorder is not None:
        reason = f"calls of {title} are not recorded: they use another transport"
        span_id = recorder.start("chain", title, attributes={"unrecorded": reason, "place": place_name(caller_place())})
        recorder.finish(span_id)
