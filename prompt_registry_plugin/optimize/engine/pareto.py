"""What a run found when more than the score counts: the candidates that no other one beats in everything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from prompt_registry_plugin.evaluation.statistics import mean_interval
from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.protocols import CandidateRecord
from prompt_registry_plugin.records import Candidate, Interval, Rollout

_ENOUGH = 8  # rollouts on validation examples, for a candidate to be compared


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """A candidate with what it was measured at on the search's validation examples: an estimate, as the search chose with it.

    `cost` is in US dollars for a run and None where a price is not known, `seconds` is the time of a run, `words` the length of all
    prompts.
    """

    candidate: Candidate
    status: str
    score: Interval
    cost: float | None
    seconds: float
    words: int

    def beats(self, other: ParetoPoint) -> bool:
        """Whether it is at least as good in everything, and better in something."""
        mine, theirs = self._aims(other), other._aims(self)
        return all(a >= b for a, b in zip(mine, theirs, strict=True)) and mine != theirs

    def _aims(self, beside: ParetoPoint) -> tuple[float, ...]:
        costs = (-self.cost,) if self.cost is not None and beside.cost is not None else ()
        return (self.score.mean, *costs, -round(self.seconds, 2), -self.words)


def pareto_front(
    records: Sequence[CandidateRecord], rollouts: Sequence[Rollout], validation: Mapping[str, object]
) -> list[ParetoPoint]:
    """The candidates with enough rollouts on validation examples (by id) that none beats, best score first."""
    runs: dict[str, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        if rollout.example_id in validation:
            runs[rollout.candidate_id].append(rollout)
    points = [_point(record, runs[record.candidate.id]) for record in records if len(runs[record.candidate.id]) >= _ENOUGH]
    front = [point for point in points if not any(other.beats(point) for other in points)]
    return sorted(front, key=lambda point: -point.score.mean)


def _point(record: CandidateRecord, runs: Sequence[Rollout]) -> ParetoPoint:
    costs = [rollout.cost for rollout in runs if rollout.cost is not None]
    return ParetoPoint(
        record.candidate,
        record.status,
        mean_interval([rollout.score for rollout in runs]),
        fmean(costs) if len(costs) == len(runs) else None,
        fmean(rollout.seconds for rollout in runs),
        sum(len(text.split()) for text in components(record.candidate.templates).values()),
    )
