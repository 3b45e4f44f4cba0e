"""How evaluations and optimizations run, and what they report while they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.records import EMPTY, Price

EventKind = Literal["started", "rollout", "candidate", "message", "finished", "stopped"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: `done` of `total` rollouts so far, the `best` score, and a text where there is something to say."""

    kind: EventKind
    task: str
    done: int = 0
    total: int = 0
    best: float | None = None
    text: str = ""
    detail: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Settings that most callers leave alone.

    `concurrency` rollouts run at once. `seed` fixes every random choice of ours (with `concurrency=1` the whole run). `prices`, by
    model name, turn tokens into cost where the public price lists do not. A rollout whose error passes by itself (a rate limit, a lost
    connection) is tried up to `attempts` times in all. `on_event` replaces the progress bar that is shown on a terminal.
    `arguments` are given to a `predict_fn` that is a function besides the inputs of a row, such as `{"model": "…"}`; they are JSON data.
    `executor` says where rollouts run: `"local"`, in this process, or the name that a plugin gives, such as `"ray"`.
    With `cache`, a name, rollouts of `evaluate` and `compare` are kept in the registry and not run again while row, prompts, arguments,
    scorers and the function itself are the same: an evaluation that was stopped goes on. Name another when code beneath it changes.
    """

    concurrency: int = 16
    seed: int = 0
    prices: Mapping[str, Price] = field(default_factory=dict)
    on_event: OnEvent | None = None
    attempts: int = 3
    arguments: Mapping[str, Any] = field(default_factory=dict)
    executor: str = "local"
    cache: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.concurrency, bool) or not isinstance(self.concurrency, int) or self.concurrency < 1:
            raise UserError(f"concurrency is a whole number from 1 on, not {self.concurrency!r}")
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise UserError(f"attempts is a whole number from 1 on, not {self.attempts!r}")
