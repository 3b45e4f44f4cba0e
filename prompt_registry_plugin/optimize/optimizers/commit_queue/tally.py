"""What a few rollouts say about an edit, and about a bundle of them. It steers the search; it proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import Blame
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import Cluster, Known
from prompt_registry_plugin.records import Rollout

_FIXED, _BROKEN = (1.0, 3.0), (0.3, 6.0)  # what is expected of an edit before anything is seen: so many of so many
_REST = 60.0  # rollouts before what happened to everything else is believed by half
_BUNDLE_EFFECT = 0.15  # standard deviation of a bundle's effect, before anything is seen


@dataclass(slots=True)
class Tally:
    """How an edit did against the rollouts that were there before: at what it was aimed at, and elsewhere."""

    aimed: int = 0
    fixed: int = 0
    right: int = 0
    broken: int = 0
    rest: float = 0.0  # other failures that went less those that came
    rollouts: int = 0

    def count(self, before: Known, after: Rollout, clusters: Sequence[Cluster], blame: Blame) -> None:
        """Adds one pair of rollouts on the same example."""
        keys = {cluster.key for cluster in clusters}
        for key in keys & before.failing.keys():
            self.aimed += 1
            self.fixed += blame.is_fixed(key, before.rollout, after)
        for key in keys & before.passing.keys() - before.failing.keys():
            self.right += 1
            self.broken += blame.is_broken(key, before.rollout, after)
        if before.is_quiet:
            self.right += 1
            self.broken += after.error is not None or after.score < before.rollout.score
        elif after.error is None:
            now = blame.blamed(after)
            self.rest += len(before.failing.keys() - keys) - len((now.keys() & before.known) - keys)
        else:
            self.rest -= len(before.passing.keys() - keys)
        self.rollouts += 1

    def gain(self, clusters: Sequence[Cluster], known: Sequence[Known]) -> float:
        """The estimated gain in checks for an example of those that are known.

        What is fixed counts by how often it was wrong, what is broken by how often it was right: so chance, which mends some failures and
        breaks some successes, cancels out. All rates are shrunken.
        """
        wrong = sum(len(cluster.failing) for cluster in clusters)
        right = sum(len(cluster.passing) for cluster in clusters) + sum(one.is_quiet for one in known)
        fix = (self.fixed + _FIXED[0]) / (self.aimed + _FIXED[1])
        breakage = (self.broken + _BROKEN[0]) / (self.right + _BROKEN[1])
        rest = self.rest / (self.rollouts + _REST)
        return (fix * wrong - breakage * right) / len(known) + rest


def probability_positive(differences: Sequence[float]) -> float:
    """The posterior probability that the mean difference is positive, under a normal prior that shrinks small samples to zero."""
    n = len(differences)
    if n < 2:
        return 0.5
    spread = max(stdev(differences), 0.05)
    variance, prior = spread**2 / n, _BUNDLE_EFFECT**2
    mean = fmean(differences) * prior / (prior + variance)
    deviation = (prior * variance / (prior + variance)) ** 0.5
    return NormalDist().cdf(mean / deviation)
