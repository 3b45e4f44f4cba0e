"""Switching the adapter on and off: where agents and tasks make their texts, where they run, and the models that they call.

CrewAI has official events and hooks, but none of them sees a template: `kickoff` fills the texts in place, and hooks get finished
messages. Handlers of events run later, in a pool, so spans are begun in the methods themselves.
"""

from __future__ import annotations

from collections.abc import Iterable

from prompt_registry_plugin.frameworks.adapter import Framework, FrameworkAdapter, Seam


class CrewAIAdapter(FrameworkAdapter):
    """Serves adopted texts of agents and tasks from the registry, and records crews."""

    name = "crewai"
    framework = Framework("CrewAI", "crewai", "crewai", "crewai", lowest="1.14.7", below="2", waits_for="crewai.crew")

    def attach(self) -> None:
        """Switch the wrappers on: nothing official sees a template."""
        from prompt_registry_adapters.crewai import runs

        runs.state.attached = True

    def detach(self) -> None:
        """Make wrappers that could not be taken away do nothing."""
        from prompt_registry_adapters.crewai import runs

        runs.state.attached = False

    def seams(self) -> Iterable[Seam]:
        """Return where texts are filled and put together, and where crews, agents, tools and models run."""
        from prompt_registry_adapters.crewai import models, runs, texts, tools

        return (*texts.seams(), *runs.seams(), *tools.seams(), *models.seams(self._patches))
