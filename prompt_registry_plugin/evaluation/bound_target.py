"""A target with typed dependencies: how an agent is called where a row does not say it all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.frameworks.calls import CallSettings


@dataclass(frozen=True, slots=True)
class BoundTarget:
    """An agent, with what its calls get besides the row. `target` makes one."""

    agent: Any
    """The function, chain, graph or agent, or its name."""
    settings: CallSettings
    """What its calls get."""


def target(agent: Any, *, deps: Any = None, context: Any = None, input: Any = None, config: Any = None) -> BoundTarget:
    """Return `agent` as a `predict_fn` with dependencies, another input, or a framework's configuration.

    `agent` is a function, a framework's object, or a string such as `"app.agents:support"` or `"agent.py:support"`.

    `deps` are the dependencies of Pydantic AI, the context of OpenAI Agents and LangGraph, or the parameter `deps` or `context` of a
    function. `context` is another name for it. It is one of these:

    - an object, which all rows share
    - a type with named fields, which is built from the row's values of these names
    - a factory: a function that is called for each row with the row's values, by the names of its parameters, or with the whole row if it
      has one other parameter. It may be async. A generator yields the dependencies once, and closes them when the row is done.

    Without `deps`, the type that the agent declares is built from the row. `input` is the name of the row's value that is the user's
    input, or a function of the row that returns the input. `config` is the `config` of a Runnable or graph, or a function of the row.

    Raises `UserError` if both `deps` and `context` are given. The other arguments are checked before anything is run.
    """
    if deps is not None and context is not None:
        raise UserError("deps and context are two names for one thing; pass one of them to target(…).")
    return BoundTarget(agent, CallSettings(context if deps is None else deps, input, config))
