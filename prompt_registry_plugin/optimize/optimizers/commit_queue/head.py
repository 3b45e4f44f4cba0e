"""The head of a search: the texts that edits are committed to, like the tip of a branch.

Many workers edit at once, so an edit is often made for a head that has moved since. It is then merged. A bundle of commits becomes a
checkpoint or is rolled back as a whole (`checkpoints`). All decisions are stored, so that a resumed run rebuilds the same head.
"""

from __future__ import annotations

from collections.abc import Sequence

from prompt_registry_plugin.optimize.engine.components import components, with_component
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.edit import Edit, Proposal
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import Knowledge
from prompt_registry_plugin.optimize.optimizers.commit_queue.merge import merge
from prompt_registry_plugin.records import Candidate


class Head:
    """The current texts with their history.

    `candidate` is the head itself. `checkpoints` are the heads that passed a check, the baseline first. `commits` counts all commits
    of the run, `pending` holds the edits since the last checkpoint.
    """

    def __init__(self, problem: Problem, knowledge: Knowledge) -> None:
        self._problem, self._knowledge = problem, knowledge
        self.candidate = problem.baseline
        self.checkpoints = [problem.baseline]
        self.commits = 0
        self.pending: list[Edit] = []
        self._rolled_back: set[str] = set()  # candidate ids

    def restore(self) -> None:
        """Rebuild the head from the stored decisions of an earlier process."""
        candidates = {record.candidate.id: record.candidate for record in self._problem.history}
        edits: dict[int, Edit] = {}
        commits: dict[int, int] = {}  # by edit: its last commit
        for record in sorted(self._problem.history, key=lambda record: record.detail.get("commit", 0)):
            candidate, detail = record.candidate, record.detail
            base = candidates.get(candidate.parent_id or "")
            if base is not None and "gain" in detail:
                edits[detail["edit"]] = Proposal(detail["edit"], base, candidate).as_edit(detail["gain"])
            self.commits = max(self.commits, detail.get("commit", 0))  # also one that was taken back
            if record.status in ("committed", "checkpoint"):
                self.candidate = candidate
            if "commit" in detail:
                commits[detail["edit"]] = detail["commit"]
            if record.status == "checkpoint":
                self.checkpoints.append(candidate)
        since = self._knowledge.edits_in(self.candidate) - self._knowledge.edits_in(self.checkpoints[-1])
        self.pending = [edits[number] for number in sorted(since, key=lambda number: commits.get(number, 0)) if number in edits]

    def commit(self, proposal: Proposal, gain: float) -> bool:
        """Make an accepted proposal part of the head; return False when it conflicts with an edit that came meanwhile."""
        edit = proposal.as_edit(gain)
        new = proposal.candidate if self.candidate.id == proposal.base.id else self._merge(edit, "merged")
        # A merge may lead to texts that were decided on before, and rejected perhaps.
        if new is None or self._problem.status(new) not in (None, "proposed", "accepted"):
            note = f"{proposal.candidate.note}: in conflict with a later edit"
            self._problem.decide(proposal.candidate, "rejected", note)
            return False
        self._advance(new, edit)
        return True

    def promote(self, candidate: Candidate, bundle: int) -> None:
        """Make `candidate` the newest checkpoint: the first `bundle` pending edits held. Edits that came meanwhile stay pending."""
        self.checkpoints.append(candidate)
        self.pending = self.pending[bundle:]

    def roll_back(self, candidate: Candidate, bundle: int, verdict: str) -> None:
        """Return to the last checkpoint, and replay all pending edits except the weakest of the first `bundle`.

        `candidate` failed the check with `verdict`. Mostly one edit of a bundle is to blame: the others get another chance in the
        next bundle, and so do those that came while the check ran.
        """
        edits = self.pending
        self._record_rollback(candidate, verdict)
        self.candidate = self.checkpoints[-1]
        weakest = min(edits[:bundle], key=lambda edit: edit.gain, default=None)
        self._replay([edit for edit in edits if edit is not weakest], candidate)

    def _merge(self, edit: Edit, how: str) -> Candidate | None:
        """Return the head with an edit that was made for another version, or None in case of a conflict."""
        new = self.candidate
        for component, (before, after) in edit.changes.items():
            ours = components(new.templates)[component]
            text = merge(before, ours, after)
            # A merge of two sound texts may be unsound: too long, or with a protected passage twice.
            if text is None or self._problem.fault(component, text, ours) is not None:
                return None
            new = with_component(new, component, text, f"{edit.note}, {how}")
        return new

    def _advance(self, new: Candidate, edit: Edit) -> None:
        """Move the head to `new`, which is the head with one more edit, and store the commit."""
        edits = self._knowledge.edits_in(self.candidate) | {edit.number}
        self._knowledge.add_version(new, edits)
        self.candidate = new
        self.commits += 1
        self.pending.append(edit)
        detail = {"commit": self.commits, "edit": edit.number, "edits": sorted(edits)}
        self._problem.decide(new, "committed", f"{new.note}: committed", detail)

    def _record_rollback(self, candidate: Candidate, verdict: str) -> None:
        """Store that all commits since the checkpoint are rejected; a resumed run would otherwise take them for the head."""
        kept = self._knowledge.edits_in(self.checkpoints[-1])
        self._rolled_back = set()
        for record in list(self._problem.history):
            is_candidate = record.candidate.id == candidate.id
            if is_candidate or (record.status == "committed" and not frozenset(record.detail["edits"]) <= kept):
                self._rolled_back.add(record.candidate.id)
                note = verdict if is_candidate else f"{record.candidate.note}: taken back with the others"
                self._problem.decide(record.candidate, "rejected", note)

    def _replay(self, edits: Sequence[Edit], rejected: Candidate) -> None:
        """Commit edits again, on the checkpoint, as far as they still apply; never up to the very texts that were rejected."""
        self.pending = []
        for edit in edits:
            new = self._merge(edit, "replayed")
            if new is None or new.id == rejected.id:
                continue
            if new.id in self._rolled_back or self._problem.status(new) in (None, "proposed", "accepted"):
                self._advance(new, edit)
