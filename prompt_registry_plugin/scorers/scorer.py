"""From a function to a scorer, and from what it returns to a `Score`."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from prompt_registry_plugin.errors import InvalidScore, UserError
from prompt_registry_plugin.records import Feedback, Score
from prompt_registry_plugin.tracing import Trace

_ARGUMENTS = ("inputs", "outputs", "expectations", "trace")


class FunctionScorer:
    """A scorer made of a function; still callable like the function itself."""

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        parameters = inspect.signature(function).parameters.values()
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._takes = _ARGUMENTS if takes_all else tuple(p.name for p in parameters if p.name in _ARGUMENTS)
        unknown = [
            p.name
            for p in parameters
            if p.name not in _ARGUMENTS and p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        if unknown or not self._takes:
            wrong = f"; {unknown[0]!r} is none of them" if unknown else ""
            raise UserError(f"scorer {function.__name__!r} takes any of {', '.join(_ARGUMENTS)}{wrong}")
        self.name = name or function.__name__
        self.function = function
        self.__doc__ = function.__doc__

    async def __call__(self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace) -> Any:
        """What the function says; a plain function runs in a worker thread, as it may wait for a judge."""
        given = {"inputs": inputs, "outputs": outputs, "expectations": expectations, "trace": trace}
        arguments = {name: given[name] for name in self._takes}
        if inspect.iscoroutinefunction(self.function):
            return await self.function(**arguments)
        return await asyncio.to_thread(self.function, **arguments)

    def __repr__(self) -> str:
        return f"<scorer {self.name!r}>"


def scorer(function: Callable[..., Any]) -> FunctionScorer:
    """A decorator: the function takes any of `inputs`, `outputs`, `expectations` and `trace`.

    It returns a number, a bool, a `Score`, or a `Feedback`, whose items tell the optimizer what went wrong and in which
    prompt. It may be a coroutine function. Raises `UserError` for other parameters.
    """
    return FunctionScorer(function)


def to_score(value: Any, name: str) -> Score:
    """The `Score` that a scorer's return value stands for. Raises `InvalidScore` for anything but a finite number."""
    if isinstance(value, Feedback):
        return Score(_number(value.score, name), value.rationale, tuple(value.items), name)
    if isinstance(value, Score):
        return Score(_number(value.value, name), value.rationale, tuple(value.items), name)
    return Score(_number(value, name), name=name)


def _number(value: Any, name: str) -> float:
    try:
        number = float(value) if not isinstance(value, str | bytes) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidScore(f"scorer {name!r} returned {value!r}; it has to return a finite number, a bool, a Score or a Feedback")
    return number
