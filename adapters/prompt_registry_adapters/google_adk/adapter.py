"""Switching the adapter on and off: where agents give their instructions, where they run, and the callbacks of tools.

ADK's official place for this is a plugin, but each runner or app has to be given one. `PluginManager._run_callbacks` is the method that
calls them in every runner, also in one that is already built. A model's class is wrapped when an agent first takes it: that is the only
place after all callbacks of the user, so that a span holds the request that is really sent.
"""

from __future__ import annotations

from collections.abc import Iterable

from prompt_registry_plugin.frameworks.adapter import Framework, FrameworkAdapter, Seam


class GoogleADKAdapter(FrameworkAdapter):
    """Serves adopted instructions and descriptions from the registry, and records runs."""

    name = "google_adk"
    framework = Framework(
        "Google ADK",
        "google.adk",
        "google-adk",
        "google-adk",
        lowest="1.7",
        below="3",
        waits_for="google.adk.agents.llm_agent",
        also_imports=("google.genai",),
    )

    def attach(self) -> None:
        """Switch the wrappers on: no official hook reaches every runner."""
        from prompt_registry_adapters.google_adk import runs

        runs.state.attached = True

    def detach(self) -> None:
        """Make wrappers that could not be taken away do nothing."""
        from prompt_registry_adapters.google_adk import runs

        runs.state.attached = False

    def seams(self) -> Iterable[Seam]:
        """Return where instructions and models come from, and where agents and tools run."""
        from google.adk.agents.base_agent import BaseAgent
        from google.adk.agents.llm_agent import LlmAgent
        from google.adk.plugins.plugin_manager import PluginManager

        from prompt_registry_adapters.google_adk import instructions, models, runs, tools

        return (
            (LlmAgent, "canonical_instruction", instructions.wrap("instruction")),
            (LlmAgent, "canonical_global_instruction", instructions.wrap("global_instruction")),
            (LlmAgent, "canonical_model", models.wrap_canonical_model(self._patches)),
            (BaseAgent, "run_async", runs.wrap_run_async),
            (PluginManager, "_run_callbacks", tools.wrap_run_callbacks),
        )
