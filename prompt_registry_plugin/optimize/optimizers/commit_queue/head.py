"""The head of a search: the texts that edits are committed to, and what checks them in bundles and races them in the end.

All comparisons use validation examples, which no reflection draws from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from prompt_registry_plugin.optimize.engine.components import components, with_component
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import Knowledge
from prompt_registry_plugin.optimize.optimizers.commit_queue.merge import merge
from prompt_registry_plugin.optimize.optimizers.commit_queue.tally import probability_positive
from prompt_registry_plugin.records import Candidate, Example, Rollout

_BUNDLE = 3  # commits between two checks of the head
_BLOCK, _BLOCKS = 12, 4  # examples of a check, at most so many times
_UNDECIDED = (0.15, 0.85)  # the probability of being better between which a check goes on
_PROMOTED = 0.5  # the probability of being better from which a head becomes a checkpoint
_FINALISTS = 3
_TRUST = 0.35  # the probability of being better from which a later version wins the race

Spend = Callable[[Candidate, Sequence[Example]], Awaitable[list[Rollout]]]


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one or more components that passed its test; `gain` is what the test estimated."""

    number: int
    changes: Mapping[str, tuple[str, str]]  # by component: before, after
    note: str
    gain: float


def edit_of(number: int, base: Candidate, child: Candidate, gain: float) -> Edit:
    """The edit that leads from `base` to `child`."""
    before, after = components(base.templates), components(child.templates)
    return Edit(number, {key: (before[key], text) for key, text in after.items() if text != before[key]}, child.note, gain)


