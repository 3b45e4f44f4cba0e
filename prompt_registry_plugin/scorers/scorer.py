"""Make a scorer from a function, and a `Score` from its result."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from prompt_registry_plugin.concurrency import call
from prompt_registry_plugin.errors import InvalidScore, UserError
from prompt_registry_plugin.records import Feedback, Item, Score
from prompt_registry_plugin.tracing.trace import Trace

_ARGUMENTS = ("inputs", "outputs", "expectations", "trace")


class FunctionScorer:
    """A scorer made from a function. `function` is the original."""

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        said = getattr(function, "__name__", type(function).__name__)
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as error:
            raise UserError(f"{function!r} is no scorer: a function of any of {', '.join(_ARGUMENTS)} is wanted") from error
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._takes = _ARGUMENTS if takes_all else tuple(p.name for p in parameters if p.name in _ARGUMENTS)
        unknown = [
            p.name
            for p in parameters
            if p.name not in _ARGUMENTS and p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        if unknown or not self._takes:
            wrong = f"; {unknown[0]!r} is none of them" if unknown else ""
            raise UserError(f"scorer {said!r} takes any of {', '.join(_ARGUMENTS)}{wrong}")
        self.takes_trace = "trace" in self._takes
        self.name = name or said
        self.function = function
        self.__doc__ = function.__doc__

    async def __call__(self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace) -> Any:
        """Return the function's result. A sync function runs in a worker thread, because it may wait for a judge."""
        given = {"inputs": inputs, "outputs": outputs, "expectations": expectations, "trace": trace}
        return await call(self.function, **{name: given[name] for name in self._takes})

    def __repr__(self) -> str:
        return f"<scorer {self.name!r}>"


def scorer(function: Callable[..., Any]) -> FunctionScorer:
    """Decorate a function of any of `inputs`, `outputs`, `expectations` and `trace`, so that it is a scorer.

    It returns a number, a bool, a `Score` or a `Feedback`. Items of a `Feedback` tell the optimizer what went wrong and in which
    prompt. It may be a coroutine function. Raises `UserError` for other parameters.
    """
    return FunctionScorer(function)


class NoScore(InvalidScore):
    """A scorer that returned NaN: it says of this answer that it has no score."""


def to_score(value: Any, name: str) -> Score:
    """Return the `Score` for a scorer's result. Raises `InvalidScore` for anything but a finite number, and `NoScore` for NaN."""
    if isinstance(value, Feedback | Score):
        number = value.score if isinstance(value, Feedback) else value.value
        if wrong := [item for item in value.items if not isinstance(item, Item)]:
            raise InvalidScore(f"scorer {name!r} returned feedback with the item {wrong[0]!r}; items are Item(text, ok)")
        return Score(_finite_number(number, name), value.rationale, tuple(value.items), name)
    return Score(_finite_number(value, name), name=name)


def _finite_number(value: Any, name: str) -> float:
    try:
        number = float(value) if not isinstance(value, str | bytes) else math.inf
    except (TypeError, ValueError):
        number = math.inf
    if math.isnan(number):
        raise NoScore(f"scorer {name!r} returned NaN, which is no score")
    if not math.isfinite(number):
        raise InvalidScore(f"scorer {name!r} returned {value!r}; it has to return a finite number, a bool, a Score or a Feedback")
    return number
