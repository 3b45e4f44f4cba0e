"""The simulated model as a `Model`, with configured latency and errors."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prompt_registry_plugin.errors import ModelUnavailable, UserError
from prompt_registry_plugin.models.offline.judge import judge
from prompt_registry_plugin.models.offline.reflection import reflect
from prompt_registry_plugin.models.offline.task import answer
from prompt_registry_plugin.models.offline.words import chance
from prompt_registry_plugin.models.settings import note_left_out
from prompt_registry_plugin.prompts.messages import content_of
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage

Role = Literal["task", "reflection", "judge"]


@dataclass(frozen=True, slots=True)
class OfflineSettings:
    """The settings of the simulated model."""

    seed: int = 0
    """Seed of its draws. The same seed and messages give the same answer."""
    latency: float = 0.0
    """Duration of a call, in seconds."""
    error_rate: float = 0.0
    """Share of calls that fail, between 0 and 1."""

    def __post_init__(self) -> None:
        if self.latency < 0 or not 0 <= self.error_rate <= 1:
            raise UserError(f"latency is at least 0 and error_rate between 0 and 1, not {self.latency} and {self.error_rate}")


class OfflineModel:
    """A simulated model. See `prompt_registry_plugin.models.offline` for its abilities and limits."""

    simulated = True

    def __init__(self, role: Role = "task", settings: OfflineSettings | None = None) -> None:
        self.role = role
        self.settings = settings or OfflineSettings()
        self.name = f"offline:{role}"
        self._calls = itertools.count()

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
        """Return the simulated answer. Raises `ModelUnavailable` for the configured share of calls."""
        note_left_out(self.name, sorted(params), "is simulated and has no settings")
        settings, call = self.settings, next(self._calls)
        if settings.latency:
            await asyncio.sleep(settings.latency)
        if chance(settings.seed, "error", call) < settings.error_rate:
            raise ModelUnavailable(f"{self.name} (simulated) failed on purpose: error_rate is {settings.error_rate:g}")
        return self.reply(messages)

    async def stream(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> AsyncIterator[str | Usage]:
        """Yield the simulated answer word by word, then the tokens."""
        reply = await self(messages, **params)
        for i, word in enumerate(reply.text.split(" ")):
            yield f" {word}" if i else word
        yield reply.usage

    def reply(self, messages: Sequence[Mapping[str, Any]]) -> Reply:
        """Return the answer at once, without latency and errors. It counts four characters as one token."""
        text = "\n\n".join(content_of(message) for message in messages)
        if self.role == "task":
            said = answer(messages, self.settings.seed)
        else:
            said = judge(text) if self.role == "judge" else reflect(text, self.settings.seed)
        return Reply(said, Usage(max(1, len(text) // 4), max(1, len(said) // 4), 1))

    async def check(self) -> None:
        """Do nothing: it is always reachable."""
