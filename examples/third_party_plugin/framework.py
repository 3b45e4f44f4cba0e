"""A tiny agent framework that knows nothing of prompt registries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class TinyAgent:
    """Instructions and a model: a function of the system text and what the user says."""

    name: str
    instructions: str
    model: Callable[[str, str], str]

    def system_text(self) -> str:
        """The one place where the instructions are read."""
        return self.instructions

    def ask(self, text: str) -> str:
        """The model's answer."""
        return self.model(self.system_text(), text)
