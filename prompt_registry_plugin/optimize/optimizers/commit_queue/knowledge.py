"""What a search knows: which version of the prompts got what right and wrong, and which of that still holds.

The *line* holds every version that is part of the head: the baseline, the commits, and edits as they were tested. A version is the
set of edits in it. A rollout of any version in the line is evidence about the head, with one exception: it says nothing about a
failure that an edit *outside* that version was aimed at. Such evidence is stale. So the search uses every rollout that was paid for
when the head moves, and does not fix again what a commit has fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import Blame, ClusterKey
from prompt_registry_plugin.records import Candidate, Example, Item, Rollout

EditNumbers = frozenset[int]


@dataclass(frozen=True, slots=True)
class Observation:
    """The newest rollout on an example, and what of it still holds for the head."""

    example: Example
    rollout: Rollout
    missing_edits: int
    """The number of edits in the head that this rollout was run without."""
    failing: dict[ClusterKey, list[Item]]
    """Checks that went wrong, except those that a later edit was aimed at."""
    passing: dict[ClusterKey, list[Item]]
    """Checks that went right, with the same exception."""

    @property
    def is_quiet(self) -> bool:
        """Whether everything was right and no item confirms it: many scorers list mistakes only. Not so if the row went elsewhere."""
        return not self.failing and not self.passing and self.rollout.error is None and self.rollout.reached()

    @property
    def checks(self) -> set[ClusterKey]:
        """Return every check whose result is known."""
        return {*self.failing, *self.passing}


class Knowledge:
    """The observations of a search, worked out from its rollouts and edits."""

    def __init__(self, problem: Problem, order: Sequence[Example], blame: Blame, listings: Callable[[], int]) -> None:
        """`order` is the order of the observations; `listings` returns how many listings of mistakes have been read so far."""
        self._problem, self._order, self._blame, self._listings = problem, order, blame, listings
        self._changes = 0
        self._cached: tuple[object, list[Observation]] = (None, [])
        self._line: dict[str, EditNumbers] = {}  # by candidate id
        self._targets: dict[int, frozenset[ClusterKey]] = {}

    def add_version(self, candidate: Candidate, edits: EditNumbers) -> None:
        """Add a candidate to the line, as the set of these edits."""
        self._changes += 1
        self._line[candidate.id] = edits

    def set_targets(self, edit: int, keys: Iterable[ClusterKey]) -> None:
        """Record the failures that an edit fixed in its test: older evidence of them is stale from now on."""
        self._changes += 1
        self._targets[edit] = frozenset(keys)

    def edits_in(self, candidate: Candidate) -> EditNumbers:
        """Return the edits that a candidate of the line consists of."""
        return self._line[candidate.id]

    def observations(self, head: Candidate) -> list[Observation]:
        """Return an observation for each example that a version in the line of `head` was run on."""
        # Workers that wake at the same moment ask the same. The key holds everything that the answer depends on.
        state = (head.id, self._problem.finished, self._changes, self._listings())
        if self._cached[0] != state:
            self._cached = state, self._observe_all(head)
        return self._cached[1]

    def _observe_all(self, head: Candidate) -> list[Observation]:
        head_edits = self.edits_in(head)
        # Versions with an edit that was rolled back, or that is still under test, say nothing sure about the head.
        line = {key: (key == head.id, len(edits), edits) for key, edits in self._line.items() if edits <= head_edits}
        newest: list[tuple[Example, Rollout, EditNumbers]] = []
        for example in self._order:  # a rollout without a score says nothing, unless it failed
            versions = [
                (line[rollout.candidate_id], rollout)
                for rollout in self._problem.for_example(example)
                if rollout.candidate_id in line and (rollout.score is not None or rollout.error is not None)
            ]
            if versions:
                (*_, edits), rollout = max(versions, key=lambda version: version[0][:2])
                newest.append((example, rollout, edits))
        self._blame.set_thresholds(rollout for _, rollout, _ in newest)
        return [self._observe(example, rollout, head_edits - edits) for example, rollout, edits in newest]

    def _observe(self, example: Example, rollout: Rollout, later: EditNumbers) -> Observation:
        stale = {key for edit in later for key in self._targets.get(edit, ())}
        failures, successes = self._blame.outcomes(rollout)
        failing = {key: items for key, items in failures.items() if key not in stale}
        passing = {key: items for key, items in successes.items() if key not in stale}
        return Observation(example, rollout, len(later), failing, passing)
