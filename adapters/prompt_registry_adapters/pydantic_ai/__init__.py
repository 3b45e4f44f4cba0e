"""Pydantic AI: instructions and system prompts served, recorded and named; agents as targets."""

from __future__ import annotations

from prompt_registry_adapters.pydantic_ai.instructions import registry_instructions

__all__ = ["registry_instructions"]
