"""The adapter. Published, its distribution is called `prompt-registry-tiny` and says in its pyproject.toml:

[project.entry-points.prompt_registry_plugin]
tiny = "third_party_plugin.plugin"

Nothing here imports the framework before it is used: the plugin is loaded in programs that have no `TinyAgent`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin import hookimpl
from prompt_registry_plugin.frameworks.adapter import Framework, FrameworkAdapter, Seam
from prompt_registry_plugin.frameworks.prompts import serve_text, user_text
from prompt_registry_plugin.prompts.context import Place, current_recorder
from prompt_registry_plugin.protocols import Adapter, Target
from prompt_registry_plugin.tracing.recorder import span

if TYPE_CHECKING:
    from examples.third_party_plugin.framework import TinyAgent


class TinyAdapter(FrameworkAdapter):
    """Wraps the two methods through which every run of a `TinyAgent` goes."""

    name = "tiny"
    framework = Framework("Tiny", "examples.third_party_plugin.framework", "tiny-agents", lowest="1.0", below="2")

    def seams(self) -> Iterable[Seam]:
        """Return the methods to replace."""
        from examples.third_party_plugin.framework import TinyAgent

        return [(TinyAgent, "system_text", wrap_system_text), (TinyAgent, "ask", wrap_ask)]


def wrap_system_text(original: Callable[[TinyAgent], str]) -> Callable[[TinyAgent], str]:
    """Record or replace the instructions."""

    @wraps(original)
    def system_text(agent: TinyAgent) -> str:
        return serve_text(original(agent), "system", Place(node="instructions", graph=agent.name))

    return system_text


def wrap_ask(original: Callable[[TinyAgent, str], str]) -> Callable[[TinyAgent, str], str]:
    """Make spans of a run and of its one model call."""

    @wraps(original)
    def ask(agent: TinyAgent, text: str) -> str:
        recorder = current_recorder()
        if recorder is None:
            return original(agent, text)
        with span("agent", agent.name, {"inputs": text}):
            system = agent.system_text()
            messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
            place = Place(node="instructions", graph=agent.name)
            model = recorder.start_model("tiny-model", messages, place=place)
            answer = agent.model(system, text)
            recorder.finish(model, attributes={"output": answer})
            return answer

    return ask


class TinyTarget:
    """An agent as `predict_fn`."""

    def __init__(self, agent: TinyAgent) -> None:
        self._agent = agent
        self.name = agent.name

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """Return the agent's answer."""
        return self._agent.ask(user_text(inputs)[0] or "")

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Return why these inputs cannot be given to the agent, or None."""
        return None if user_text(inputs)[0] is not None else f"{self.name} needs a text"


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """Return the adapter."""
    return [TinyAdapter()]


@hookimpl
def prompt_registry_as_target(obj: Any) -> Target | None:
    """Return the target for a `TinyAgent`."""
    framework = sys.modules.get("examples.third_party_plugin.framework")  # nobody has an agent before this was imported
    return TinyTarget(obj) if framework is not None and isinstance(obj, framework.TinyAgent) else None
