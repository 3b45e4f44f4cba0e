"""How evaluations and optimizations run, and what they report while they do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.records import EMPTY, Price

EventKind = Literal["started", "rollout", "candidate", "message", "finished", "stopped"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened while an evaluation or an optimization run was under way."""

    kind: EventKind
    """`started` and `finished` frame a task; `rollout`, `candidate` and `message` are progress; `stopped` ends it early."""
    task: str
    """What is under way: `evaluate`, `optimize` (the search) or `prove` (the held-out test)."""
    done: int = 0
    """Rollouts that have finished."""
    total: int = 0
    """Rollouts that are expected in all."""
    best: float | None = None
    """Mean score so far; in a search, the best estimate so far."""
    text: str = ""
    """A sentence for the reader; empty if there is nothing to add."""
    detail: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    """Figures of a search: `tokens`, `dollars`, `seconds`, `reflections`, `candidates`, `kept`, `budget`, `interval`, `now`."""


OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Settings of an evaluation or an optimization run that most callers leave alone."""

    concurrency: int = 16
    """Rollouts at once, at most. A rate limit halves it for a while."""
    seed: int = 0
    """Seed of every random choice of this package. With `concurrency=1` or `deterministic=True`, the same seed gives the same
    optimization run, as far as target, scorers and models answer the same."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """Prices by name of the model, for models that the public price lists do not have."""
    on_event: OnEvent | None = None
    """A function that receives every event, in place of the progress bar on a terminal."""
    attempts: int = 3
    """Attempts of a rollout in all, if its error is transient: a rate limit, a lost connection, an error of the server."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of a `predict_fn` that is a function, in addition to the inputs of an example, such as `{"model": "…"}`. JSON data."""
    executor: str = "local"
    """Where rollouts run: `local`, in this process, or the name that a plugin offers, such as `ray`."""
    cache: str | None = None
    """Name of a cache in the registry, for `evaluate` and `compare`: rollouts in it are not run again while the example, the prompts,
    the arguments, the scorers and the function are the same. Use another name when code that the function depends on changes."""
    timeout: float | None = None
    """Seconds that one attempt of the target, or of a scorer, may take. A later one is a failed rollout, or a row without a score.
    None for ten times the slowest of the first rollouts, and at least a minute."""
    deterministic: bool = False
    """Whether an optimization run ends the same with the same seed, however long its calls take. A call that ended waits for those
    that began before it, which takes time."""

    def __post_init__(self) -> None:
        if self.timeout is not None and (
            isinstance(self.timeout, bool) or not isinstance(self.timeout, int | float) or not 0 < self.timeout < math.inf
        ):
            raise UserError(f"timeout is a positive number of seconds, not {self.timeout!r}")
        if isinstance(self.concurrency, bool) or not isinstance(self.concurrency, int) or self.concurrency < 1:
            raise UserError(f"concurrency is a whole number from 1 on, not {self.concurrency!r}")
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise UserError(f"attempts is a whole number from 1 on, not {self.attempts!r}")


def prices_to_json(prices: Mapping[str, Price]) -> dict[str, list[float]]:
    """Return prices as JSON data: [US dollars for a million input tokens, the same for output tokens] by name of the model."""
    return {name: [price.input, price.output] for name, price in prices.items()}


def prices_from_json(stored: Mapping[str, Sequence[float]]) -> dict[str, Price]:
    """Return the prices for such JSON data."""
    return {name: Price(*pair) for name, pair in stored.items()}