class Head:
    """See the module. `candidate` is the head, `checkpoints` are the heads that held, the baseline first."""

    def __init__(self, problem: Problem, knowledge: Knowledge, spend: Spend) -> None:
        self._problem, self._knowledge, self._spend = problem, knowledge, spend
        self.candidate = problem.baseline
        self.checkpoints = [problem.baseline]
        self.commits = 0
        self.edits: list[Edit] = []  # since the last checkpoint
        self._checking = False
        self._undone: set[str] = set()

    def restore(self) -> None:
        """The head that the stored decisions of an earlier process lead to."""
        candidates = {record.candidate.id: record.candidate for record in self._problem.history}
        edits: dict[int, Edit] = {}
        for record in sorted(self._problem.history, key=lambda record: record.detail.get("commit", 0)):
            candidate, detail = record.candidate, record.detail
            base = candidates.get(candidate.parent_id or "")
            if base is not None and "gain" in detail:
                edits[detail["edit"]] = edit_of(detail["edit"], base, candidate, detail["gain"])
            if record.status in ("committed", "checkpoint"):
                self.candidate = candidate
                self.commits = max(self.commits, detail.get("commit", 0))
            if record.status == "checkpoint":
                self.checkpoints.append(candidate)
        since = self._knowledge.edits(self.candidate) - self._knowledge.edits(self.checkpoints[-1])
        self.edits = [edits[number] for number in sorted(since) if number in edits]

    async def commit(self, base: Candidate, child: Candidate, edit: Edit) -> None:
        """Puts the edit on the head, merging it when the head moved on meanwhile."""
        new = child if self.candidate is base else self._merged(edit, "merged")
        if new is None or self._problem.status(new) not in (None, "proposed", "accepted"):  # the same texts were judged before
            self._problem.decide(child, "rejected", f"{child.note}: in conflict with a later edit")
            return
        self._advance(new, edit)
        if self.commits % _BUNDLE == 0 and not self._checking:
            self._checking = True
            try:
                await self._check()
            finally:
                self._checking = False

    def _merged(self, edit: Edit, how: str) -> Candidate | None:
        """The head with an edit on it that was made elsewhere, or None when they do not go together."""
        new = self.candidate
        for component, (before, after) in edit.changes.items():
            ours = components(new.templates)[component]
            text = merge(before, ours, after)
            if text is None or self._problem.fault(component, text, ours) is not None:
                return None
            new = with_component(new, component, text, f"{edit.note}, {how}")
        return new

    def _advance(self, head: Candidate, edit: Edit) -> None:
        """Makes `head`, which is the head with an edit on it, the head, and stores that it is."""
        edits = self._knowledge.edits(self.candidate) | {edit.number}
        self._knowledge.add(head, edits)
        self.candidate = head
        self.commits += 1
        self.edits.append(edit)
        detail = {"commit": self.commits, "edit": edit.number, "edits": sorted(edits)}
        self._problem.decide(head, "committed", f"{head.note}: committed", detail)

    def _undo(self, judged: Candidate, verdict: str) -> None:
        """Stores that what was committed since the last checkpoint is no part of the head any more, so that a resume knows."""
        kept = self._knowledge.edits(self.checkpoints[-1])
        self._undone = set()
        for record in list(self._problem.history):
            is_it = record.candidate.id == judged.id
            if is_it or (record.status == "committed" and not frozenset(record.detail["edits"]) <= kept):
                self._undone.add(record.candidate.id)
                said = verdict if is_it else f"{record.candidate.note}: taken back with the others"
                self._problem.decide(record.candidate, "rejected", said)

    def _replay(self, edits: Sequence[Edit], judged: Candidate) -> None:
        """Puts edits on the checkpoint that is head again, as far as they still apply; not to the very text that was taken back."""
        self.edits = []
        for edit in edits:
            new = self._merged(edit, "replayed")
            if new is None or new.id == judged.id:
                continue
            if new.id in self._undone or self._problem.status(new) in (None, "proposed", "accepted"):
                self._advance(new, edit)

    async def _check(self) -> None:
        """Compares the head with the last checkpoint on common examples, in blocks, and promotes it or takes it back."""
        head, checkpoint, since = self.candidate, self.checkpoints[-1], len(self.edits)
        pool = sorted(self._problem.validation, key=lambda e: not self._problem.started(checkpoint, e))
        used: list[Example] = []
        probability = 0.5
        for block in range(_BLOCKS):
            examples = pool[block * _BLOCK : (block + 1) * _BLOCK]
            if not examples:
                break
            used += examples
            await asyncio.gather(self._spend(checkpoint, examples), self._spend(head, examples))
            differences = [self._worth(head, e) - self._worth(checkpoint, e) for e in used]
            probability = probability_positive(differences)
            if not 0.15 < probability < 0.85:
                break
        bundle, later = self.edits[:since], self.edits[since:]
        if probability >= _PROMOTED and used:
            self.checkpoints.append(head)
            self.edits = later
            scores = [self._score(head, e) for e in used]
            score = fmean(scores)
            self._problem.note_best(scores)
            verdict = f"checkpoint: {score:.3f} on {len(used)} examples, better with probability {probability:.2f}"
            self._problem.decide(head, "checkpoint", verdict)  # it keeps the number of its commit: others came meanwhile
        elif used:
            verdict = f"{head.note}: taken back, better with probability {probability:.2f} only, on {len(used)} examples"
            self._undo(head, verdict)
            self.candidate = checkpoint
            weakest = min(bundle, key=lambda edit: edit.gain, default=None)  # the others get another chance in the next bundle
            self._replay([edit for edit in (*bundle, *later) if edit is not weakest], head)

    def _score(self, candidate: Candidate, example: Example) -> float:
        rollout = self._problem.seen(candidate, example)
        assert rollout is not None
        return rollout.score

    def _worth(self, candidate: Candidate, example: Example) -> float:
        """Half the score, half the share of checks that are right where scorers say: a steadier measure of the same."""
        rollout = self._problem.seen(candidate, example)
        assert rollout is not None
        checks = [item.ok for score in rollout.scores.values() for item in score.items]
        return (rollout.score + fmean(checks)) / 2 if checks else rollout.score

    async def race(self) -> Candidate:
        """The best of the last checkpoints and the head on common validation examples.

        The baseline takes part only when nothing ever beat it; whether the winner beats it is for the held-out proof to say.
        """
        finalists = list({c.id: c for c in (*self.checkpoints[-_FINALISTS + 1 :], self.candidate)}.values())
        if len(finalists) == 1:
            return finalists[0]

        def missing(example: Example) -> int:
            return sum(self._problem.seen(candidate, example) is None for candidate in finalists)

        common: list[Example] = []
        left = self._problem.remaining
        for example in sorted(self._problem.validation, key=missing):
            if missing(example) <= left:
                left -= missing(example)
                common.append(example)
        if not common:
            return self.checkpoints[-1]
        await asyncio.gather(*(self._problem.evaluate(candidate, common) for candidate in finalists))
        means = {c.id: fmean(self._score(c, e) for e in common) for c in finalists}
        winner = finalists[0]
        for later in finalists[1:]:
            # Every edit in a later version passed a test of its own, so it takes some evidence to prefer the earlier one.
            if probability_positive([self._worth(later, e) - self._worth(winner, e) for e in common]) >= _TRUST:
                winner = later
        self._problem.note_best([self._score(winner, e) for e in common])
        summary = ", ".join(f"{c.note or 'baseline'} {means[c.id]:.3f}" for c in finalists)
        self._problem.decide(
            winner, "winner", f"race on {len(common)} examples, won by {winner.note or 'the baseline'}: {summary}"
        )
        return winner
