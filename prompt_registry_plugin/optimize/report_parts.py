"""Parts of the report of an optimization run: each row of the held-out test, and a log of edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.optimize.optimizers.reflection import shown_text
from prompt_registry_plugin.protocols import CandidateRecord
from prompt_registry_plugin.records import Candidate, Example, Rollout

_MAX_CHARACTERS = 160  # of an input, an answer or a reason: a line of a wide terminal


@dataclass(frozen=True, slots=True)
class ProofRow:
    """One example of the held-out test."""

    inputs: str
    """Its inputs, shortened."""
    before: float | None
    """The baseline's score; None if it has none."""
    after: float | None
    """The winner's score; None if it has none."""
    answers: tuple[str, str]
    """What baseline and winner answered, or why they failed or have no score; shortened."""

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `same`, or `no score` if one of them has none."""
        if self.before is None or self.after is None:
            return "no score"
        return "better" if self.after > self.before else "worse" if self.after < self.before else "same"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One edit from its proposal to its end, in one line."""

    at: int
    """Rollouts that had ended at the last decision."""
    status: str
    """The last decision."""
    text: str
    """What was decided, with the test."""


def proof_rows(
    baseline: Candidate, winner: Candidate, examples: Sequence[Example], rollouts: Sequence[Rollout]
) -> list[ProofRow]:
    """Return the examples that both ran on, those that changed first."""
    found = {(rollout.candidate_id, rollout.example_id): rollout for rollout in rollouts}
    rows = []
    for example in examples:
        pair = [found.get((candidate.id, example.id)) for candidate in (baseline, winner)]
        if pair[0] is not None and pair[1] is not None:
            shown = ", ".join(f"{name}: {shown_text(value)}" for name, value in example.inputs.items())
            rows.append(ProofRow(_short(shown), pair[0].score, pair[1].score, (_answer(pair[0]), _answer(pair[1]))))
    order = ("worse", "better", "no score", "same")
    return sorted(rows, key=lambda row: order.index(row.verdict))


def _answer(rollout: Rollout) -> str:
    return _short(rollout.error or rollout.unscored or shown_text(rollout.outputs))


def _short(text: str) -> str:
    return mask_secrets(text)[:_MAX_CHARACTERS]


def merged(records: Sequence[CandidateRecord]) -> Mapping[str, CandidateRecord]:
    """Return, by id of a proposal that was accepted, the newest candidate that it was merged into."""
    commits: dict[int, CandidateRecord] = {}
    for record in records:
        if "commit" in record.detail:
            commits[record.detail["edit"]] = record
    return {
        record.candidate.id: commits[record.detail["edit"]]
        for record in records
        if record.status == "accepted" and record.detail.get("edit") in commits
    }


def log_of(records: Sequence[CandidateRecord]) -> list[LogEntry]:
    """Return a line for each edit in the order of the last decisions; one line for an edit that was accepted and then merged."""
    into = merged(records)
    proposals = {id(commit): proposal for proposal in records if (commit := into.get(proposal.candidate.id)) is not None}
    lines = [
        LogEntry(int(record.detail.get("at", 0)), record.status, describe(record, proposals.get(id(record))))
        for record in records
        if record.candidate.id not in into
    ]
    return sorted(lines, key=lambda line: line.at)


def describe(record: CandidateRecord, proposal: CandidateRecord | None = None) -> str:
    """Return the reason of the last decision about a candidate, with the test that it is based on: its own, or its proposal's."""
    text = str(record.detail.get("text") or record.candidate.note or record.status)
    if record.status == "proposed" and "edit" in record.detail:
        text += ": not tested to the end"
    test: Any = record.detail.get("test") or (proposal.detail.get("test") if proposal is not None else None)
    return text if test is None or test == text else f"{text} ({test})"
