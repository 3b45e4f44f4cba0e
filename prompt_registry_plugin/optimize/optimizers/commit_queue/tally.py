"""Statistics that steer the search: what a few paired rollouts say about an edit, or about a bundle of them. They prove nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean, stdev

from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import Blame, ClusterKey, is_higher
from prompt_registry_plugin.optimize.optimizers.commit_queue.clusters import Cluster
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import Observation
from prompt_registry_plugin.records import Rollout

# Priors of a test, as pseudo-counts: an edit is expected to fix one in three failures that it is aimed at, and to break one in
# twenty successes. They weigh as much as three and six rollouts, so that seven rollouts outweigh them. Chosen with the weighing
# of checks in the simulated development worlds; no figure was kept.
_PRIOR_FIXED = 1.0
_PRIOR_AIMED = 3.0
_PRIOR_BROKEN = 0.3
_PRIOR_RIGHT = 6.0
# Rollouts before the effect on all other checks counts by half. Nothing was aimed at them, so most of what a handful of rollouts
# shows there is noise. 60 replaced 8 in the simulated development worlds; no figure was kept.
_PRIOR_ROLLOUTS = 60.0
# The standard deviation of a bundle's true effect on the score, before anything is seen: a change by more than twice this is a
# surprise. It shrinks the mean of a few examples. Carried over from the first version, not measured.
_BUNDLE_EFFECT = 0.15
# The least standard deviation of paired differences that is believed. A handful of examples that all differ alike would
# otherwise count as certainty.
_MIN_SPREAD = 0.05


@dataclass(slots=True)
class Tally:
    """Counts of one test, in pairs of rollouts on the same example: without the edit, and with it."""

    aimed: int = 0
    """Targeted failures that were run again."""
    fixed: int = 0
    """Of these, how many went right."""
    right: int = 0
    """Successes of the targeted kinds that were run again."""
    broken: int = 0
    """Of these, how many went wrong."""
    others: float = 0.0
    """Failures of other kinds that went away, less those that are new."""
    rollouts: int = 0
    """Pairs so far."""
    fixed_keys: set[ClusterKey] = field(default_factory=set)
    """The clusters of which at least one failure was fixed."""
    unscored: int = 0
    """Rollouts with the edit that have no score: they count in nothing else."""

    def add_pair(self, before: Observation, after: Rollout, clusters: Sequence[Cluster], blame: Blame) -> None:
        """Count one pair of rollouts on the same example. A rollout without a score says nothing, and is counted as such."""
        if after.score is None and after.error is None:
            self.unscored += 1
            return
        keys = {cluster.key for cluster in clusters}
        for key in keys & before.failing.keys():
            self.aimed += 1
            if blame.is_fixed(key, before.rollout, after):
                self.fixed += 1
                self.fixed_keys.add(key)
        for key in keys & before.passing.keys() - before.failing.keys():
            self.right += 1
            self.broken += blame.is_broken(key, before.rollout, after)
        if before.is_quiet:
            self.right += 1
            self.broken += after.error is not None or is_higher(before.rollout, after)
        elif after.error is None:
            now = blame.failures(after)
            self.others += len(before.failing.keys() - keys) - len((now.keys() & before.checks) - keys)
        else:
            self.others -= len(before.passing.keys() - keys)
        self.rollouts += 1

    @property
    def is_measured(self) -> bool:
        """Whether at least half of the rollouts have a score. An edit whose answers mostly have none was not tested."""
        return self.rollouts >= self.unscored

    def gain(self, clusters: Sequence[Cluster], observations: Sequence[Observation]) -> float:
        """Return the estimated gain, in checks per example, over all that is known.

        The rate of fixes is weighted by how often the kind is wrong, the rate of breakage by how often it is right. A test picks
        failures and successes, and both tend to the mean when they are run again. With these weights that cancels out.
        All rates are shrunken towards their priors.
        """
        wrong = sum(len(cluster.failing) for cluster in clusters)
        right = sum(len(cluster.passing) for cluster in clusters) + sum(one.is_quiet for one in observations)
        fix = (self.fixed + _PRIOR_FIXED) / (self.aimed + _PRIOR_AIMED)
        breakage = (self.broken + _PRIOR_BROKEN) / (self.right + _PRIOR_RIGHT)
        others = self.others / (self.rollouts + _PRIOR_ROLLOUTS)
        return (fix * wrong - breakage * right) / len(observations) + others


def blended_score(rollout: Rollout) -> float:
    """Return half the score and half the share of checks that are right, or the score where there are no checks.

    It measures the same as the score with less variance: an exact match is 0 or 1, while its checks improve one by one.
    """
    assert rollout.score is not None, "rollouts without a score are not compared"
    checks = [item.ok for score in rollout.scores.values() for item in score.items]
    return (rollout.score + fmean(checks)) / 2 if checks else rollout.score


def blended_differences(before: Sequence[Rollout], after: Sequence[Rollout]) -> list[float]:
    """Return the differences of blended scores, pair by pair; without the pairs of which one rollout has no score."""
    pairs = [(b, a) for b, a in zip(before, after, strict=True) if b.score is not None and a.score is not None]
    return [blended_score(a) - blended_score(b) for b, a in pairs]


def probability_positive(differences: Sequence[float]) -> float:
    """Return the posterior probability that the mean difference is positive; 0.5 for fewer than two differences.

    The model is normal with a normal prior around zero, which shrinks small samples (conjugate update with the sample's variance).
    """
    n = len(differences)
    if n < 2:
        return 0.5
    spread = max(stdev(differences), _MIN_SPREAD)
    variance, prior = spread**2 / n, _BUNDLE_EFFECT**2
    mean = fmean(differences) * prior / (prior + variance)
    deviation = (prior * variance / (prior + variance)) ** 0.5
    return NormalDist().cdf(mean / deviation)
