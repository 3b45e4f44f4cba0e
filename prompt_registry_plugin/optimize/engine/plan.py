"""The plan of an optimization run: what it will spend, what it can prove, and what stands in the way, before money is spent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Literal

from prompt_registry_plugin.evaluation.statistics import CONFIDENCE, t_quantile
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.optimize.engine.splits import validation_rows
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import Optimizer
from prompt_registry_plugin.recording.costs import cost_of
from prompt_registry_plugin.records import Example, Price, Rollout, Template, Usage

FeedbackKind = Literal["items", "prose", "numbers"]
"""What scorers say besides the score: single checks, a text, or nothing."""

# The spread of a paired difference (its standard deviation), measured in runs on messages: 0.25 for scores of several steps, 0.4 for a
# single score of 0 or 1. What can be proven is proportional to it.
_SPREAD = {"graded": 0.25, "binary": 0.4}
_POWER = 0.8416  # standard deviations: the quantile of 80 %, so that "can be proven" means in four runs of five
_LIKELY = 1.2816  # the quantile of 90 %
_WORTH_HAVING = 0.05  # the gain that the plan names the rows for
FEWEST_FOR_PROOF = 6
"""With fewer pairs no permutation test can reach p < 0.05."""
# Estimates, as long as nothing has run: four characters are a token, an answer has a hundred, and a call takes two seconds.
_CHARACTERS_PER_TOKEN, _ANSWER_TOKENS, _SECONDS_A_CALL = 4, 100, 2.0
_ROLLOUTS_PER_REFLECTION = 8  # measured on runs of 300 rollouts with items: 30 to 45 reflections
_REFLECTION_TOKENS = 1500  # besides the instruction itself: a few runs with their feedback, and the answer
_INPUT_SHARE = 0.7  # of the tokens of a reflection
_USE_OF_SLOTS = 0.5  # a search waits for reflections about half of the time


_DERIVED = ("provable", "likely", "rows_for_five_points", "rollouts", "calls", "tokens", "dollars")


@dataclass(frozen=True, slots=True)
class Costs:
    """What one rollout of the baseline takes."""

    calls: float
    """Calls of models."""
    tokens: float
    """Input and output tokens, with judges."""
    dollars: float | None
    """US dollars, with judges; None if a price is not known."""
    seconds: float
    """Seconds."""
    measured_on: int = 0
    """Rollouts that this was measured on; 0 for an estimate from the lengths of texts."""
    score: float | None = None
    """The baseline's mean score on them; None for an estimate."""
    is_binary: bool = False
    """Whether all scores were 0 or 1."""
    feedback: FeedbackKind | None = None
    """What scorers said besides the score; None for an estimate."""

    @property
    def spread(self) -> float:
        """The spread (standard deviation) of a paired difference that the plan counts on."""
        return _SPREAD["binary" if self.is_binary else "graded"]


