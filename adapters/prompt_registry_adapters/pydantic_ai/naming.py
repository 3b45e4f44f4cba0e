"""What an agent is called: by its name, or if it has none, by the module and variable that it is bound to.

Pydantic AI names an agent without a name after the variable of whoever runs it first, which differs from program to program.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from weakref import WeakValueDictionary

from prompt_registry_plugin.tracing.call_site import bound_name

_unnamed: WeakValueDictionary[int, Any] = WeakValueDictionary()  # agents whose names were inferred, by id: they have no hash
_bound: dict[int, str] = {}  # the names of these


def wrap_infer_name(original: Callable[..., None]) -> Callable[..., None]:
    """Remember that an agent has no name that was given to it."""

    @wraps(original)
    def _infer_name(self: Any, function_frame: Any) -> None:
        _unnamed[id(self)] = self
        _bound.pop(id(self), None)
        original(self, function_frame)

    return _infer_name


def agent_name(agent: Any) -> str:
    """Return the agent's name, or `module.variable` for one that was given none."""
    name = getattr(agent, "name", None)
    if agent is None or (name and _unnamed.get(id(agent)) is not agent):
        return str(name or "agent")
    if (bound := _bound.get(id(agent))) is None:
        bound = bound_name(agent) or str(name or "agent")
        if id(agent) in _unnamed:
            _bound[id(agent)] = bound
    return bound
