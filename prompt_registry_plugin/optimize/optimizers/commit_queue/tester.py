"""Testing an edit: a few rollouts, each paired with one that exists, on what it should fix and on what it must not break."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import Blame
from prompt_registry_plugin.optimize.optimizers.commit_queue.clusters import Cluster, cover, draw_successes
from prompt_registry_plugin.optimize.optimizers.commit_queue.edit import Proposal
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import Knowledge, Observation
from prompt_registry_plugin.optimize.optimizers.commit_queue.sampler import Sampler
from prompt_registry_plugin.optimize.optimizers.commit_queue.tally import Tally
from prompt_registry_plugin.records import CandidateStatus

# Failures of the first part of a test: those that the model was shown. An edit that fixes none of them is not tested further.
_FIRST_EXAMPLES = 3
# A test is made in two parts while more than one edit in this many fixes nothing. Otherwise both parts run at once: waiting for
# the first one costs time, and saves rollouts only when the edit is rejected there. Chosen, not measured.
_EDITS_PER_INEFFECTIVE = 5
# Failures of the kind that the model was not shown, so that a rule made for the shown cases alone is not accepted.
_UNSEEN_EXAMPLES = 4
# Examples in which the kind goes right and has to stay right. Four instead of eight left more rollouts for edits in all
# simulated development worlds.
_GUARD_EXAMPLES = 4
# The share of the targeted failures that an edit has to fix: about one in three. Below it, the fixes may be noise, as a failure
# often goes away on a second run. Carried over from the prototype; the neighboring values were not measured.
_MIN_FIXED_SHARE = 0.34


class EditTester:
    """Decides whether a proposal becomes an edit. A wrong decision costs little: the next check of the head undoes it."""

    def __init__(self, problem: Problem, sampler: Sampler, blame: Blame, knowledge: Knowledge) -> None:
        self._problem, self._sampler, self._blame, self._knowledge = problem, sampler, blame, knowledge
        self._tested = 0
        self._ineffective = 0  # of those, edits that fixed nothing

    def restore(self, fixed: int) -> None:
        """Count a test of an earlier process, which fixed so many failures."""
        self._tested += 1
        self._ineffective += not fixed

    async def test(
        self,
        proposal: Proposal,
        clusters: Sequence[Cluster],
        failures: Sequence[Observation],
        observations: Sequence[Observation],
    ) -> float | None:
        """Return the estimated gain in checks per example, or None when the proposal fixes too little or breaks too much.

        `clusters` is what the edit is aimed at, `failures` what the reflection model was shown of them, `observations` everything
        known about the head. Raises `BudgetExhausted`.
        """
        detail = self._detail_of(proposal, clusters, failures)
        self._problem.decide(proposal.candidate, "proposed", detail=detail)
        tally = Tally()
        first = _first_failures(clusters, failures)
        in_two_parts = self._ineffective * _EDITS_PER_INEFFECTIVE > self._tested + 1
        if in_two_parts:
            await self._compare(proposal, first, clusters, tally)
            if not tally.fixed:
                self._count(tally)
                verdict = f"{proposal.candidate.note}: rejected, fixed none of {tally.aimed}"
                self._problem.decide(proposal.candidate, "rejected", verdict, {**detail, "fixed": 0})
                return None
        unseen, guards = self._unseen_and_guards(proposal, first, clusters, failures, observations)
        await self._compare(proposal, [*([] if in_two_parts else first), *unseen, *guards], clusters, tally)
        self._count(tally)
        gain = tally.gain(clusters, observations)
        accepted = tally.fixed >= _MIN_FIXED_SHARE * tally.aimed and gain > 0 and tally.is_measured
        self._record(proposal, tally, gain, detail, "accepted" if accepted else "rejected")
        return gain if accepted else None

    def _detail_of(self, proposal: Proposal, clusters: Sequence[Cluster], failures: Sequence[Observation]) -> dict[str, Any]:
        """Return what is stored with the candidate, from which a resumed run rebuilds the search."""
        return {
            "shown": sorted({one.example.id for one in failures}),
            "aimed_at": sorted(cluster.key[1] for cluster in clusters),
            "edit": proposal.number,
            "edits": sorted({*self._knowledge.edits_in(proposal.base), proposal.number}),
        }

    def _unseen_and_guards(
        self,
        proposal: Proposal,
        first: Sequence[Observation],
        clusters: Sequence[Cluster],
        failures: Sequence[Observation],
        observations: Sequence[Observation],
    ) -> tuple[list[Observation], list[Observation]]:
        # What an earlier process ran of this test comes first. The others that were shown come last: they are used where a cluster
        # has no unseen failures.
        known = [one for one in observations if self._problem.result(proposal.candidate, one.example) is not None]
        cost = {one.example.id: -1.0 for one in known}
        cost |= {one.example.id: 1.0 for one in failures} | {one.example.id: 2.0 for one in first}
        unseen = [one for one in cover(clusters, 2, cost) if one not in first][:_UNSEEN_EXAMPLES]
        used = {one.example.id for one in (*first, *unseen)}
        drawn = draw_successes(self._problem.random, clusters, observations, _GUARD_EXAMPLES + len(used))
        keys = {cluster.key for cluster in clusters}
        drawn = [*(one for one in known if keys & one.passing.keys() and one not in drawn), *drawn]
        return unseen, [one for one in drawn if one.example.id not in used][:_GUARD_EXAMPLES]

    async def _compare(
        self, proposal: Proposal, observations: Sequence[Observation], clusters: Sequence[Cluster], tally: Tally
    ) -> None:
        """Run the candidate on the same examples, and add each pair to `tally`."""
        rollouts = await self._sampler.observe(proposal.candidate, [one.example for one in observations])
        for before, after in zip(observations, rollouts, strict=True):
            tally.add_pair(before, after, clusters, self._blame)

    def _count(self, tally: Tally) -> None:
        self._tested += 1
        self._ineffective += not tally.fixed

    def _record(self, proposal: Proposal, tally: Tally, gain: float, detail: dict[str, Any], status: CandidateStatus) -> None:
        """Store the verdict; what an accepted edit fixed makes older evidence of it stale."""
        verdict = (
            f"{proposal.candidate.note}: {status}, fixed {tally.fixed} of {tally.aimed}, "
            f"broke {tally.broken} of {tally.right}, gain {gain:+.3f}"
            + (f", {tally.unscored} without a score" if tally.unscored else "")
        )
        detail |= {
            "test": verdict, "fixed": tally.fixed, "of": tally.aimed, "broken": tally.broken, "gain": gain,
            "aims": sorted(tally.fixed_keys),
        }  # fmt: skip
        self._problem.decide(proposal.candidate, status, verdict, detail)
        if status == "accepted":
            self._knowledge.add_version(proposal.candidate, frozenset(detail["edits"]))
            self._knowledge.set_targets(proposal.number, tally.fixed_keys)


def _first_failures(clusters: Sequence[Cluster], failures: Sequence[Observation]) -> list[Observation]:
    """Return the shown failures that are tested first: each cluster once, in few examples, then others that were shown."""
    keys = {cluster.key for cluster in clusters}
    fewest = {one.example.id: float(-len(keys & one.failing.keys())) for one in failures}
    first = cover(clusters, 1, fewest)[:_FIRST_EXAMPLES]
    return first + [one for one in failures if one not in first][: _FIRST_EXAMPLES - len(first)]