@dataclass(frozen=True, slots=True)
class OptimizationPlan:
    """What an optimization run will do, spend and be able to prove."""

    prompts: Sequence[str]
    """URIs of the versions that are improved."""
    optimizer: str
    """Name of the optimizer."""
    train: int
    """Rows that the search learns from and compares on."""
    validation: int
    """Those of them that are only for comparing candidates; 0 if all are for both."""
    held_out: int
    """Rows of the held-out test: the proof."""
    budget: Budget
    """Limits of the search, and the rollouts of the proof."""
    reflections: int
    """Calls of the reflection model, about; 0 if the optimizer asks none."""
    reflection_tokens: int
    """Their tokens, about."""
    reflection_dollars: float | None
    """Their US dollars, about; None if the price is not known."""
    costs: Costs
    """What one rollout takes: measured, or estimated."""
    warnings: Sequence[str]
    """What stands in the way of a proof, or will go wrong."""

    @property
    def provable(self) -> float | None:
        """The gain that is proven in four runs of five; None if nothing can be proven."""
        return provable_gain(self.held_out, self.costs.spread)

    @property
    def likely(self) -> float | None:
        """The gain that is at least likely in four runs of five; None if nothing can be told."""
        return _gain_of(self.held_out, self.costs.spread, _LIKELY)

    @property
    def rows_for_five_points(self) -> int:
        """Held-out rows with which a gain of 0.05 is proven in four runs of five."""
        return math.ceil(((1.96 + _POWER) * self.costs.spread / _WORTH_HAVING) ** 2)

    @property
    def rollouts(self) -> int | None:
        """Rollouts at most, the proof among them; about, if the budget is in tokens or dollars, and None if it is in seconds only."""
        limits: list[float] = [] if self.budget.rollouts is None else [self.budget.rollouts]
        if self.budget.tokens is not None and self.costs.tokens:
            limits.append(self.budget.tokens / self.costs.tokens)
        if self.budget.dollars is not None and self.costs.dollars:
            limits.append(self.budget.dollars / self.costs.dollars)
        return int(min(limits)) + (self.budget.proof or 0) if limits else None

    @property
    def calls(self) -> int | None:
        """Model calls at most, about, without reflections; None if the budget does not limit rollouts."""
        return None if self.rollouts is None else round(self.rollouts * self.costs.calls)

    @property
    def tokens(self) -> int | None:
        """Tokens of all calls, about; None if the budget does not limit rollouts."""
        return None if self.rollouts is None else round(self.rollouts * self.costs.tokens) + self.reflection_tokens

    @property
    def dollars(self) -> float | None:
        """US dollars of all calls, about; None if a price is not known, or the budget does not limit rollouts."""
        if self.rollouts is None or self.costs.dollars is None or self.reflection_dollars is None:
            return None
        return self.rollouts * self.costs.dollars + self.reflection_dollars

    def minutes(self, concurrency: int) -> float | None:
        """Return about how long it takes with so many rollouts at once; None if the budget does not limit rollouts."""
        if self.rollouts is None:
            return None
        return self.rollouts * self.costs.seconds / concurrency / _USE_OF_SLOTS / 60

    @property
    def advice(self) -> list[str]:
        """What better feedback or more rows would bring."""
        found = []
        if self.held_out < self.rows_for_five_points:
            found.append(
                f"With {self.rows_for_five_points} held-out rows a gain of {_WORTH_HAVING:.2f} can be proven, and there are "
                f"{self.held_out}. `runs prove` adds rows after the run."
            )
        if self.costs.feedback == "numbers":
            found.append(
                "Scorers return only a number, so no edit can be aimed. Return Feedback(score, items=[Item(text, ok, component, key)]): "
                "searches in simulated worlds then gain about twice as much."
            )
        if self.costs.feedback == "prose":
            found.append("Scorers return prose. With items in its place, a search needs a quarter to half of the reflections.")
        return found

    def lines(self, concurrency: int = 16) -> list[tuple[str, str]]:
        """Return the plan as (heading, text), without advice and warnings."""
        how = f"measured on {self.costs.measured_on} rollouts" if self.costs.measured_on else "an estimate, nothing was run"
        used = f", {self.validation} of them to compare candidates" if self.validation else ""
        parts = [] if self.calls is None else [f"{self.calls:,} model calls", f"{self.tokens:,} tokens"]
        parts += [] if not self.reflections else [f"{self.reflections} reflections"]
        parts += [] if self.dollars is None else [f"${self.dollars:,.2f}"]
        minutes = self.minutes(concurrency)
        parts += [] if minutes is None else [f"{max(minutes, 0.1):.1f} minutes with {concurrency} at once"]
        return [
            ("rows", f"{self.train} for the search{used}; {self.held_out} held out for the proof"),
            ("proof", self._describe_proof()),
            ("budget", f"at most {self.budget}" + ("" if self.rollouts is None else f", {self.rollouts:,} rollouts in all")),
            ("about", f"{', '.join(parts)} ({how})" if parts else f"not known: the budget does not limit rollouts ({how})"),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON data."""
        return {
            **asdict(self),
            "prompts": list(self.prompts),
            "warnings": list(self.warnings),
            "advice": self.advice,
            **{name: getattr(self, name) for name in _DERIVED},
        }

    def __str__(self) -> str:
        names = ", ".join(uri.removeprefix("prompts:/") for uri in self.prompts)
        lines = [f"plan: {self.optimizer} improves {names}"]
        lines += [f"  {heading:<8}{text}" for heading, text in self.lines()]
        lines += [f"  {'more':<8}{text}" for text in self.advice]
        return "\n".join(lines + [f"  {'warning':<8}{text}" for text in self.warnings])

    def _describe_proof(self) -> str:
        if self.provable is None or self.likely is None:
            return f"none: fewer than {FEWEST_FOR_PROOF} rows are held out, so no gain can be proven"
        return f"gains above {self.provable:.2f} are proven in four runs of five, above {self.likely:.2f} likely"


def provable_gain(rows: int, spread: float = _SPREAD["graded"]) -> float | None:
    """Return the gain that so many held-out rows prove in four runs of five; None if they can prove nothing."""
    return _gain_of(rows, spread, t_quantile(0.5 + CONFIDENCE / 2, max(3, rows - 1)))


def _gain_of(rows: int, spread: float, quantile: float) -> float | None:
    return None if rows < FEWEST_FOR_PROOF else (quantile + _POWER) * spread / math.sqrt(rows)


def estimate_costs(templates: Mapping[str, Template], rows: Sequence[Example]) -> Costs:
    """Return what a rollout takes, estimated from the lengths of prompts and inputs: one call for each prompt."""
    texts = components(templates).values()
    inputs = fmean(sum(len(str(value)) for value in row.inputs.values()) for row in rows) if rows else 0.0
    tokens = sum(len(text) for text in texts) + inputs * len(templates)
    calls = float(len(templates))
    return Costs(calls, tokens / _CHARACTERS_PER_TOKEN + calls * _ANSWER_TOKENS, None, calls * _SECONDS_A_CALL)


def measure_costs(rollouts: Sequence[Rollout], estimated: Costs) -> Costs:
    """Return what a rollout takes, as measured; where the target reports no calls and no tokens, as estimated."""
    used = [rollout.usage + rollout.judging for rollout in rollouts]
    prices = [None if r.cost is None or r.judging_cost is None else r.cost + r.judging_cost for r in rollouts]
    known = [price for price in prices if price is not None]
    scores = [rollout.score for rollout in rollouts if rollout.score is not None]
    values = [score for rollout in rollouts for score in rollout.scores.values()]
    reports = any(usage.calls for usage in used)
    return Costs(
        fmean(usage.calls for usage in used) if reports else estimated.calls,
        fmean(usage.input_tokens + usage.output_tokens for usage in used) if reports else estimated.tokens,
        fmean(known) if len(known) == len(rollouts) else None,
        fmean(rollout.seconds for rollout in rollouts),
        len(rollouts),
        fmean(scores) if scores else None,
        bool(scores) and all(score in (0, 1) for score in scores),
        "items" if any(value.items for value in values) else "prose" if any(value.rationale for value in values) else "numbers",
    )


@dataclass(frozen=True, slots=True)
class Reflecting:
    """What reflections take, about."""

    count: int
    """Calls of the reflection model."""
    tokens: int
    """Input and output tokens of all."""
    dollars: float | None
    """US dollars of all; None if the price is not known."""


def estimate_reflections(
    budget: Budget, sources: Sequence[PromptVersion], model: str | None, prices: Mapping[str, Price], plugins: PluginManager
) -> Reflecting:
    """Return about what the reflections of a search take; `model` is None if it makes none."""
    if model is None:
        return Reflecting(0, 0, 0.0)
    count = max(4, (budget.rollouts or 300) // _ROLLOUTS_PER_REFLECTION)
    longest = max(len(text) for text in components({source.name: source.template for source in sources}).values())
    tokens = count * (_REFLECTION_TOKENS + 2 * longest // _CHARACTERS_PER_TOKEN)
    usage = Usage(round(tokens * _INPUT_SHARE), round(tokens * (1 - _INPUT_SHARE)), count)
    return Reflecting(count, tokens, cost_of(model, usage, prices, plugins))


def make_plan(
    sources: Sequence[PromptVersion], optimizer: Optimizer, train: int, budget: Budget, costs: Costs, reflecting: Reflecting
) -> OptimizationPlan:
    """Return the plan for `train` rows and a budget with its proof, without warnings."""
    return OptimizationPlan(
        prompts=[source.uri for source in sources],
        optimizer=optimizer.name,
        train=train,
        validation=validation_rows(train),
        held_out=(budget.proof or 0) // 2,
        budget=budget,
        reflections=reflecting.count,
        reflection_tokens=reflecting.tokens,
        reflection_dollars=reflecting.dollars,
        costs=costs,
        warnings=(),
    )
