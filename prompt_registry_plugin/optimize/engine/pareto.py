"""The Pareto front of an optimization run: the candidates that no other one beats in score, cost, time and length together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from prompt_registry_plugin.evaluation.intervals import score_interval
from prompt_registry_plugin.evaluation.scoring import scores_of
from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.protocols import CandidateRecord
from prompt_registry_plugin.records import Candidate, Interval, Rollout

# Validation examples that a candidate was run on. With fewer, luck puts bad candidates on the front. Chosen, not measured.
_ENOUGH = 8


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """A candidate, as measured on the validation examples: an estimate, because the search chose by the same examples."""

    candidate: Candidate
    """Its templates."""
    status: str
    """The last decision about it."""
    score: Interval
    """Its mean score, with the 95 % interval."""
    cost: float | None
    """US dollars of a rollout, on average; None if a price is not known."""
    seconds: float
    """Seconds of a rollout, on average."""
    words: int
    """Words of all its prompts together."""

    def beats(self, other: ParetoPoint) -> bool:
        """Return whether it is at least as good in everything, and better in something."""
        mine, theirs = self._measures(other), other._measures(self)
        return all(a >= b for a, b in zip(mine, theirs, strict=True)) and mine != theirs

    def _measures(self, beside: ParetoPoint) -> tuple[float, ...]:
        """Return what is compared, larger is better: costs only if both are known, and times to the hundredth of a second."""
        costs = (-self.cost,) if self.cost is not None and beside.cost is not None else ()
        return (self.score.mean, *costs, -round(self.seconds, 2), -self.words)


def pareto_front(
    records: Sequence[CandidateRecord], rollouts: Sequence[Rollout], validation: Mapping[str, object]
) -> list[ParetoPoint]:
    """Return the candidates that no other one beats, best score first, of those with enough rollouts on validation examples (by id)."""
    runs: dict[str, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        if rollout.example_id in validation:
            runs[rollout.candidate_id].append(rollout)
    points = [
        _point(record, runs[record.candidate.id]) for record in records if len(scores_of(runs[record.candidate.id])) >= _ENOUGH
    ]
    front = [point for point in points if not any(other.beats(point) for other in points)]
    return sorted(front, key=lambda point: -point.score.mean)


def _point(record: CandidateRecord, runs: Sequence[Rollout]) -> ParetoPoint:
    costs = [rollout.cost for rollout in runs if rollout.cost is not None]
    return ParetoPoint(
        record.candidate,
        record.status,
        score_interval(scores_of(runs)),
        fmean(costs) if len(costs) == len(runs) else None,
        fmean(rollout.seconds for rollout in runs),
        sum(len(text.split()) for text in components(record.candidate.templates).values()),
    )
