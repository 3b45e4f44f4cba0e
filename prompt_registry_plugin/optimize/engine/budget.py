"""What a search may spend, and what is left of it. It is set aside before anything starts, so that a limit also holds for what is in
flight: a rollout or a reflection begins only when the dearest that was seen so far, and half as much again, still fits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.records import Rollout, Usage

_DEFAULT_ROLLOUTS = 300
_MARGIN = 1.5  # of the dearest seen so far, for what is not known before it ends
_CHARACTERS = 3  # of a text for a token, cautiously
_FIRST_ANSWER = 1500  # tokens of the first reflection's answer


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may spend at most: rollouts (runs of the target on one example), tokens and US dollars of rollouts and reflections
    together, with the judges of this package (what a scorer of yours asks by itself is not seen), and seconds of work. Any of them, or
    several; 300 rollouts where none is named.

    The held-out proof comes on top, two rollouts for every held-out example: it is announced when the run starts.
    """

    rollouts: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in given.items():
            if value is None:
                continue
            whole = name in ("rollouts", "tokens")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 < value < math.inf:
                raise UserError(f"a budget is a positive {'whole number' if whole else 'number'} of {name}, not {value!r}")
        if all(value is None for value in given.values()):
            object.__setattr__(self, "rollouts", _DEFAULT_ROLLOUTS)

    def __str__(self) -> str:
        said = [] if self.rollouts is None else [f"{self.rollouts:,} rollouts"]
        said += [] if self.tokens is None else [f"{self.tokens:,} tokens"]
        said += [] if self.dollars is None else [f"${self.dollars:,.2f}"]
        said += [] if self.seconds is None else [f"{self.seconds:,.0f} seconds"]
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Aside:
    """Set aside for something whose price is not known before it ends."""

    tokens: int
    dollars: float


class Meter:
    """What one run has spent. Whoever begins something asks first, and says when it ended."""

    def __init__(self, budget: Budget, *, seconds: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self.rollouts = 0  # begun
        self.tokens = 0
        self.dollars = 0.0
        self._clock, self._began = clock, clock() - seconds
        self._running = 0
        self._finished = 0
        self._most_tokens, self._most_dollars, self._longest = 0.0, 0.0, 0.0  # of one rollout
        self._aside = Aside(0, 0.0)  # for reflections under way
        self._answer = 0  # tokens of the longest reflection
        self._rate = 0.0  # dollars for a token of reflections, as seen

    @property
    def seconds(self) -> float:
        """How long the run was worked on, in this process and earlier ones."""
        return self._clock() - self._began

    @property
    def affordable(self) -> int:
        """How many rollouts may still begin."""
        left = [] if self.budget.rollouts is None else [self.budget.rollouts - self.rollouts]
        if self.budget.tokens is not None:
            left.append(self._fit(self.budget.tokens - self.tokens - self._aside.tokens, self._most_tokens))
        if self.budget.dollars is not None:
            left.append(self._fit(self.budget.dollars - self.dollars - self._aside.dollars, self._most_dollars))
        if self.budget.seconds is not None and self.seconds + self._longest * _MARGIN > self.budget.seconds:
            left.append(0)
        return max(0, min(left)) if left else 10**9

    @property
    def total(self) -> int:
        """The rollouts of the whole run, as far as that can be told by now."""
        if self.budget.rollouts is not None and self.budget == Budget(self.budget.rollouts):
            return self.budget.rollouts
        left = self.affordable
        if self.budget.seconds is not None and self.seconds > 0:
            left = min(left, int((self.budget.seconds - self.seconds) * self._finished / self.seconds))
        return self.rollouts + max(left, 0)

    def begin(self) -> None:
        """A rollout starts, or waits for its turn."""
        self.rollouts += 1
        self._running += 1

    def take_back(self) -> None:
        """A rollout that waited will not run."""
        self.rollouts -= 1
        self._running -= 1

    def end(self, rollout: Rollout) -> None:
        """A rollout ended."""
        self._running -= 1
        self._finished += 1
        usage, cost = rollout.usage + rollout.judging, (rollout.cost or 0.0) + (rollout.judging_cost or 0.0)
        used = usage.input_tokens + usage.output_tokens
        self.tokens += used
        self.dollars += cost
        self._most_tokens = max(self._most_tokens, used)
        self._most_dollars = max(self._most_dollars, cost)
        self._longest = max(self._longest, rollout.seconds)

    def check(self, rollout: Rollout) -> None:
        """Raises `UserError` when this budget cannot be kept, since what a rollout takes is not known."""
        if self.budget.tokens is not None and not rollout.usage.input_tokens + rollout.usage.output_tokens:
            raise UserError(
                "the budget is in tokens, and the target reports none: enable its framework's adapter, or use rollouts or seconds"
            )
        if self.budget.dollars is not None and (rollout.cost is None or rollout.judging_cost is None):
            raise UserError(
                "the budget is in dollars, and what the target's or a judge's model calls cost is not known: name the price in "
                "RunOptions(prices={'model': Price(input=…, output=…)}), install the extra 'prices', or use rollouts or tokens"
            )

    def check_reflections(self, prices: Sequence[float | None]) -> None:
        """Takes over what a thousand input and a thousand output tokens of the reflection model cost. Raises `UserError` when a
        budget in dollars cannot be kept, since that is not known."""
        known = [price for price in prices if price is not None]
        if self.budget.dollars is not None and len(known) < len(prices):
            raise UserError(
                "the budget is in dollars, and what the reflection model costs is not known: name its price in "
                "RunOptions(prices={'model': Price(input=…, output=…)}), or use rollouts or tokens"
            )
        self._rate = max([self._rate, *(price / 1000 for price in known)])

    def set_aside(self, prompt: str) -> Aside | None:
        """What a reflection is reckoned to take, which is now set aside; None when it does not fit any more."""
        tokens = len(prompt) // _CHARACTERS + round((self._answer or _FIRST_ANSWER) * _MARGIN)
        wanted = Aside(tokens, tokens * self._rate)
        if self.budget.seconds is not None and self.seconds > self.budget.seconds:
            return None
        running = self._running * _MARGIN
        taken = self.tokens + self._aside.tokens + running * self._most_tokens
        if self.budget.tokens is not None and taken + wanted.tokens > self.budget.tokens:
            return None
        spent = self.dollars + self._aside.dollars + running * self._most_dollars
        if self.budget.dollars is not None and spent + wanted.dollars > self.budget.dollars:
            return None
        self._aside = Aside(self._aside.tokens + wanted.tokens, self._aside.dollars + wanted.dollars)
        return wanted

    def give_back(self, aside: Aside) -> None:
        """A reflection ended, and what it really took is counted instead."""
        self._aside = Aside(self._aside.tokens - aside.tokens, self._aside.dollars - aside.dollars)

    def reflected(self, usage: Usage, cost: float | None) -> None:
        """What a reflection took."""
        used = usage.input_tokens + usage.output_tokens
        self.tokens += used
        self.dollars += cost or 0.0
        self._answer = max(self._answer, usage.output_tokens)
        if used and cost:
            self._rate = max(self._rate, cost / used)

    def _fit(self, free: float, most: float) -> int:
        if not most and self._finished:  # they cost nothing
            return 10**9
        if not most:  # nothing is known yet: one at a time
            return 0 if free <= 0 or self._running else 1
        return math.floor(free / (most * _MARGIN)) - self._running
