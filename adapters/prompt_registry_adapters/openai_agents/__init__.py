"""OpenAI Agents: instructions served, recorded and named; agents as targets."""

from __future__ import annotations

from prompt_registry_adapters.openai_agents.instructions import registry_instructions

__all__ = ["registry_instructions"]
