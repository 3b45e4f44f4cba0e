"""The report of an optimization run: the tree of candidates, what caused each edit, the test that decided it, and the score over time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.evaluation.html import line_chart, page
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.optimize.engine.evidence import Evidence, stored_evidence
from prompt_registry_plugin.optimize.engine.pareto import ParetoPoint, pareto_front
from prompt_registry_plugin.optimize.engine.run_config import RunConfig
from prompt_registry_plugin.optimize.engine.splits import split_validation
from prompt_registry_plugin.optimize.optimizers.reflection import shown_text
from prompt_registry_plugin.protocols import CandidateRecord, RunRecord, RunTable
from prompt_registry_plugin.records import Candidate, Example, Rollout

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

    @property
    def reason(self) -> str:
        """The reason of the last decision, with the test that it is based on."""
        text = str(self.record.detail.get("text") or self.record.candidate.note or self.record.status)
        test = self.record.detail.get("test")
        return text if test is None or test == text else f"{text} ({test})"

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
    """Input and output tokens of rollouts and reflections."""

    @property
    def evidence(self) -> Evidence | None:
        """The grade of the winner with the figures behind it; None without a held-out test."""
        return stored_evidence(self.run.result)

    def walk(self) -> Iterator[tuple[int, Step]]:
        """Yield (depth, step) as a tree: each step under the candidate that it was made from."""
        known = {step.record.candidate.id for step in self.steps}
        children: dict[str | None, list[Step]] = {}
        for step in self.steps:
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
    reflections = runs.reflections(run.id)
    return RunReport(
        run,
        config,
        [Step(r, _changes(r.candidate, candidates), _causes(r, known, by_example)) for r in records],
        [(float(r.detail["at"]), r.detail["best"]) for r in sorted(records, key=_position) if r.detail.get("best") is not None],
        pareto_front(records, rollouts, {example.id: example for example in validation}),
        len(reflections),
        sum(usage.input_tokens + usage.output_tokens for usage in [r.usage for r in reflections] + [r.usage for r in rollouts]),
    )


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
