"""What a search may spend, and what is left of it.

Rollouts run at once, so a limit that is checked only when one ends would be overshot by all that are in flight. What a rollout or a
reflection may cost is therefore reserved before it starts: 1.5 times the most expensive one so far.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.records import Rollout, Usage

_DEFAULT_ROLLOUTS = 300
# Calls of one workload differ, and the next one may cost more than any before. Chosen, not measured: more would leave budget unused.
_MARGIN = 1.5
# English has about four characters a token, other languages fewer. A low number reserves too much rather than too little.
_CHARACTERS_PER_TOKEN = 3
_FIRST_ANSWER_TOKENS = 1500  # of an answer, before one was seen: a long prompt, rewritten as a whole
_UNLIMITED = 10**9  # rollouts


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may spend at most. Without any limit, 300 rollouts. The held-out test comes on top (see `proof`)."""

    rollouts: int | None = None
    """Rollouts: calls of the target on one example."""
    tokens: int | None = None
    """Input and output tokens of rollouts, reflections and the judges of this package. Calls that your own scorers make do not count."""
    dollars: float | None = None
    """US dollars of the same calls."""
    seconds: float | None = None
    """Seconds of work, in all processes that worked on the optimization run."""
    proof: int | None = None
    """Rollouts of the held-out test at most, two for each example; without it, as many as `splits.proof_rows` finds them worth."""

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in given.items():
            if value is None:
                continue
            whole = name in ("rollouts", "tokens", "proof")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 < value < math.inf:
                raise UserError(f"Budget({name}=…) is a positive {'whole number' if whole else 'number'}, not {value!r}")
        if self.proof == 1:
            raise UserError("Budget(proof=1) pays for no example: the held-out test takes two rollouts for each. Use 2 or more.")
        if all(value is None for name, value in given.items() if name != "proof"):
            object.__setattr__(self, "rollouts", _DEFAULT_ROLLOUTS)

    def __str__(self) -> str:
        limits = [] if self.rollouts is None else [f"{self.rollouts:,} rollouts"]
        limits += [] if self.tokens is None else [f"{self.tokens:,} tokens"]
        limits += [] if self.dollars is None else [f"${self.dollars:,.2f}"]
        limits += [] if self.seconds is None else [f"{self.seconds:,.0f} seconds"]
        return ", ".join(limits) + ("" if self.proof is None else f", then {self.proof:,} for the held-out test")

    @property
    def search(self) -> Budget:
        """The limits of the search alone."""
        return replace(self, proof=None)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is reserved for reflections whose cost is not known before they end."""

    tokens: int
    """Input and output tokens."""
    dollars: float
    """US dollars."""


class Meter:
    """What one optimization run has spent. Call `begin` or `reserve` before a call, and `end` or `release` after it."""

    rollouts: int
    """Rollouts that have begun, also those that wait for a slot."""
    tokens: int
    """Input and output tokens of everything that has ended."""
    dollars: float
    """US dollars of everything that has ended."""

    def __init__(self, budget: Budget, *, seconds: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget.search
        self.rollouts = 0
        self.tokens = 0
        self.dollars = 0.0
        self._clock, self._began = clock, clock() - seconds
        self._running = 0
        self._finished = 0
        # Of the most expensive rollout so far. Each running one, whose cost is not known yet, is counted with these.
        self._most_tokens, self._most_dollars, self._most_seconds = 0, 0.0, 0.0
        self._reserved = Reservation(0, 0.0)
        self._longest_answer = 0  # tokens of the longest reflection
        self._dollars_per_token = 0.0  # of reflections

    @property
    def seconds(self) -> float:
        """Seconds of work on the optimization run, in this process and earlier ones."""
        return self._clock() - self._began

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the budget ends; None if it is not in seconds."""
        return None if self.budget.seconds is None else max(0.0, self.budget.seconds - self.seconds)

    @property
    def remaining(self) -> int:
        """Rollouts that may still begin."""
        left = [] if self.budget.rollouts is None else [self.budget.rollouts - self.rollouts]
        if self.budget.tokens is not None:
            left.append(self._how_many_fit(self.budget.tokens - self.tokens - self._reserved.tokens, self._most_tokens))
        if self.budget.dollars is not None:
            left.append(self._how_many_fit(self.budget.dollars - self.dollars - self._reserved.dollars, self._most_dollars))
        if self.budget.seconds is not None and self.seconds + self._most_seconds * _MARGIN > self.budget.seconds:
            left.append(0)
        return max(0, min(left)) if left else _UNLIMITED

    @property
    def total(self) -> int:
        """Rollouts of the whole optimization run; an estimate if the budget is not in rollouts alone."""
        if self.budget.rollouts is not None and self.budget == Budget(self.budget.rollouts):
            return self.budget.rollouts
        left = self.remaining
        if self.budget.seconds is not None and self.seconds > 0:
            left = min(left, int((self.budget.seconds - self.seconds) * self._finished / self.seconds))
        return self.rollouts + max(left, 0)

    def begin(self) -> None:
        """Count a rollout that starts, or waits for a slot."""
        self.rollouts += 1
        self._running += 1

    def cancel(self) -> None:
        """Take back a rollout that waited for a slot and will not run."""
        self.rollouts -= 1
        self._running -= 1

    def end(self, rollout: Rollout) -> None:
        """Count what a rollout cost, with its judges."""
        self._running -= 1
        self._finished += 1
        usage, cost = rollout.usage + rollout.judging, (rollout.cost or 0.0) + (rollout.judging_cost or 0.0)
        used = usage.input_tokens + usage.output_tokens
        self.tokens += used
        self.dollars += cost
        self._most_tokens = max(self._most_tokens, used)
        self._most_dollars = max(self._most_dollars, cost)
        self._most_seconds = max(self._most_seconds, rollout.seconds)

    def check_rollouts(self, rollout: Rollout) -> None:
        """Raise `UserError` if rollouts like this one do not report what the budget is in."""
        if self.budget.tokens is not None and not rollout.usage.input_tokens + rollout.usage.output_tokens:
            raise UserError(
                "The budget is in tokens, but the target reports no tokens. Enable its framework's adapter, or give the budget in "
                "rollouts or seconds."
            )
        if self.budget.dollars is not None and (rollout.cost is None or rollout.judging_cost is None):
            raise UserError(
                "The budget is in dollars, but the price of a model of the target or of a judge is not known. Set it in "
                "RunOptions(prices={'model': Price(input=…, output=…)}), install the extra 'prices', or give the budget in rollouts "
                "or tokens."
            )

    def check_reflections(self, prices: Sequence[float | None]) -> None:
        """Set the price of reflections, in US dollars for a thousand input and a thousand output tokens; None if it is not known.

        Raises `UserError` if the budget is in dollars and a price is not known.
        """
        known = [price for price in prices if price is not None]
        if self.budget.dollars is not None and len(known) < len(prices):
            raise UserError(
                "The budget is in dollars, but the price of the reflection model is not known. Set it in "
                "RunOptions(prices={'model': Price(input=…, output=…)}), or give the budget in rollouts or tokens."
            )
        self._dollars_per_token = max([self._dollars_per_token, *(price / 1000 for price in known)])

    def reserve(self, prompt: str) -> Reservation | None:
        """Reserve what a reflection with this prompt may cost; return None, and reserve nothing, if that does not fit any more."""
        answer = self._longest_answer or _FIRST_ANSWER_TOKENS
        tokens = len(prompt) // _CHARACTERS_PER_TOKEN + round(answer * _MARGIN)
        wanted = Reservation(tokens, tokens * self._dollars_per_token)
        if self.budget.seconds is not None and self.seconds > self.budget.seconds:
            return None
        running = self._running * _MARGIN
        taken = self.tokens + self._reserved.tokens + running * self._most_tokens
        if self.budget.tokens is not None and taken + wanted.tokens > self.budget.tokens:
            return None
        spent = self.dollars + self._reserved.dollars + running * self._most_dollars
        if self.budget.dollars is not None and spent + wanted.dollars > self.budget.dollars:
            return None
        self._reserved = Reservation(self._reserved.tokens + wanted.tokens, self._reserved.dollars + wanted.dollars)
        return wanted

    def release(self, reserved: Reservation) -> None:
        """Release the reservation of a reflection that has ended. What it really cost is counted by `count_reflection`."""
        self._reserved = Reservation(self._reserved.tokens - reserved.tokens, self._reserved.dollars - reserved.dollars)

    def count_reflection(self, usage: Usage, cost: float | None) -> None:
        """Count what a reflection cost: its tokens, and US dollars where its price is known."""
        used = usage.input_tokens + usage.output_tokens
        self.tokens += used
        self.dollars += cost or 0.0
        self._longest_answer = max(self._longest_answer, usage.output_tokens)
        if used and cost:
            self._dollars_per_token = max(self._dollars_per_token, cost / used)

    def _how_many_fit(self, free: float, most: float) -> int:
        """Return how many more rollouts fit into what is free, if each may cost 1.5 times the most expensive one so far."""
        if not most and self._finished:  # rollouts cost nothing, as with a local model
            return _UNLIMITED
        if not most:  # nothing is known about their cost yet, so one has to end before the next begins
            return 0 if free <= 0 or self._running else 1
        return math.floor(free / (most * _MARGIN)) - self._running
