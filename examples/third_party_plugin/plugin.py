"""The adapter. Published, its distribution is called `prompt-registry-tiny` and says in its pyproject.toml:

[project.entry-points.prompt_registry_plugin]
tiny = "third_party_plugin.plugin"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from examples.third_party_plugin.framework import TinyAgent
from prompt_registry_plugin import hookimpl
from prompt_registry_plugin.frameworks.prompts import serve_text, user_text
from prompt_registry_plugin.prompts.context import Place, current_recorder
from prompt_registry_plugin.protocols import Adapter, Target
from prompt_registry_plugin.tracing.recorder import span


class TinyAdapter:
    """Wraps the two methods through which every run of a `TinyAgent` goes."""

    name = "tiny"
    requires: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._originals: tuple[Any, Any] | None = None

    def enable(self) -> None:
        """Attaches; does nothing when attached."""
        if self._originals is None:
            self._originals = TinyAgent.system_text, TinyAgent.ask
            system_text = TinyAgent.system_text

            def our_system_text(agent: TinyAgent) -> str:
                return serve_text(system_text(agent), "system", Place(node="instructions", graph=agent.name))

            def our_ask(agent: TinyAgent, text: str) -> str:
                with span("agent", agent.name, {"inputs": text}):
                    recorder = current_recorder()
                    place = Place(node="instructions", graph=agent.name)
                    system = agent.system_text()
                    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
                    model = recorder.start_model("tiny-model", messages, place=place) if recorder else None
                    answer = agent.model(system, text)
                    if recorder:
                        recorder.finish(model, attributes={"output": answer})
                    return answer

            TinyAgent.system_text, TinyAgent.ask = our_system_text, our_ask  # type: ignore[method-assign]

    def disable(self) -> None:
        """Restores both methods."""
        if self._originals is not None:
            TinyAgent.system_text, TinyAgent.ask = self._originals  # type: ignore[method-assign]
            self._originals = None


class TinyTarget:
    """An agent as `predict_fn`."""

    def __init__(self, agent: TinyAgent) -> None:
        self._agent = agent
        self.name = agent.name

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The agent's answer."""
        return self._agent.ask(user_text(inputs)[0] or "")

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Why these inputs cannot be given to the agent, or None."""
        return None if user_text(inputs)[0] is not None else f"{self.name} needs a text"


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """The adapter."""
    return [TinyAdapter()]


@hookimpl
def prompt_registry_as_target(obj: Any) -> Target | None:
    """A `TinyAgent` is a target."""
    return TinyTarget(obj) if isinstance(obj, TinyAgent) else None
