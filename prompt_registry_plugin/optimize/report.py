"""The report of an optimization run: the tree of candidates, what caused each edit, the test that decided it, and the score over time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.evaluation.html import line_chart, page
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.optimize.engine.change import Change, changes_of
from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.optimize.engine.evidence import Evidence, stored_evidence
from prompt_registry_plugin.optimize.engine.pareto import ParetoPoint, pareto_front
from prompt_registry_plugin.optimize.engine.run_config import RunConfig
from prompt_registry_plugin.optimize.engine.splits import split_validation
from prompt_registry_plugin.optimize.engine.state import state_of
from prompt_registry_plugin.optimize.optimizers.reflection import shown_text
from prompt_registry_plugin.optimize.report_parts import LogEntry, ProofRow, describe, log_of, merged, proof_rows
from prompt_registry_plugin.protocols import CandidateRecord, RunRecord, RunTable
from prompt_registry_plugin.records import Candidate, Example, Rollout, Usage

_MAX_ANSWER = 300  # of an answer that could not be read
_MAX_CHARACTERS = 160  # of an input or a failure: a line of a wide terminal


@dataclass(frozen=True, slots=True)
class Cause:
    """A rollout that an edit was made for."""

    inputs: str
    """Its inputs, shortened."""
    wrong: Sequence[str]
    """What was wrong with it, shortened."""


@dataclass(frozen=True, slots=True)
class Step:
    """A candidate of an optimization run."""

    record: CandidateRecord
    """The candidate, and the last decision about it."""
    changes: Mapping[str, tuple[str, str]]
    """(text of its parent, its own text) by component key, for components that differ."""
    causes: Sequence[Cause]
    """The failures that the reflection model was shown."""
    proposal: CandidateRecord | None = None
    """The proposal that it was merged from, if it was made for another version."""
    is_merged: bool = False
    """Whether it is such a proposal, so that a reader sees the edit elsewhere."""

    @property
    def reason(self) -> str:
        """The reason of the last decision, with the test that it is based on."""
        return describe(self.record, self.proposal)

    def to_json(self) -> dict[str, Any]:
        """Return the step as JSON data."""
        candidate = self.record.candidate
        known = {key: value for key, value in self.record.detail.items() if key not in ("edits", "aims")}
        return {
            "id": candidate.id, "parent": candidate.parent_id, "status": self.record.status, "note": candidate.note, **known,
            "changes": {key: {"before": before, "after": after} for key, (before, after) in self.changes.items()},
            "causes": [{"inputs": cause.inputs, "wrong": list(cause.wrong)} for cause in self.causes],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything that is known about an optimization run."""

    run: RunRecord
    """The optimization run as it is stored."""
    config: RunConfig
    """How it was started."""
    steps: Sequence[Step]
    """Its candidates, oldest first."""
    curve: Sequence[tuple[float, float]]
    """(rollouts, the best score so far as the search estimated it), oldest first."""
    front: Sequence[ParetoPoint]
    """The candidates that no other one beats in score, cost, time and length together, best score first."""
    reflections: int
    """Calls of the reflection model."""
    tokens: int
    """Input and output tokens of rollouts, with their judges, and reflections; of the held-out test too."""
    dollars: float | None = None
    """US dollars of the same calls; None if a price is not known."""
    changes: Sequence[Change] = ()
    """The change in all: the texts of the winner that differ from the baseline's; empty before there is a winner."""
    proof: Sequence[ProofRow] = ()
    """The examples of the held-out test, those that changed first."""
    log: Sequence[LogEntry] = ()
    """A line for each edit, in the order of the decisions."""
    ended: str = ""
    """Why the search ended; empty before it has."""
    unreadable: Sequence[str] = ()
    """Answers of the reflection model that could not be read, each with the reason, shortened."""
    unscored: Sequence[str] = ()
    """Why rollouts have no score."""
    failed: int = 0
    """Failed rollouts."""

    @property
    def state(self) -> str:
        """How far it got: its stored status, or `stopped` if its process is gone."""
        return state_of(self.run)

    @property
    def proof_summary(self) -> str:
        """The held-out test in numbers of examples; empty without one."""
        counts = Counter(row.verdict for row in self.proof)
        return ", ".join(
            f"{verdict} on {counts[verdict]}" for verdict in ("better", "worse", "same", "no score") if counts[verdict]
        )

    @property
    def spent(self) -> str:
        """What was spent, and in which time."""
        money = "" if self.dollars is None else f", ${self.dollars:,.4f}"
        calls = f"{self.run.rollouts} rollouts of the search, {2 * len(self.proof)} of the held-out test (budget: {self.config.budget})"
        return f"{calls}, {self.reflections} reflections, {self.tokens:,} tokens{money}"

    @property
    def duration(self) -> str:
        """The time of work, and when it began."""
        return f"{max(self.run.seconds, 0):,.0f} s of work, since {self.run.created_at:%Y-%m-%d %H:%M}"

    @property
    def evidence(self) -> Evidence | None:
        """The grade of the winner with the figures behind it; None without a held-out test."""
        return stored_evidence(self.run.result)

    def walk(self) -> Iterator[tuple[int, Step]]:
        """Yield (depth, step) as a tree: each step under the candidate that it was made from. An edit that was merged is one step."""
        steps = [step for step in self.steps if not step.is_merged]
        known = {step.record.candidate.id for step in steps}
        children: dict[str | None, list[Step]] = {}
        for step in steps:
            parent = step.record.candidate.parent_id
            children.setdefault(parent if parent in known and parent != step.record.candidate.id else None, []).append(step)
        stack = [(0, step) for step in reversed(children.pop(None, []))]
        while stack:
            depth, step = stack.pop()
            yield depth, step
            stack += [(depth + 1, child) for child in reversed(children.pop(step.record.candidate.id, []))]

    def chart(self) -> str:
        """Return the score over rollouts, as the text of an SVG picture."""
        lines = {"best so far (the search's own estimate)": list(self.curve)}
        result, end = self.run.result or {}, float(self.run.rollouts)
        if result.get("final_eval_score") is not None:
            lines["held-out, before"] = [(0.0, result["initial_eval_score"]), (end, result["initial_eval_score"])]
            lines["held-out, after"] = [(end, result["final_eval_score"])]
        return line_chart(lines, title=f"optimization run {self.run.id}", x="rollouts", y="score")

    def html(self) -> str:
        """Return the report as one HTML page that loads nothing."""
        return page("run.html.j2", report=self, chart=self.chart())


