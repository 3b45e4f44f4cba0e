"""The default search, `commit_queue`: many small edits at once on a moving head, tested where they should help, validated in bundles.

Workers run with no barrier between them. Each takes *clusters*: failures of one kind that one prompt is responsible for; asks
the reflection model for an edit of that prompt; tests it on those failures, on others of the kind that the model was not shown,
and on examples where the kind goes right, always against rollouts that exist already; and commits it to the head (`head`). What any
version on the head's line showed stays evidence until an edit was aimed at it (`knowledge`). After a few commits the head is compared
with the last checkpoint and kept or taken back. The last tenth of the budget races the best checkpoints. Both comparisons use
examples that no reflection draws from.

The search's own scores choose; they prove nothing. The proof is made on held-out examples afterwards (`optimize.proof`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.errors import BudgetExhausted, ModelUnavailable
from prompt_registry_plugin.optimize.engine.components import components, with_component
from prompt_registry_plugin.optimize.engine.problem import OptimizationResult, Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import SCORE, Blame, ClusterKey
from prompt_registry_plugin.optimize.optimizers.commit_queue.head import Edit, Head, edit_of
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import (
    Cluster,
    Knowledge,
    Known,
    clusters_of,
    cover,
    shown,
    shown_right,
)
from prompt_registry_plugin.optimize.optimizers.commit_queue.listing import Listing, is_prose
from prompt_registry_plugin.optimize.optimizers.commit_queue.tally import Tally
from prompt_registry_plugin.optimize.optimizers.proposal import propose
from prompt_registry_plugin.optimize.optimizers.reflection import Evidence
from prompt_registry_plugin.records import Candidate, CandidateStatus, Example, Rollout

_SHOWN = 3  # failures of a cluster in one reflection
_CLUSTERS = (1, 2, 4)  # clusters of one prompt in one reflection: at least, at first, at most
_THIN = 3  # failures that a cluster needs while there are examples that nobody ran on yet
_FIRST = 3  # examples on which an edit has to mend something before more is spent on it
_WASTE = 5  # one proposal in so many may mend nothing before tests are made in two parts
_TARGETED, _GUARDS = 4, 4  # further examples in the test of an edit: of what it is aimed at, and of what must stay right
# Examples that are looked at when there is nothing to treat, one such block at a time; more when nothing known promises much.
_GATHERED, _GATHERED_LATE = 8, 32
_WORTH = 0.2  # the promise of a cluster, beside the best one's, from which it is treated while edits are under way
_START = (20, 0.08, 40)  # examples that the baseline is run on first: at least, of the budget, at most
_FIX_SHARE = 0.34
# With nothing but numbers, good runs show more of a task than bad ones: so many of the best share are shown, and others tested on too.
_BEST_SHARE, _BEST_SHOWN, _OTHERS = 0.34, 6, 6
_WORKERS = 12  # edits at once, at most
_BLIND_AT_ONCE = 2  # where no edit can be aimed: they all change everything
_MAX_TREATED = (2, 10)  # edits aimed at one failure before others come first, and before it counts as beyond repair
_MAX_UNUSABLE = 12  # proposals in a row that break a constraint or are none: reflections cost money, too
_MAX_SILENT = 5  # failed reflections in a row that end a run: the model is gone, not merely busy


@dataclass(slots=True)
class _State:
    proposals: int = 0
    in_flight: set[ClusterKey] = field(default_factory=set)
    treated: Counter[tuple[ClusterKey, str]] = field(default_factory=Counter)  # (cluster, example) -> edits aimed at it
    clusters: int = _CLUSTERS[1]
    patience: int = _MAX_TREATED[0]


class CommitQueue:
    """See the module. `workers` edits are in progress at once; the default follows the concurrency of rollouts."""

    name = "commit_queue"

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """The checkpoint that won the last race; the baseline when no edit held."""
        search = _Search(problem)
        workers = self._workers or max(1, min(_WORKERS, problem.concurrency // 2))
        await search.run(workers)
        return OptimizationResult(await search.head.race(), problem.best_score)


class _Search:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.state = _State()
        self.baseline = problem.baseline_components
        self.changed = asyncio.Event()
        self.listing = Listing(list(self.baseline), problem.reflect)
        self.blame = Blame(self.baseline, self.listing.items)
        self.knowledge = Knowledge(problem, problem.train, self.blame, lambda: self.listing.answers)
        self.knowledge.add(problem.baseline, frozenset())
        self.head = Head(problem, self.knowledge, self.spend)
        self.silent = 0  # reflections in a row that failed
        self.unusable = 0  # proposals in a row that could not be used at all
        self.fruitless = 0  # proposals in a row that could not be used, where no edit can be aimed
        self.gathering = False
        self.blind = asyncio.Semaphore(_BLIND_AT_ONCE)
        self.told_of_prose = False
        self.tested, self.useless = 0, 0  # edits, and those of them that mended nothing
        self.restore()

    @property
    def reserve(self) -> int:
        """The rollouts that are left for the last race."""
        return max(self.problem.budget // 10, 1)

    def restore(self) -> None:
        """The state that the stored decisions of an earlier process lead to."""
        for answer in self.problem.reflections:
            if answer.purpose == "listing":
                self.listing.take([(candidate, example) for candidate, example in answer.detail["runs"]], answer.answer)
        for record in self.problem.history:
            if "edits" in record.detail:
                self.knowledge.add(record.candidate, frozenset(record.detail["edits"]))
                self.state.proposals = max(self.state.proposals, record.detail["edit"])
            if "aims" in record.detail:
                self.knowledge.aim(record.detail["edit"], {(component, kind) for component, kind in record.detail["aims"]})
        self.head.restore()

    # --- the loop ---------------------------------------------------------------------------------------------------------

    async def run(self, workers: int) -> None:
        """Until the budget is down to the reserve or there is nothing left to try."""
        least, share, most = _START
        start = self.problem.train[: min(max(least, round(self.problem.budget * share)), most)]
        try:
            rollouts = await self.look(self.head.candidate, start[: max(1, self.problem.remaining - self.reserve)])
        except BudgetExhausted:
            return
        self.problem.note_best([rollout.score for rollout in rollouts])
        await all_of(self.work() for _ in range(workers))

    def wake(self) -> None:
        """Lets waiting workers look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def work(self) -> None:
        while self.problem.remaining > self.reserve and self.unusable < _MAX_UNUSABLE:
            try:
                known = self.knowledge.of(self.head.candidate)
                clusters = clusters_of(known)
                if _is_blind(known):
                    if self.fruitless >= _MAX_SILENT:
                        return
                    async with self.blind:
                        await self.improve_all()
                elif chosen := self.choose(clusters, len(known)):
                    await self.improve(chosen, known)
                elif not await self.gather(known, max((cluster.promise for cluster in clusters.values()), default=0.0)):
                    if not self.state.in_flight and not self.gathering:
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

    async def gather(self, known: Sequence[Known], best: float) -> bool:
        """More rollouts of the head: on examples that no version ran on, then where the newest is oldest; False when there are none."""
        head = self.head.candidate
        stale = {one.example.id: one.stale for one in known}
        unseen = [example for example in self.problem.train if self.problem.seen(head, example) is None]
        unseen.sort(key=lambda e: (self.problem.started(head, e), -stale.get(e.id, len(self.problem.train))))
        if not unseen or self.gathering:
            return False
        self.gathering = True
        try:
            await self.look(head, unseen[: _GATHERED if best >= _THIN else _GATHERED_LATE])
        finally:
            self.gathering = False
            self.wake()
        return True

    # --- one edit ---------------------------------------------------------------------------------------------------------------

    def choose(self, clusters: Mapping[ClusterKey, Cluster], known: int) -> list[Cluster]:
        """The clusters to treat next: the most promising that is free, and more of its component; none while evidence is thin."""
        unseen = known < len(self.problem.train)
        open_clusters: dict[ClusterKey, Cluster] = {}
        for key, cluster in clusters.items():
            if key in self.state.in_flight or (unseen and len(cluster.failing) < _THIN):
                continue
            if min(self.treated(key, one) for one in cluster.failing) < self.state.patience:
                open_clusters[key] = cluster
        best = max((cluster.promise for cluster in clusters.values()), default=0)
        if not open_clusters or (self.state.in_flight and max(c.promise for c in open_clusters.values()) < _WORTH * best):
            return []
        busy = Counter(component for component, _ in self.state.in_flight)

        def weight(key: ClusterKey) -> float:
            tried = fmean(self.treated(key, one) for one in open_clusters[key].failing)
            return open_clusters[key].promise / (1 + busy[key[0]]) / (1 + tried)

        first = max(open_clusters, key=weight)
        same = sorted((key for key in open_clusters if key[0] == first[0] and key != first), key=weight, reverse=True)
        return [open_clusters[key] for key in [first, *same[: self.state.clusters - 1]]]

    def treated(self, key: ClusterKey, one: Known) -> int:
        """How many edits were aimed at this failure."""
        return self.state.treated[key, one.example.id]

    async def improve(self, clusters: Sequence[Cluster], known: Sequence[Known]) -> None:
        """Proposes, tests and commits one edit aimed at `clusters`."""
        keys = {cluster.key for cluster in clusters}
        self.state.in_flight |= keys
        try:
            component, base = clusters[0].key[0], self.head.candidate
            tried = {one.example.id: fmean(self.treated(key, one) for key in keys) for one in known}
            failures = cover(clusters, _SHOWN, tried)
            for one in failures:
                self.state.treated.update((key, one.example.id) for key in keys & one.failing.keys())
            successes = self.successes(clusters, known, 2 + len(failures) // 2)
            with self.problem.doing(f"{component}: {', '.join(sorted(kind for _, kind in keys))}"):
                child = await self.propose(base, component, shown(failures, keys), shown_right(successes, component))
                edit = None if child is None else await self.test(base, child, clusters, failures, known)
            low, _, high = _CLUSTERS
            self.state.clusters = min(high, self.state.clusters + 1) if edit else max(low, self.state.clusters - 1)
            if child is not None and edit is not None:
                await self.head.commit(base, child, edit)
        finally:
            self.state.in_flight -= keys
            self.wake()

    def note_test(self, tally: Tally) -> None:
        """Remembers whether an edit mended anything at all."""
        self.tested += 1
        self.useless += not tally.fixed

    def successes(self, clusters: Sequence[Cluster], known: Sequence[Known], n: int) -> list[Known]:
        """Examples in which what the clusters fail at went right, as many as there are; else such in which the component did well."""
        random, component = self.problem.random, clusters[0].key[0]
        failing = {one.example.id for cluster in clusters for one in cluster.failing}
        found: dict[str, Known] = {}
        passing = [random.sample(c.passing, len(c.passing)) for c in clusters]
        for i in range(max((len(listed) for listed in passing), default=0)):
            found |= {listed[i].example.id: listed[i] for listed in passing if i < len(listed)}
        kind = [one for one in found.values() if one.example.id not in failing] + [
            o for o in found.values() if o.example.id in failing
        ]
        right = [one for one in known if one.example.id not in found and not any(key[0] == component for key in one.failing)]
        return [*kind[:n], *random.sample(right, min(len(right), max(0, n - len(kind))))]

    async def test(
        self, base: Candidate, child: Candidate, clusters: Sequence[Cluster], failures: Sequence[Known], known: Sequence[Known]
    ) -> Edit | None:
        """The edit, or None when it fixes too little or breaks too much: on failures first, then on others of the kind and on successes."""
        number = self.state.proposals
        keys = {cluster.key for cluster in clusters}
        detail: dict[str, Any] = {
            "shown": sorted({one.example.id for one in failures}), "aimed_at": sorted(kind for _, kind in keys),
            "edit": number, "edits": sorted({*self.knowledge.edits(base), number}),
        }  # fmt: skip
        self.problem.decide(child, "proposed", detail=detail)
        shown_ids = {one.example.id for one in failures}
        first = cover(clusters, 1, {one.example.id: -len(keys & one.failing.keys()) for one in failures})[:_FIRST]
        first += [one for one in failures if one not in first][: _FIRST - len(first)]
        tally, mended = Tally(), set[ClusterKey]()

        async def compare(some: Sequence[Known]) -> None:
            for before, after in zip(some, await self.look(child, [one.example for one in some]), strict=True):
                tally.count(before, after, clusters, self.blame)
                mended.update(k for k in keys & before.failing.keys() if self.blame.is_fixed(k, before.rollout, after))

        # Where proposals are mostly sound, waiting for the first part gains nothing.
        in_two = self.useless * _WASTE > self.tested + 1
        if in_two:
            await compare(first)
        if in_two and not tally.fixed:
            self.note_test(tally)
            self.problem.decide(child, "rejected", f"{child.note}: rejected, fixed none of {tally.aimed}", detail)
            return None
        targeted = cover(clusters, 2, dict.fromkeys(shown_ids, 1.0) | {one.example.id: 2.0 for one in first})
        targeted = [one for one in targeted if one not in first][:_TARGETED]
        used = {one.example.id for one in (*first, *targeted)}
        guards = [one for one in self.successes(clusters, known, _GUARDS + len(used)) if one.example.id not in used][:_GUARDS]
        await compare([*([] if in_two else first), *targeted, *guards])
        self.note_test(tally)
        gain = tally.gain(clusters, known)
        accepted = tally.fixed >= _FIX_SHARE * tally.aimed and gain > 0
        said: CandidateStatus = "accepted" if accepted else "rejected"
        verdict = (
            f"{child.note}: {said}, fixed {tally.fixed} of {tally.aimed}, broke {tally.broken} of {tally.right}, gain {gain:+.3f}"
        )
        detail |= {
            "test": verdict,
            "fixed": tally.fixed,
            "of": tally.aimed,
            "broken": tally.broken,
            "gain": gain,
            "aims": sorted(mended),
        }
        self.problem.decide(child, said, verdict, detail)
        if not accepted:
            return None
        self.knowledge.add(child, frozenset(detail["edits"]))
        self.knowledge.aim(number, mended)
        return edit_of(number, base, child, gain)

    async def improve_all(self) -> None:
        """Proposes new texts for all components from some of the best runs, and tests them together on those runs and others."""
        base = self.head.candidate
        known = [Evidence(one.example, one.rollout, self.blame.items(one.rollout)) for one in self.knowledge.of(base)]
        self.problem.random.shuffle(known)
        known.sort(key=lambda evidence: evidence.rollout.score, reverse=True)
        best = known[: max(1, round(len(known) * _BEST_SHARE))]
        drawn = self.problem.random.sample(best, min(_BEST_SHOWN, len(best)))
        made = await all_of(self.propose(base, key, [], drawn) for key in self.baseline)
        child = base
        for key, proposal in zip(self.baseline, made, strict=True):
            if proposal is not None:
                child = with_component(child, key, components(proposal.templates)[key], proposal.note)
        known_before = child is base or self.problem.status(child) is not None
        self.fruitless = self.fruitless + 1 if known_before else 0
        if known_before:
            return
        if len(self.baseline) > 1:
            child = Candidate(child.templates, base.id, f"edit {self.state.proposals} of all components")
        others = self.problem.random.sample([e for e in known if e not in drawn], min(_OTHERS, len(known) - len(drawn)))
        self.state.proposals += 1
        number = self.state.proposals
        edits = sorted({*self.knowledge.edits(base), number})
        detail: dict[str, Any] = {
            "shown": sorted({e.example.id for e in drawn}), "aimed_at": [], "edit": number, "edits": edits, "aims": [],
        }  # fmt: skip
        differences: list[float] = []
        for part in (drawn, others):
            rollouts = await self.look(child, [e.example for e in part])
            differences += [new.score - e.rollout.score for e, new in zip(part, rollouts, strict=True)]
            if sum(differences) <= 0:
                break
        gain = fmean(differences)
        said: CandidateStatus = "accepted" if gain > 0 else "rejected"
        verdict = f"{child.note}: {said}, gained {gain:+.3f} on {len(differences)} examples"
        self.problem.decide(child, said, verdict, {**detail, "gain": gain})
        if gain > 0:
            self.knowledge.add(child, frozenset(edits))
            await self.head.commit(base, child, edit_of(number, base, child, gain))

    async def propose(
        self, base: Candidate, component: str, shown: Sequence[Evidence], contrasts: Sequence[Evidence]
    ) -> Candidate | None:
        """An edited candidate, or None when the model's proposals cannot be used; it gets a second chance to mend a fault."""
        try:
            text = await propose(self.problem, base, component, shown, contrasts)
        except ModelUnavailable:
            self.silent += 1
            if self.silent >= _MAX_SILENT:
                raise
            return None
        self.silent = 0
        self.unusable = self.unusable + 1 if text is None else 0
        if self.unusable == _MAX_UNUSABLE:
            said = f"the last {_MAX_UNUSABLE} proposals could not be used, so the search ends; the reasons stand above"
            self.problem.tell("message", said)
        if text is None:
            return None
        self.state.proposals += 1
        return with_component(base, component, text, f"edit {self.state.proposals} of {component}")


def _is_blind(known: Sequence[Known]) -> bool:
    """Whether nothing is known of what went wrong but how low the score is, so that no edit can be aimed."""
    return any(one.failing for one in known) and all(kind.startswith(SCORE) for one in known for _, kind in one.known)
