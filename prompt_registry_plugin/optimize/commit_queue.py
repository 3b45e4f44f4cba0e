"""The default search, `commit_queue`: many small edits at once on a moving head, tested where they should help, validated in bundles.

Workers run with no barrier between them. Each takes a *cluster*: failures of one kind that one prompt is responsible for; asks
the reflection model for an edit of that prompt; tests it on those failures, on others of the kind that the model was not shown,
and on examples that must not break, always against rollouts that exist already; and commits it to the head. After a few
commits the head is compared with the last checkpoint and kept or taken back. The last tenth of the budget races the best
checkpoints. Both comparisons use examples that no reflection draws from.

The search's own scores choose; they prove nothing. The proof is made on held-out examples afterwards (`optimize.proof`).
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean, stdev
from typing import Any

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.errors import BudgetExhausted, ModelUnavailable
from prompt_registry_plugin.optimize.components import components, fault_of, with_component
from prompt_registry_plugin.optimize.failures import SCORE, Blame, ClusterKey
from prompt_registry_plugin.optimize.listing import Listing, is_prose
from prompt_registry_plugin.optimize.merge import merge_lines
from prompt_registry_plugin.optimize.problem import Problem
from prompt_registry_plugin.optimize.reflection import Evidence, proposed_text, reflection_prompt
from prompt_registry_plugin.records import Candidate, Example, Rollout

_SHOWN = 3  # failures of a cluster in one reflection
_CLUSTERS = (1, 3, 6)  # clusters of one prompt in one reflection: at least, at first, at most
_THIN = 3  # failures that a cluster needs while there are examples that nobody ran on yet
_GUARDS = 4  # examples that are right and must stay so, in the test of an edit
_BUNDLE = 2  # commits between two checks of the head
_BLOCK, _BLOCKS = 16, 3  # examples of a check, at most so many times
_FIX_SHARE = 0.34
# With nothing but numbers, good runs show more of a task than bad ones: so many of the best share are shown, and others tested on too.
_BEST_SHARE, _BEST_SHOWN, _OTHERS = 0.34, 6, 6
_VALIDATION_SHARE, _ENOUGH_TO_SPLIT = 0.4, 30
_FINALISTS = 3
_EDITS_AT_ONCE = 3  # of one component
_TRUST = 0.35  # the probability of being better from which a later version wins the race
_MAX_TREATED = (2, 10)  # edits aimed at one failure before others come first, and before it counts as beyond repair
_MAX_SILENT = 5  # failed reflections in a row that end a run: the model is gone, not merely busy


@dataclass(frozen=True, slots=True)
class _Edit:
    changes: Mapping[str, tuple[str, str]]  # by component: before, after
    note: str
    gain: float  # estimated by its test


@dataclass(slots=True)
class _State:
    order: list[Example]  # failures are looked for here, and shown to reflections
    validation: list[Example]  # heads are compared here; what is shown was chosen for failing, so it cannot compare fairly
    head: Candidate
    checkpoints: list[Candidate]
    commits: int = 0
    proposals: int = 0
    in_flight: set[ClusterKey] = field(default_factory=set)
    treated: Counter[tuple[ClusterKey, str]] = field(default_factory=Counter)  # (cluster, example) -> edits aimed at it
    checking: bool = False
    clusters: int = _CLUSTERS[1]
    patience: int = _MAX_TREATED[0]
    edits: list[_Edit] = field(default_factory=list)


class CommitQueue:
    """See the module. `workers` edits are in progress at once; the default follows the concurrency of rollouts."""

    name = "commit_queue"

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers

    async def optimize(self, problem: Problem) -> Candidate:
        """The checkpoint that won the last race; the baseline when no edit held."""
        order = list(problem.train)
        problem.random.shuffle(order)
        n = round(len(order) * _VALIDATION_SHARE) if len(order) >= _ENOUGH_TO_SPLIT else 0
        search = _Search(problem, _restored(problem, order[n:], order[:n] or order))
        # Edits of one text get into each other's way: more than a few at once cost more than they bring.
        workers = self._workers or max(1, min(8, problem.concurrency // 2, _EDITS_AT_ONCE * len(problem.baseline_components)))
        await search.run(workers)
        return await search.race()


def _restored(problem: Problem, order: list[Example], validation: list[Example]) -> _State:
    """The state that the stored decisions of an earlier process lead to; a fresh one when there are none."""
    state = _State(order, validation, problem.baseline, [problem.baseline])
    for record in sorted(problem.history, key=lambda record: record.detail.get("commit", 0)):
        if record.status in ("committed", "checkpoint"):
            state.head = record.candidate
            state.commits = max(state.commits, record.detail.get("commit", 0))
        if record.status == "checkpoint":
            state.checkpoints.append(record.candidate)
        state.proposals += record.status != "baseline"
    return state


class _Search:
    def __init__(self, problem: Problem, state: _State) -> None:
        self.problem = problem
        self.state = state
        self.baseline = problem.baseline_components
        self.reserve = max(problem.budget // 10, 1)
        self.changed = asyncio.Event()
        self.listing = Listing(list(self.baseline), problem.reflect)
        self.blame = Blame(self.baseline, self.listing.items)
        self.silent = 0  # reflections in a row that failed
        self.fruitless = 0  # proposals in a row that could not be used, where no edit can be aimed
        self.told_of_prose = False

    # --- the loop ---------------------------------------------------------------------------------------------------------

    async def run(self, workers: int) -> None:
        """Until the budget is down to the reserve or there is nothing left to try."""
        start = self.state.order[: max(20, self.problem.budget * 8 // 100)]
        try:
            await self.look(self.state.head, start[: max(1, self.problem.remaining - self.reserve)])
        except BudgetExhausted:
            return
        self.problem.note_best(fmean(rollout.score for _, rollout in self.known()))
        await all_of(self.work() for _ in range(workers))

    def wake(self) -> None:
        """Lets waiting workers look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def work(self) -> None:
        while self.problem.remaining > self.reserve:
            try:
                known = self.clusters()
                if _is_blind(known):
                    if self.fruitless >= _MAX_SILENT:
                        return
                    await self.improve_all()
                elif clusters := self.choose(known):
                    await self.improve(clusters)
                elif not await self.gather():
                    if not self.state.in_flight:
                        self.state.patience += 1  # everything was tried: try again what resisted
                        if self.state.patience > _MAX_TREATED[1]:
                            return
                        continue
                    await self.changed.wait()  # others are at work: what they find may be worth treating
                    continue
            except BudgetExhausted:
                return

    async def spend(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """Rollouts that leave the reserve for the race untouched."""
        new = sum(self.problem.seen(candidate, example) is None for example in examples)
        if new > self.problem.remaining - self.reserve:
            raise BudgetExhausted("only the reserve for the last race is left")
        return await self.problem.evaluate(candidate, examples)

    async def look(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """Rollouts that edits are aimed at and tested on: what went wrong in them has to be known."""
        rollouts = await self.spend(candidate, examples)
        wrong = [(e, r) for e, r in zip(examples, rollouts, strict=True) if self.blame.is_wrong(r)]
        if not self.told_of_prose and any(is_prose(rollout) for _, rollout in wrong):
            self.told_of_prose = True
            self.problem.tell("message", "the scorers judge in prose: the reflection model lists the mistakes, a call for four runs; "
                              "a Feedback with items would be free, and better")  # fmt: skip
        await self.listing.read(wrong)
        return rollouts

    async def gather(self) -> bool:
        """More rollouts of the head, on examples it has not seen; False when it has seen them all."""
        head = self.state.head
        unseen = [example for example in self.state.order if self.problem.seen(head, example) is None]
        # First those that no version ever ran on, then those that only older heads ran on, then those under way.
        unstarted = [example for example in unseen if not self.problem.started(head, example)]
        block = ([e for e in unstarted if self.latest(e) is None] or unstarted or unseen)[:8]
        if block:
            await self.look(head, block)
            self.wake()
        return bool(block)

    # --- what went wrong ----------------------------------------------------------------------------------------------------

    def latest(self, example: Example) -> Rollout | None:
        """The rollout of the newest version on the head's line."""
        for candidate in (self.state.head, *reversed(self.state.checkpoints)):
            if (rollout := self.problem.seen(candidate, example)) is not None:
                return rollout
        return None

    def known(self) -> list[tuple[Example, Rollout]]:
        """The examples that were run on, each with its newest rollout."""
        return [(example, rollout) for example in self.state.order if (rollout := self.latest(example)) is not None]

    def clusters(self) -> dict[ClusterKey, list[Evidence]]:
        """Failures by component and kind, as the newest rollouts know them."""
        known = self.known()
        self.blame.set_marks(rollout for _, rollout in known)
        found: dict[ClusterKey, list[Evidence]] = defaultdict(list)
        for example, rollout in known:
            for key, items in self.blame.blamed(rollout).items():
                found[key].append(Evidence(example, rollout, items))
        return found

    def choose(self, known: Mapping[ClusterKey, list[Evidence]]) -> list[tuple[ClusterKey, list[Evidence]]]:
        """The clusters to treat next: the largest that nobody works on, and more of the same component; none while evidence is thin."""
        unseen = any(not self.problem.started(self.state.head, e) and self.latest(e) is None for e in self.state.order)
        open_clusters: dict[ClusterKey, list[Evidence]] = {}
        for key, evidence in known.items():
            if key in self.state.in_flight or (unseen and len(evidence) < _THIN):
                continue
            fresh = sorted(evidence, key=lambda e: self.state.treated[key, e.example.id])
            if self.state.treated[key, fresh[0].example.id] < self.state.patience:
                open_clusters[key] = fresh
        if not open_clusters:
            return []
        busy = Counter(component for component, _ in self.state.in_flight)

        def weight(key: ClusterKey) -> float:
            tried = fmean(self.state.treated[key, e.example.id] for e in open_clusters[key])
            return len(open_clusters[key]) / (1 + busy[key[0]]) / (1 + tried)

        first = max(open_clusters, key=weight)
        same = sorted((key for key in open_clusters if key[0] == first[0] and key != first), key=weight, reverse=True)
        return [(key, open_clusters[key]) for key in [first, *same[: self.state.clusters - 1]]]

    # --- one edit ---------------------------------------------------------------------------------------------------------------

    async def improve(self, clusters: list[tuple[ClusterKey, list[Evidence]]]) -> None:
        """Proposes, tests and commits one edit aimed at `clusters`."""
        keys = {key for key, _ in clusters}
        self.state.in_flight |= keys
        try:
            shown = [evidence for _, listed in clusters for evidence in listed[:_SHOWN]]
            for key, listed in clusters:
                self.state.treated.update((key, evidence.example.id) for evidence in listed[:_SHOWN])
            component, base = clusters[0][0][0], self.state.head
            right = [e for e in self.successes(component) if e.example.id not in {s.example.id for s in shown}]
            contrasts = self.problem.random.sample(right, min(2 + len(shown) // 2, len(right)))
            child = await self.propose(base, component, shown, contrasts)
            gain = None if child is None else await self.test(child, clusters, shown)
            low, _, high = _CLUSTERS
            self.state.clusters = min(high, self.state.clusters + 1) if gain else max(low, self.state.clusters - 1)
            if child is not None and gain:
                await self.commit(base, child, shown, gain)
        finally:
            self.state.in_flight -= keys
            self.wake()

    # --- where there is nothing but a number ----------------------------------------------------------------------------------

    async def improve_all(self) -> None:
        """Proposes new texts for all components from some of the best runs, and tests them together on those runs and others."""
        base = self.state.head
        known = [Evidence(example, rollout, self.blame.items(rollout)) for example, rollout in self.known()]
        self.problem.random.shuffle(known)
        known.sort(key=lambda evidence: evidence.rollout.score, reverse=True)
        best = known[: max(1, round(len(known) * _BEST_SHARE))]
        drawn = self.problem.random.sample(best, min(_BEST_SHOWN, len(best)))
        made = await all_of(self.propose(base, key, [], drawn) for key in self.baseline)
        child = base
        for key, proposal in zip(self.baseline, made, strict=True):
            if proposal is not None:
                child = with_component(child, key, components(proposal.templates)[key], proposal.note)
        self.fruitless = self.fruitless + 1 if child is base else 0
        if child is base:
            return
        if len(self.baseline) > 1:
            child = Candidate(child.templates, base.id, f"edit {self.state.proposals} of all components")
        others = self.problem.random.sample([e for e in known if e not in drawn], min(_OTHERS, len(known) - len(drawn)))
        detail: dict[str, Any] = {"shown": sorted({e.example.id for e in drawn}), "aimed_at": []}
        differences: list[float] = []
        for part in (drawn, others):
            rollouts = await self.look(child, [e.example for e in part])
            differences += [new.score - e.rollout.score for e, new in zip(part, rollouts, strict=True)]
            if sum(differences) <= 0:
                break
        gain = fmean(differences)
        verdict = f"{child.note}: {'accepted' if gain > 0 else 'rejected'}, gained {gain:+.3f} on {len(differences)} examples"
        self.problem.decide(child, "accepted" if gain > 0 else "rejected", verdict, {**detail, "gain": gain})
        if gain > 0:
            await self.commit(base, child, drawn, gain)

    async def propose(
        self, base: Candidate, component: str, shown: Sequence[Evidence], contrasts: Sequence[Evidence]
    ) -> Candidate | None:
        """An edited candidate, or None when the model's proposals cannot be used; it gets a second chance to mend a fault."""
        text = components(base.templates)[component]
        fault = None
        for _ in range(2):
            try:
                answer = await self.problem.reflect(reflection_prompt(component, text, shown, contrasts, fault))
            except ModelUnavailable:
                self.silent += 1
                if self.silent >= _MAX_SILENT:
                    raise
                return None
            self.silent = 0
            proposal = proposed_text(answer)
            if proposal is None:
                fault = "no instruction stood between two lines of three backticks"
            else:
                fault = fault_of(proposal, self.baseline[component], text)
            if proposal is not None and fault is None:
                child = with_component(base, component, proposal, f"edit {self.state.proposals + 1} of {component}")
                if self.problem.status(child) is None:
                    self.state.proposals += 1
                    return child
                fault = "it was proposed before"
        self.problem.tell("message", f"a proposal for {component} could not be used: {fault}")
        return None

    def successes(self, component: str) -> list[Evidence]:
        found = []
        for example, rollout in self.known():
            if not any(key[0] == component for key in self.blame.blamed(rollout)):
                good = [
                    item for item in self.blame.items(rollout) if item.ok and component in self.blame.responsible(item, rollout)
                ]
                found.append(Evidence(example, rollout, good))
        return found

    async def test(
        self, child: Candidate, clusters: list[tuple[ClusterKey, list[Evidence]]], shown: list[Evidence]
    ) -> float | None:
        """The edit's estimated gain over all examples, or None when it fixes too little or breaks too much.

        What it fixes counts by the share of examples that its clusters are, what it breaks by the share that is right: an edit that
        mends most of a rare failure and breaks a few of the rest is a loss.
        """
        detail: dict[str, Any] = {"shown": sorted({e.example.id for e in shown}), "aimed_at": [kind for (_, kind), _ in clusters]}
        self.problem.decide(child, "proposed", detail=detail)
        keys = {key for key, _ in clusters}
        first = shown[:: max(1, len(shown) // _SHOWN)][:_SHOWN]
        fixed = self.blame.fixed(first, await self.look(child, [e.example for e in first]), keys)
        if not fixed:
            self.problem.decide(child, "rejected", f"{child.note}: rejected, fixed none of {len(first)}", detail)
            return None
        hidden = [e for _, listed in clusters for e in listed[_SHOWN : _SHOWN + 2]]
        targeted = [*hidden, *(e for e in shown if e not in first)][:4]
        right = self.successes(clusters[0][0][0])
        guards = self.problem.random.sample(right, min(_GUARDS, len(right)))
        rollouts = await self.look(child, [e.example for e in (*targeted, *guards)])
        fixed += self.blame.fixed(targeted, rollouts[: len(targeted)], keys)
        broken = sum(new.score < e.rollout.score for e, new in zip(guards, rollouts[len(targeted) :], strict=True))
        aimed, known = len(first) + len(targeted), len(self.known())
        wrong = len({e.example.id for _, listed in clusters for e in listed})
        # Shrunken rates: a third of edits' targets are fixed, and one guard in twenty breaks, before anything is seen.
        gain = (fixed + 1) / (aimed + 3) * wrong / known - (broken + 0.3) / (len(guards) + 6) * len(right) / known
        accepted = fixed >= _FIX_SHARE * aimed and gain > 0
        said = "accepted" if accepted else "rejected"
        verdict = f"{child.note}: {said}, fixed {fixed} of {aimed}, broke {broken} of {len(guards)}, estimated gain {gain:+.3f}"
        detail = {**detail, "fixed": fixed, "of": aimed, "broken": broken, "gain": gain}
        self.problem.decide(child, "accepted" if accepted else "rejected", verdict, detail)
        return gain if accepted else None

    # --- the head --------------------------------------------------------------------------------------------------------------

    async def commit(self, base: Candidate, child: Candidate, shown: list[Evidence], gain: float) -> None:
        """Puts the edit on the head, merging it when the head moved on meanwhile."""
        head, before, after = self.state.head, components(base.templates), components(child.templates)
        edit = _Edit({key: (before[key], text) for key, text in after.items() if text != before[key]}, child.note, gain)
        new = child if head is base else self.merged(edit, "merged")
        if new is None or self.problem.status(new) not in (None, "proposed", "accepted"):  # the same texts were judged before
            self.problem.decide(child, "rejected", f"{child.note}: in conflict with a later edit")
            return
        self.advance(new, f"{new.note}: committed", sorted({e.example.id for e in shown}))
        self.state.edits.append(edit)
        if self.state.commits % _BUNDLE == 0 and not self.state.checking:
            self.state.checking = True
            try:
                await self.check()
            finally:
                self.state.checking = False

    def merged(self, edit: _Edit, how: str) -> Candidate | None:
        """The head with an edit on it that was made elsewhere, or None when they do not go together."""
        new = self.state.head
        for component, (before, after) in edit.changes.items():
            ours = components(new.templates)[component]
            text = merge_lines(before, ours, after)
            if text is None or fault_of(text, self.baseline[component], ours) is not None:
                return None
            new = with_component(new, component, text, f"{edit.note}, {how}")
        return new

    def advance(self, head: Candidate, text: str, shown: list[str]) -> None:
        """Makes `head` the head, and stores that it is."""
        self.state.head = head
        self.state.commits += 1
        self.problem.decide(head, "committed", text, {"commit": self.state.commits, "shown": shown})

    def replay(self, edits: Sequence[_Edit]) -> None:
        """Puts edits on the checkpoint that is head again, as far as they still apply."""
        self.state.edits = []
        for edit in edits:
            new = self.merged(edit, "replayed")
            if new is not None and self.problem.status(new) in (None, "proposed", "accepted"):
                self.state.edits.append(edit)
                self.advance(new, f"{new.note}: committed", [])

    async def check(self) -> None:
        """Compares the head with the last checkpoint on common examples, in blocks, and promotes it or takes it back."""
        head, checkpoint, since = self.state.head, self.state.checkpoints[-1], len(self.state.edits)
        pool = sorted(self.state.validation, key=lambda e: not self.problem.started(checkpoint, e))
        used: list[Example] = []
        probability = 0.5
        for block in range(_BLOCKS):
            examples = pool[block * _BLOCK : (block + 1) * _BLOCK]
            if not examples:
                break
            used += examples
            await asyncio.gather(self.spend(checkpoint, examples), self.spend(head, examples))
            differences = [self.score(head, e) - self.score(checkpoint, e) for e in used]
            probability = _probability_positive(differences)
            if not 0.15 < probability < 0.85:
                break
        bundle, later = self.state.edits[:since], self.state.edits[since:]
        if probability >= 0.5 and used:
            self.state.checkpoints.append(head)
            self.state.edits = later
            score = fmean(self.score(head, e) for e in used)
            self.problem.note_best(score)
            verdict = f"checkpoint: {score:.3f} on {len(used)} examples, better with probability {probability:.2f}"
            self.problem.decide(head, "checkpoint", verdict)  # it keeps the number of its commit: others came meanwhile
        elif used:
            verdict = f"{head.note}: taken back, better with probability {probability:.2f} only, on {len(used)} examples"
            self.problem.decide(head, "rejected", verdict)
            self.state.head = checkpoint
            weakest = min(bundle, key=lambda edit: edit.gain, default=None)  # the others get another chance in the next bundle
            self.replay([edit for edit in (*bundle, *later) if edit is not weakest])

    def score(self, candidate: Candidate, example: Example) -> float:
        rollout = self.problem.seen(candidate, example)
        assert rollout is not None
        return rollout.score

    async def race(self) -> Candidate:
        """The best of the last checkpoints and the head on common validation examples.

        The baseline takes part only when nothing ever beat it; whether the winner beats it is for the held-out proof to say.
        """
        finalists = list({c.id: c for c in (*self.state.checkpoints[-_FINALISTS + 1 :], self.state.head)}.values())
        if len(finalists) == 1:
            return finalists[0]

        def missing(example: Example) -> int:
            return sum(self.problem.seen(candidate, example) is None for candidate in finalists)

        common: list[Example] = []
        left = self.problem.remaining
        for example in sorted(self.state.validation, key=missing):
            if missing(example) <= left:
                left -= missing(example)
                common.append(example)
        if not common:
            return self.state.checkpoints[-1]
        await asyncio.gather(*(self.problem.evaluate(candidate, common) for candidate in finalists))
        means = {c.id: fmean(self.score(c, e) for e in common) for c in finalists}
        winner = finalists[0]
        for later in finalists[1:]:
            # Every edit in a later version passed a test of its own, so it takes some evidence to prefer the earlier one.
            if _probability_positive([self.score(later, e) - self.score(winner, e) for e in common]) >= _TRUST:
                winner = later
        self.problem.note_best(means[winner.id])
        summary = ", ".join(f"{c.note or 'baseline'} {means[c.id]:.3f}" for c in finalists)
        self.problem.decide(
            winner, "winner", f"race on {len(common)} examples, won by {winner.note or 'the baseline'}: {summary}"
        )
        return winner


def _is_blind(clusters: Mapping[ClusterKey, list[Evidence]]) -> bool:
    """Whether nothing is known of what went wrong but how low the score is, so that no edit can be aimed."""
    return bool(clusters) and all(kind.startswith(SCORE) for _, kind in clusters)


def _probability_positive(differences: Sequence[float]) -> float:
    """The posterior probability that the mean difference is positive, under a normal prior that shrinks small samples to zero."""
    n = len(differences)
    if n < 2:
        return 0.5
    spread = max(stdev(differences), 0.05)
    prior = 0.15  # standard deviation of a bundle's effect, before anything is seen
    variance = spread**2 / n
    mean = fmean(differences) * prior**2 / (prior**2 + variance)
    deviation = (prior**2 * variance / (prior**2 + variance)) ** 0.5
    return NormalDist().cdf(mean / deviation)