def report_of(runs: RunTable, run: RunRecord) -> RunReport:
    """Return the report of a stored optimization run, finished or not."""
    records, examples, rollouts = runs.candidates(run.id), runs.examples(run.id), runs.rollouts(run.id, "train")
    config = RunConfig.from_json(run.config)
    _, validation = split_validation(examples.get("train", []), random.Random(config.seed), config.few)  # noqa: S311  the search's
    known = {example.id: example for example in examples.get("train", [])}
    candidates = {record.candidate.id: record.candidate for record in records}
    by_example: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        by_example.setdefault(rollout.example_id, []).append(rollout)
    reflections, proof = runs.reflections(run.id), runs.rollouts(run.id, "held_out")
    into = merged(records)
    proposals = {into[record.candidate.id].candidate.id: record for record in records if record.candidate.id in into}
    winner = next((record for record in records if record.status == "winner"), None)
    baseline = records[0].candidate if records else None
    both = None if baseline is None or winner is None else (baseline, winner.candidate)
    every = [*rollouts, *proof]
    unread = [record for record in reflections if record.detail.get("unreadable")]
    return RunReport(
        run,
        config,
        [
            Step(
                r,
                _changes(r.candidate, candidates),
                _causes(r, known, by_example),
                proposals.get(r.candidate.id),
                r.candidate.id in into,
            )
            for r in records
        ],
        [(float(r.detail["at"]), r.detail["best"]) for r in sorted(records, key=_position) if r.detail.get("best") is not None],
        pareto_front(records, rollouts, {example.id: example for example in validation}),
        len(reflections),
        sum(usage.input_tokens + usage.output_tokens for usage in [*(r.usage for r in reflections), *map(_usage, every)]),
        dollars=_sum(
            [*(r.cost for r in reflections), *(r.cost for r in every if r.usage.calls), *(r.judging_cost for r in every)]
        ),
        changes=changes_of(*both) if both else (),
        proof=proof_rows(*both, examples.get("held_out", []), proof) if both else (),
        log=log_of(records),
        ended=str(winner.detail.get("ended", "")) if winner is not None else "",
        unreadable=[f"{r.detail['unreadable']}: {mask_secrets(r.answer)[:_MAX_ANSWER]!r}" for r in unread],
        unscored=[rollout.unscored for rollout in every if rollout.unscored is not None],
        failed=sum(rollout.error is not None for rollout in every),
    )


def _usage(rollout: Rollout) -> Usage:
    return rollout.usage + rollout.judging


def _sum(costs: Sequence[float | None]) -> float | None:
    """Return the sum of costs; None if one of them is not known, or if nothing cost anything."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) and any(known) else None


def _position(record: CandidateRecord) -> float:
    """Return how many rollouts had ended at the last decision."""
    return float(record.detail.get("at", 0))


def _changes(candidate: Candidate, known: Mapping[str, Candidate]) -> dict[str, tuple[str, str]]:
    parent = known.get(candidate.parent_id or "")
    if parent is None:
        return {}
    before = components(parent.templates)
    return {key: (before.get(key, ""), text) for key, text in components(candidate.templates).items() if text != before.get(key)}


def _causes(record: CandidateRecord, examples: Mapping[str, Example], rollouts: Mapping[str, Sequence[Rollout]]) -> list[Cause]:
    """Return the failures that the reflection model was shown; only those of the kinds that the edit was aimed at, if they are known."""
    aimed, found = set(record.detail.get("aimed_at", ())), []
    for example_id in record.detail.get("shown", ()):
        failed = [
            item.text
            for rollout in rollouts.get(example_id, ())[:1]
            for score in rollout.scores.values()
            for item in score.items
            if not item.ok and (not aimed or (item.key or "wrong") in aimed)
        ]
        if example_id in examples and (failed or not aimed):
            inputs = ", ".join(f"{name}: {shown_text(value)}" for name, value in examples[example_id].inputs.items())
            found.append(Cause(mask_secrets(inputs)[:_MAX_CHARACTERS], [mask_secrets(text)[:_MAX_CHARACTERS] for text in failed]))
    return found
