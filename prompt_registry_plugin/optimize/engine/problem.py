"""What an optimizer works on: examples, budgeted rollouts, limits on texts, the reflection model, and a place to store decisions.

It hides frameworks, the budget and the database, so that an optimizer cannot overspend, lose a rollout or pay for one twice.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prompt_registry_plugin.errors import BudgetExhausted, UserError, did_you_mean
from prompt_registry_plugin.evaluation.intervals import score_interval
from prompt_registry_plugin.evaluation.options import Event, EventKind, OnEvent
from prompt_registry_plugin.optimize.engine.budget import Meter
from prompt_registry_plugin.optimize.engine.components import components, with_component
from prompt_registry_plugin.optimize.engine.constraints import Constraints, fault_of
from prompt_registry_plugin.optimize.engine.ledger import Ledger
from prompt_registry_plugin.optimize.engine.reflections import Reflections
from prompt_registry_plugin.protocols import CandidateRecord, OptimizationResult, Optimizer, ReflectionRecord, RunTable
from prompt_registry_plugin.records import EMPTY, Candidate, CandidateStatus, Example, Interval, Rollout, TemplateFormat, Usage
from prompt_registry_plugin.templates import compile_template

P = ParamSpec("P")
R = TypeVar("R")


def _deprecated(method: Callable[P, R], old: str) -> Callable[P, R]:
    """Return a method of `Problem` under its old name, which warns and says the new one."""

    @wraps(method)
    def renamed(*args: P.args, **kwargs: P.kwargs) -> R:
        warnings.warn(f"Problem.{old} is called Problem.{method.__name__} now", DeprecationWarning, stacklevel=2)
        return method(*args, **kwargs)

    return renamed


@dataclass
class Problem:
    """One optimization run, as its optimizer sees it."""

    baseline: Candidate
    """The templates that the search starts from."""
    train: Sequence[Example]
    """Examples to learn from, in a seeded order."""
    validation: Sequence[Example]
    """Examples to compare candidates on; the same as `train` if there are few examples."""
    formats: Mapping[str, TemplateFormat]
    """Template format by name of the prompt."""
    constraints: Constraints
    """Limits of the texts; `fault` and `rules` apply them to a component."""
    concurrency: int
    """Rollouts at once, at most."""
    random: random.Random
    """The seeded source of random numbers."""
    run_id: str
    """Id of the optimization run."""
    _ledger: Ledger
    _reflections: Reflections
    _runs: RunTable
    _on_event: OnEvent
    best: Interval | None = None
    """The search's own estimate of its best score, set by `note_best`."""
    ended: str = ""
    """Why the search ended, as a sentence; an optimizer that knows sets it."""
    history: list[CandidateRecord] = field(default_factory=list)
    """Candidates with the last decision about each, oldest first; in a resumed optimization run, also those of earlier processes."""
    _under_way: list[str] = field(default_factory=list)

    # --- the texts --------------------------------------------------------------------------------------------------------------

    @property
    def baseline_components(self) -> dict[str, str]:
        """The texts to improve by component key: the name of a prompt, or `name#2` for the second message of a chat prompt."""
        return components(self.baseline.templates)

    def format_of(self, key: str) -> TemplateFormat:
        """Return the template format of a component."""
        return self.formats.get(key.partition("#")[0], "double_brace")

    def variables(self, key: str) -> frozenset[str]:
        """Return the variables of a component. A new text has to keep all of them."""
        return frozenset(compile_template(self.baseline_components[key], key, self.format_of(key)).variables)

    def fault(self, key: str, text: str, current: str) -> str | None:
        """Return why a text may not replace the `current` one of a component, or None if it may."""
        return fault_of(text, self.baseline_components[key], current, self.constraints, self.format_of(key))

    def rules(self, key: str) -> list[str]:
        """Return the limits of a component, as sentences for a reflection model."""
        return self.constraints.rules(self.baseline_components[key], self.format_of(key))

    def replace(self, candidate: Candidate, key: str, text: str, note: str = "") -> Candidate:
        """Return the child of `candidate` with another text of component `key`. Raises `UserError` for a text with a `fault`."""
        known = components(candidate.templates)
        if key not in known:
            raise UserError(f"no component is called {key!r}{did_you_mean(key, known) or '; there are ' + ', '.join(known)}")
        current = known[key]
        if text != current and (fault := self.fault(key, text, current)):
            raise UserError(f"{key} cannot become {text!r:.60}: {fault}")
        return with_component(candidate, key, text, note)

    # --- rollouts and reflections ---------------------------------------------------------------------------------------------

    @property
    def budget(self) -> int:
        """Rollouts of the whole optimization run; an estimate if the budget is not in rollouts alone."""
        return self._ledger.meter.total

    @property
    def remaining(self) -> int:
        """Rollouts that may still start."""
        return self._ledger.meter.remaining

    @property
    def spent(self) -> Meter:
        """What the optimization run has spent so far: `rollouts`, `tokens`, `dollars`, `seconds`."""
        return self._ledger.meter

    @property
    def finished(self) -> int:
        """Rollouts that have ended."""
        return self._ledger.finished

    def affordable(self, examples: Sequence[Example], *candidates: Candidate) -> list[Example]:
        """Return the first examples on which the budget still covers a rollout of every candidate. Finished ones cost nothing."""
        left, found = self.remaining, []
        for example in examples:
            left -= sum(not self.has_started(candidate, example) for candidate in candidates)
            if left < 0:
                break
            found.append(example)
        return found

    async def evaluate(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """Return the rollouts of a candidate, in the order of the examples. Those that were run before cost nothing.

        Raises `BudgetExhausted`, before any starts, if the budget has not enough left for all of them.
        """
        return await self._ledger.run(candidate, examples)

    def result(self, candidate: Candidate, example: Example) -> Rollout | None:
        """Return the rollout of a candidate on an example; None if it has not ended."""
        return self._ledger.result(candidate, example)

    def for_example(self, example: Example) -> Sequence[Rollout]:
        """Return the rollouts on an example that have ended, of all candidates, oldest first."""
        return self._ledger.for_example(example)

    def has_started(self, candidate: Candidate, example: Example) -> bool:
        """Return whether the rollout of a candidate on an example has at least been asked for."""
        return self._ledger.has_started(candidate, example)

    # Their names in version 0.1.0.
    seen = _deprecated(result, "seen")
    on = _deprecated(for_example, "on")
    started = _deprecated(has_started, "started")

    async def reflect(
        self,
        prompt: str,
        *,
        purpose: str = "edit",
        detail: Mapping[str, Any] = EMPTY,
        unreadable: Callable[[str], str] = lambda answer: "",
    ) -> str:
        """Return the reflection model's answer to a prompt, and store it with its `purpose` and `detail`.

        `unreadable` returns why an answer cannot be read, or an empty string. The result counts the answers that could not be read.

        A resumed optimization run that asks what it asked before gets the stored answer, once for each time it was paid for. Raises
        `ModelUnavailable`, and `BudgetExhausted`, before the model is called, if the budget has not enough left for it.
        """
        return await self._reflections.ask(prompt, purpose, detail, unreadable)

    @property
    def reflections(self) -> Sequence[ReflectionRecord]:
        """Answers of the reflection model, oldest first; in a resumed optimization run, also those of earlier processes."""
        return self._reflections.records

    @property
    def reflection_usage(self) -> Usage:
        """Tokens of these answers."""
        return self._reflections.usage

    # --- decisions, and what others see -----------------------------------------------------------------------------------------

    def status(self, candidate: Candidate) -> CandidateStatus | None:
        """Return the last decision about a candidate, in this process or an earlier one."""
        return next((record.status for record in reversed(self.history) if record.candidate.id == candidate.id), None)

    def decide(self, candidate: Candidate, status: CandidateStatus, text: str = "", detail: Mapping[str, Any] = EMPTY) -> None:
        """Store a decision about a candidate, and report it. Details of earlier decisions stay, unless `detail` has the same key."""
        earlier = next((r.detail for r in reversed(self.history) if r.candidate.id == candidate.id), EMPTY)
        reason = {"text": text} if text else {}
        now = {"at": self._ledger.finished, "best": self.best_score}
        record = CandidateRecord(candidate, status, {**earlier, **detail, **reason, **now})
        self.history = [r for r in self.history if r.candidate.id != candidate.id] + [record]
        self._runs.add_candidate(self.run_id, record)
        self.tell("candidate", text)

    @property
    def best_score(self) -> float | None:
        """The mean of `best`."""
        return None if self.best is None else self.best.mean

    def note_best(self, scores: float | Sequence[float | None]) -> None:
        """Set the best score so far, or the scores that it is the mean of: an estimate, which others see while the search runs.

        Rollouts without a score (None) do not count.
        """
        if isinstance(scores, int | float):
            self.best = Interval(scores, None, None, 1)
        elif known := [score for score in scores if score is not None]:
            self.best = score_interval(known)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Show what is being worked on while the block lasts."""
        self._under_way.append(what)
        try:
            yield
        finally:
            self._under_way.remove(what)

    def tell(self, kind: EventKind = "rollout", text: str = "") -> None:
        """Report progress to the `on_event` listener."""
        meter = self._ledger.meter
        detail = {
            "budget": str(meter.budget), "tokens": meter.tokens, "dollars": meter.dollars, "seconds": meter.seconds,
            "reflections": len(self.reflections), "candidates": len(self.history), "now": list(self._under_way),
            "kept": sum(record.status in ("committed", "checkpoint") for record in self.history),
            "interval": None if self.best is None or self.best.low is None else [self.best.low, self.best.high],
        }  # fmt: skip
        self._on_event(Event(kind, "optimize", self._ledger.finished, meter.total, self.best_score, text, detail))


__all__ = ["BudgetExhausted", "OptimizationResult", "Optimizer", "Problem"]
