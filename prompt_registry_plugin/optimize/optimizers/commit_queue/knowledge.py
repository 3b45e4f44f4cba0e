"""What a search knows: which version of the prompts got what right and wrong, and which of that still holds.

The *line* is every version that is part of the head: the baseline, what was committed, and edits as they were tested. A version is
the set of the edits in it. A rollout of any version of the line stays evidence until an edit that is not in that version was aimed at
the failure; so nothing that was paid for is thrown away when the head moves, and nothing that was mended is mended again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import Blame, ClusterKey
from prompt_registry_plugin.optimize.optimizers.reflection import Evidence
from prompt_registry_plugin.records import Candidate, Example, Item, Rollout

Edits = frozenset[int]


@dataclass(frozen=True, slots=True)
class Known:
    """The newest rollout on an example, what it says of each component, and what of that no later edit was aimed at."""

    example: Example
    rollout: Rollout
    stale: int  # edits of the head that it was run without
    failing: dict[ClusterKey, list[Item]]
    passing: dict[ClusterKey, list[Item]]

    @property
    def is_quiet(self) -> bool:
        """Whether it was all right and nobody said what of: feedback often tells mistakes only."""
        return not self.failing and not self.passing and self.rollout.error is None

    @property
    def known(self) -> set[ClusterKey]:
        """Everything that is known to be right or wrong here."""
        return {*self.failing, *self.passing}


@dataclass(slots=True)
class Cluster:
    """Failures of one kind that one component is responsible for, and where the same went right."""

    key: ClusterKey
    failing: list[Known] = field(default_factory=list)
    passing: list[Known] = field(default_factory=list)

    @property
    def promise(self) -> float:
        """How many failures an edit may mend: fewer where the kind mostly goes right, since what is left then is chance."""
        wrong, right = len(self.failing), len(self.passing)
        return wrong * (wrong + 0.5) / (wrong + right + 1)


class Knowledge:
    """See the module."""

    def __init__(self, problem: Problem, order: Sequence[Example], blame: Blame, listings: Callable[[], int]) -> None:
        self._problem, self._order, self._blame, self._listings = problem, order, blame, listings
        self._changes = 0
        self._last: tuple[object, list[Known]] = (None, [])
        self._line: dict[str, Edits] = {}  # by candidate id
        self._aims: dict[int, frozenset[ClusterKey]] = {}

    def add(self, candidate: Candidate, edits: Edits) -> None:
        """Notes which edits a candidate consists of."""
        self._changes += 1
        self._line[candidate.id] = edits

    def aim(self, edit: int, keys: Iterable[ClusterKey]) -> None:
        """Notes what an edit was aimed at."""
        self._changes += 1
        self._aims[edit] = frozenset(keys)

    def edits(self, candidate: Candidate) -> Edits:
        """The edits that a candidate of the line consists of."""
        return self._line[candidate.id]

    def of(self, head: Candidate) -> list[Known]:
        """The examples that versions in the line of `head` were run on."""
        state = (head.id, self._problem.finished, self._changes, self._listings())
        if self._last[0] != state:  # many workers ask at the same moment
            self._last = state, self._of(head)
        return self._last[1]

    def _of(self, head: Candidate) -> list[Known]:
        within = self.edits(head)
        line = {key: (key == head.id, len(edits), edits) for key, edits in self._line.items() if edits <= within}
        newest: list[tuple[Example, Rollout, Edits]] = []
        for example in self._order:
            versions = [
                (line[rollout.candidate_id], rollout) for rollout in self._problem.on(example) if rollout.candidate_id in line
            ]
            if versions:
                (*_, edits), rollout = max(versions, key=lambda version: version[0][:2])
                newest.append((example, rollout, edits))
        self._blame.set_marks(rollout for _, rollout, _ in newest)
        return [self._known(example, rollout, within - edits) for example, rollout, edits in newest]

    def _known(self, example: Example, rollout: Rollout, later: Edits) -> Known:
        mended = {key for edit in later for key in self._aims.get(edit, ())}
        blamed, passed = self._blame.judged(rollout)
        failing = {key: items for key, items in blamed.items() if key not in mended}
        passing = {key: items for key, items in passed.items() if key not in mended}
        return Known(example, rollout, len(later), failing, passing)


def clusters_of(known: Iterable[Known]) -> dict[ClusterKey, Cluster]:
    """Failures by component and kind."""
    found: dict[ClusterKey, Cluster] = {}
    passing: dict[ClusterKey, list[Known]] = defaultdict(list)
    for one in known:
        for key in one.failing:
            found.setdefault(key, Cluster(key)).failing.append(one)
        for key in one.passing:
            passing[key].append(one)
    for key, cluster in found.items():
        cluster.passing = passing[key]
    return found


def cover(clusters: Sequence[Cluster], each: int, weight: dict[str, float]) -> list[Known]:
    """Few examples in which every cluster fails `each` times, as far as it does; those of a low `weight` (by example id) first."""
    chosen: dict[str, Known] = {}
    keys = {cluster.key for cluster in clusters}
    for cluster in sorted(clusters, key=lambda cluster: len(cluster.failing)):
        wanted = each - sum(one.example.id in chosen for one in cluster.failing)
        left = [one for one in cluster.failing if one.example.id not in chosen]
        left.sort(key=lambda one: (weight.get(one.example.id, 0), -len(keys & one.failing.keys())))
        chosen |= {one.example.id: one for one in left[: max(0, wanted)]}
    return list(chosen.values())


def shown(known: Iterable[Known], keys: set[ClusterKey]) -> list[Evidence]:
    """Failures as the reflection model sees them: only what was the matter with these clusters."""
    return [Evidence(one.example, one.rollout, [i for key in keys for i in one.failing.get(key, ())]) for one in known]


def shown_right(known: Iterable[Known], component: str) -> list[Evidence]:
    """The same for what a component got right."""
    return [
        Evidence(one.example, one.rollout, [i for key, items in one.passing.items() if key[0] == component for i in items])
        for one in known
    ]
