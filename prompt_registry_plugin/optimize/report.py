"""A run as it can be read afterwards: the tree of candidates, what caused each edit, the test that decided it, and the score over time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.evaluation.html import line_chart, page
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.optimize.engine.pareto import ParetoPoint, pareto_front
from prompt_registry_plugin.optimize.engine.run import divided
from prompt_registry_plugin.optimize.optimizers.reflection import shown_text
from prompt_registry_plugin.protocols import CandidateRecord, RunRecord, RunTable
from prompt_registry_plugin.records import Candidate, Example, Rollout

_SHORT = 160


@dataclass(frozen=True, slots=True)
class Cause:
    """A run that an edit was made for: its inputs and what was wrong with it."""

    inputs: str
    wrong: Sequence[str]


@dataclass(frozen=True, slots=True)
class Step:
    """A candidate with what became of it: the texts that it changed, before and after, and the failures that caused it."""

    record: CandidateRecord
    changes: Mapping[str, tuple[str, str]]
    causes: Sequence[Cause]

    @property
    def said(self) -> str:
        """The verdict: the test that accepted or rejected it."""
        said = str(self.record.detail.get("text") or self.record.candidate.note or self.record.status)
        test = self.record.detail.get("test")
        return said if test is None or test == said else f"{said} ({test})"

    def to_json(self) -> dict[str, Any]:
        """The same as JSON data."""
        candidate = self.record.candidate
        known = {key: value for key, value in self.record.detail.items() if key not in ("edits", "aims")}
        return {
            "id": candidate.id, "parent": candidate.parent_id, "status": self.record.status, "note": candidate.note, **known,
            "changes": {key: {"before": before, "after": after} for key, (before, after) in self.changes.items()},
            "causes": [{"inputs": cause.inputs, "wrong": list(cause.wrong)} for cause in self.causes],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything that is known of a run. `curve` is the best score so far, as the search estimated it, over its rollouts."""

    run: RunRecord
    steps: Sequence[Step]
    curve: Sequence[tuple[float, float]]
    front: Sequence[ParetoPoint]
    reflections: int
    tokens: int

    def walk(self) -> Iterator[tuple[int, Step]]:
        """The steps as a tree, each with its depth, under the candidate that it came from."""
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
        """The score over rollouts, as an SVG text."""
        lines = {"best so far (the search's own estimate)": list(self.curve)}
        result, end = self.run.result or {}, float(self.run.rollouts)
        if result.get("final_eval_score") is not None:
            lines["held-out, before"] = [(0.0, result["initial_eval_score"]), (end, result["initial_eval_score"])]
            lines["held-out, after"] = [(end, result["final_eval_score"])]
        return line_chart(lines, title=f"run {self.run.id}", x="rollouts", y="score")

    def html(self) -> str:
        """All of it as one page that loads nothing."""
        return page("run.html.j2", report=self, chart=self.chart())


def report_of(runs: RunTable, run: RunRecord) -> RunReport:
    """The report of a stored run, finished or not."""
    records, examples, rollouts = runs.candidates(run.id), runs.examples(run.id), runs.rollouts(run.id, "train")
    _, validation = divided(examples.get("train", []), random.Random(run.config["seed"]))  # noqa: S311  as the run divided them
    known = {example.id: example for example in examples.get("train", [])}
    candidates = {record.candidate.id: record.candidate for record in records}
    by_example: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        by_example.setdefault(rollout.example_id, []).append(rollout)
    reflections = runs.reflections(run.id)
    return RunReport(
        run,
        [Step(r, _changes(r.candidate, candidates), _causes(r, known, by_example)) for r in records],
        [(float(r.detail["at"]), r.detail["best"]) for r in sorted(records, key=_at) if r.detail.get("best") is not None],
        pareto_front(records, rollouts, {example.id: example for example in validation}),
        len(reflections),
        sum(usage.input_tokens + usage.output_tokens for usage in [r.usage for r in reflections] + [r.usage for r in rollouts]),
    )


def _at(record: CandidateRecord) -> float:
    return float(record.detail.get("at", 0))


def _changes(candidate: Candidate, known: Mapping[str, Candidate]) -> dict[str, tuple[str, str]]:
    parent = known.get(candidate.parent_id or "")
    if parent is None:
        return {}
    before = components(parent.templates)
    return {key: (before.get(key, ""), text) for key, text in components(candidate.templates).items() if text != before.get(key)}


def _causes(record: CandidateRecord, examples: Mapping[str, Example], rollouts: Mapping[str, Sequence[Rollout]]) -> list[Cause]:
    """The failures that the reflection model was shown: of the kinds that the edit was aimed at, where they are known."""
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
            found.append(Cause(mask_secrets(inputs)[:_SHORT], [mask_secrets(text)[:_SHORT] for text in failed]))
    return found
