"""The simulated model behind the `Model` protocol, with latency and errors as configured."""

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
from prompt_registry_plugin.prompts.messages import content_of
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage

Role = Literal["task", "reflection", "judge"]


@dataclass(frozen=True, slots=True)
class OfflineSettings:
    """How the simulated model behaves: its seed, the seconds that a call takes, and the share of calls that fail."""

    seed: int = 0
    latency: float = 0.0
    error_rate: float = 0.0

    def __post_init__(self) -> None:
        if self.latency < 0 or not 0 <= self.error_rate <= 1:
            raise UserError(f"latency is at least 0 and error_rate between 0 and 1, not {self.latency} and {self.error_rate}")


class OfflineModel:
    """A simulated model; see `prompt_registry_plugin.models.offline` for what it can and cannot do."""

    simulated = True

    def __init__(self, role: Role = "task", settings: OfflineSettings | None = None) -> None:
        self.role = role
        self.settings = settings or OfflineSettings()
        self.name = f"offline:{role}"
        self._calls = itertools.count()

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **_params: Any) -> Reply:
        """The simulated answer. Raises `ModelUnavailable` for the configured share of calls."""
        settings, call = self.settings, next(self._calls)
        if settings.latency:
            await asyncio.sleep(settings.latency)
        if chance(settings.seed, "error", call) < settings.error_rate:
            raise ModelUnavailable(f"{self.name} (simulated) failed on purpose: error_rate is {settings.error_rate:g}")
        return self.reply(messages)

    async def stream(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> AsyncIterator[str | Usage]:
        """The simulated answer, word by word."""
        reply = await self(messages, **params)
        for i, word in enumerate(reply.text.split(" ")):
            yield f" {word}" if i else word
        yield reply.usage

    def reply(self, messages: Sequence[Mapping[str, Any]]) -> Reply:
        """The answer at once, with no latency and no errors."""
        text = "\n\n".join(content_of(message) for message in messages)
        if self.role == "task":
            said = answer(messages, self.settings.seed)
        else:
            said = judge(text) if self.role == "judge" else reflect(text, self.settings.seed)
        return Reply(said, Usage(max(1, len(text) // 4), max(1, len(said) // 4), 1))

    async def check(self) -> None:
        """Always reachable."""
