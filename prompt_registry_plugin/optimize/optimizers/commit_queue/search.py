"""The default search, `commit_queue`: many small edits at once on a moving head, tested where they should help, validated in bundles.

Workers run with no barrier between them. Each one repeats these steps, a module each:

1. `selector`: choose *clusters*, failures of one kind that one prompt is responsible for (`blame`), among all that is known (`knowledge`).
2. `proposer`: ask the reflection model for an edit of that prompt. Where scores say nothing but a number, `joint` rewrites all prompts.
3. `tester`: test the edit on these failures, on unseen ones of the kind, and on examples where the kind goes right, always against
   rollouts that exist (`tally`).
4. `head`: commit it, merged if the head has moved.
5. `checkpoints`: after a few commits, compare the head with the last checkpoint, and keep it or roll it back.

Where nothing is worth an edit, a worker gathers more rollouts of the head, or waits for the others. The last tenth of the budget goes
to the final `race`. Both comparisons use validation examples, which no reflection draws from.

The search's own scores choose a winner and prove nothing. The held-out test comes afterwards (`engine.proof`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.errors import BudgetExhausted
from prompt_registry_plugin.optimize.engine.problem import OptimizationResult, Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import Blame
from prompt_registry_plugin.optimize.optimizers.commit_queue.checkpoints import HeadCheck
from prompt_registry_plugin.optimize.optimizers.commit_queue.clusters import Cluster, clusters_of, draw_successes
from prompt_registry_plugin.optimize.optimizers.commit_queue.edit import Proposal
from prompt_registry_plugin.optimize.optimizers.commit_queue.head import Head
from prompt_registry_plugin.optimize.optimizers.commit_queue.joint import JointRewriter, has_only_scores
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import Knowledge, Observation
from prompt_registry_plugin.optimize.optimizers.commit_queue.listing import Listing
from prompt_registry_plugin.optimize.optimizers.commit_queue.proposer import Proposer, failure_evidence, success_evidence
from prompt_registry_plugin.optimize.optimizers.commit_queue.race import race
from prompt_registry_plugin.optimize.optimizers.commit_queue.restore import StoredEdit, unfinished
from prompt_registry_plugin.optimize.optimizers.commit_queue.sampler import Sampler
from prompt_registry_plugin.optimize.optimizers.commit_queue.selector import ENOUGH_FAILURES, Selector
from prompt_registry_plugin.optimize.optimizers.commit_queue.tester import EditTester

# Edits at once, at most. Measured in a simulated world at 600 rollouts: 4 instead of 12 gained nothing (12 seeds). One at a time closed
# 0.04 more of the gap to the best possible prompts with three prompts or one, nothing more with exact match (24 seeds), and took
# many times as long.
_MAX_WORKERS = 12


class CommitQueue:
    """See the module.

    `workers` edits are in progress at once. The default is half the concurrency of rollouts, and at most 12: each worker mostly
    waits for several rollouts or one reflection.
    """

    name = "commit_queue"
    reflects = True
    needs_data = True
    compares_in_blocks = True
    sees_rollouts_only = True  # so examples without any are as good as held out

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """Return the winner of the final race, which is the baseline when no edit held, with the search's estimate of its score."""
        search = _Search(problem)
        workers = self._workers or max(1, min(_MAX_WORKERS, problem.concurrency // 2))
        await search.run(workers)
        return OptimizationResult(await race(problem, search.head), problem.best_score)


class _Search:
    """The workers and what they share.

    Everything runs in one event loop, and state changes only between two `await`s: no locks are needed. What was read before an
    `await` may be outdated after it, so an edit carries the head that it was made for.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        baseline = problem.baseline_components
        self.listing = Listing(list(baseline), problem.reflect)
        self.blame = Blame(baseline, self.listing.items)
        self.knowledge = Knowledge(problem, problem.train, self.blame, lambda: self.listing.answers)
        self.knowledge.add_version(problem.baseline, frozenset())
        self.sampler = Sampler(problem, self.blame, self.listing)
        self.head = Head(problem, self.knowledge)
        self.head_check = HeadCheck(problem, self.head, self.sampler)
        self.selector = Selector(len(problem.train))
        self.proposer = Proposer(problem)
        self.tester = EditTester(problem, self.sampler, self.blame, self.knowledge)
        self.joint = JointRewriter(problem, self.knowledge, self.blame, self.proposer, self.sampler)
        self._is_gathering = False
        # A process that ends loses its reflections under way. Until the resumed one has as many results, its workers are as idle as at
        # a start, and would spend their time, and the budget, on running known examples again.
        self._lost_edits = 0
        self.is_spent = False
        self._changed = asyncio.Event()
        self._restore()

    def _restore(self) -> None:
        """Rebuild the state from the stored decisions of an earlier process, if there was one."""
        for answer in self.problem.reflections:
            if answer.purpose == "listing":
                self.listing.add_answer([(candidate, example) for candidate, example in answer.detail["runs"]], answer.answer)
        for record in self.problem.history:
            if "edits" in record.detail:
                self.knowledge.add_version(record.candidate, frozenset(record.detail["edits"]))
                self.proposer.number = max(self.proposer.number, record.detail["edit"])
            if "aims" in record.detail:
                targets = {(component, kind) for component, kind in record.detail["aims"]}
                self.knowledge.set_targets(record.detail["edit"], targets)
        self.head.restore()
        self._left = unfinished(self.problem.history)
        if self._left.tested or self._left.untested:  # other draws than those that the earlier process began with
            self.problem.random.seed(self.problem.random.getrandbits(64) + self.problem.finished)
            self._lost_edits = max(1, self.problem.concurrency // 2)
        for edit, was_accepted in self._left.tested:
            self.selector.restore(edit.keys, edit.detail["shown"], accepted=was_accepted)
            self.tester.restore(fixed=edit.detail.get("fixed", 1))
        for edit in self._left.untested:
            self.selector.restore(edit.keys, edit.detail["shown"])

    async def run(self, workers: int) -> None:
        """Search until only the reserve for the race is left, or nothing is left to try."""
        try:
            rollouts = await self.sampler.observe(self.head.candidate, self.sampler.first_block())
        except BudgetExhausted:
            return
        self.problem.note_best([rollout.score for rollout in rollouts])
        await self._make_up_for_commits()
        await all_of(self._work() for _ in range(workers))
        self.problem.ended = self._why_it_ended()

    def _why_it_ended(self) -> str:
        if self.proposer.has_given_up:
            return "the reflection model's last proposals could not be used"
        if self.joint.has_given_up:
            return "the reflection model's last rewrites held nothing new"
        if self.is_spent or self.sampler.is_exhausted:
            return "the budget was spent, up to the final race"
        if clusters_of(self.knowledge.observations(self.head.candidate)):
            return "every failure that is left resisted several edits"
        return "no failure was left"

    async def _make_up_for_commits(self) -> None:
        """Commit what an earlier process accepted, and check what it committed, if it ended before that."""
        with suppress(BudgetExhausted):
            for edit in self._left.uncommitted:
                await self._commit(edit.proposal, edit.detail["gain"])
            await self.head_check.check_if_cut_off()

    async def _work(self) -> None:
        """One worker. It ends when the budget does, though others may still use what was too little for its own next step."""
        try:
            while not self.sampler.is_exhausted and not self.proposer.has_given_up and await self._step():
                pass
        except BudgetExhausted:
            self.is_spent = True

    async def _step(self) -> bool:
        """Do what helps the search most now; return False when nothing is left to try."""
        if self._left.untested:
            await self._test_again(self._left.untested.pop(0))
            return True
        observations = self.knowledge.observations(self.head.candidate)
        if has_only_scores(observations):
            return await self._rewrite_all()
        clusters = clusters_of(observations)
        if chosen := self.selector.choose(clusters, len(observations)):
            await self._treat(chosen, observations)
            return True
        best = max((cluster.promise for cluster in clusters.values()), default=0.0)
        if await self._gather(observations, many=best < ENOUGH_FAILURES):
            return True
        if self.selector.in_flight or self._is_gathering:
            await self._changed.wait()  # what the other workers find may be worth an edit
            return True
        return self.selector.retry_resistant()

    async def _treat(self, clusters: Sequence[Cluster], observations: Sequence[Observation]) -> None:
        """Propose, test and commit one edit aimed at `clusters`."""
        keys = {cluster.key for cluster in clusters}
        component, base = clusters[0].key[0], self.head.candidate
        self.selector.in_flight |= keys
        try:
            failures = self.selector.choose_failures(clusters, observations)
            contrasts = 2 + len(failures) // 2  # fewer than failures: they show what to keep, not what to change
            successes = draw_successes(self.problem.random, clusters, observations, contrasts)
            with self.problem.doing(f"{component}: {', '.join(sorted(kind for _, kind in keys))}"):
                evidence = (
                    failure_evidence(failures, [cluster.key for cluster in clusters]),
                    success_evidence(successes, component),
                )
                proposal = await self.proposer.propose(base, component, *evidence)
                gain = None if proposal is None else await self.tester.test(proposal, clusters, failures, observations)
            self.selector.adapt(accepted=gain is not None)
            if proposal is not None and gain is not None:
                await self._commit(proposal, gain)
        finally:
            self._lost_edits -= 1
            self.selector.in_flight -= keys
            self._wake()

    async def _test_again(self, edit: StoredEdit) -> None:
        """Test and commit an edit whose test an earlier process did not finish."""
        observations = self.knowledge.observations(edit.proposal.base)
        failing = clusters_of(observations)
        clusters = [failing[key] for key in sorted(edit.keys) if key in failing]
        failures = [one for one in observations if one.example.id in edit.detail["shown"] and edit.keys & one.failing.keys()]
        keys = {cluster.key for cluster in clusters}
        self.selector.in_flight |= keys
        try:
            if failures:
                gain = await self.tester.test(edit.proposal, clusters, failures, observations)
                self.selector.adapt(accepted=gain is not None)
            else:  # a rewrite of everything, or a failure that is none any more: scores tell
                gain = await self.joint.test_again(edit.proposal, edit.detail)
            if gain is not None:
                await self._commit(edit.proposal, gain)
        finally:
            self.selector.in_flight -= keys
            self._wake()

    async def _rewrite_all(self) -> bool:
        """Propose, test and commit new texts for all components; return False when that led nowhere too often."""
        if self.joint.has_given_up:
            return False
        async with self.joint.slots:
            accepted = await self.joint.rewrite(self.head.candidate)
            if accepted is not None:
                await self._commit(*accepted)
        return True

    async def _commit(self, proposal: Proposal, gain: float) -> None:
        if self.head.commit(proposal, gain):
            await self.head_check.check_if_due()

    async def _gather(self, observations: Sequence[Observation], *, many: bool) -> bool:
        """Run the head on more examples; return False when it ran on all, or another worker is gathering."""
        head = self.head.candidate
        block = self.sampler.next_block(head, observations, many=many)
        if self._lost_edits > 0 and self.selector.in_flight:
            known = {one.example.id for one in observations}
            block = [example for example in block if example.id not in known]
        if not block or self._is_gathering:
            return False
        self._is_gathering = True
        try:
            await self.sampler.observe(head, block)
        finally:
            self._is_gathering = False
            self._wake()
        return True

    def _wake(self) -> None:
        """Let waiting workers look again."""
        self._changed.set()  # and a new event for those that wait from now on
        self._changed = asyncio.Event()
