"""Clusters of failures, and which examples of them a reflection or a test should use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import ClusterKey
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import Observation


@dataclass(slots=True)
class Cluster:
    """Failures of one kind that one component is responsible for."""

    key: ClusterKey
    """The component and the kind of failure."""
    failing: list[Observation] = field(default_factory=list)
    """Where it went wrong."""
    passing: list[Observation] = field(default_factory=list)
    """Where the same check went right."""

    @property
    def promise(self) -> float:
        """Return how many failures an edit may fix.

        It is less than their number where the same check mostly passes: the failures that are left there are mostly chance,
        which no instruction fixes. The half and the one shrink small clusters.
        """
        wrong, right = len(self.failing), len(self.passing)
        return wrong * (wrong + 0.5) / (wrong + right + 1)


def clusters_of(observations: Iterable[Observation]) -> dict[ClusterKey, Cluster]:
    """Group failures by component and kind."""
    found: dict[ClusterKey, Cluster] = {}
    passing: dict[ClusterKey, list[Observation]] = defaultdict(list)
    for observation in observations:
        for key in observation.failing:
            found.setdefault(key, Cluster(key)).failing.append(observation)
        for key in observation.passing:
            passing[key].append(observation)
    for key, cluster in found.items():
        cluster.passing = passing[key]
    return found


def cover(clusters: Sequence[Cluster], each: int, cost: Mapping[str, float]) -> list[Observation]:
    """Choose few observations so that every cluster fails in `each` of them, as far as it has that many.

    Those of a low `cost` (by example id, 0 where it is not given) are preferred, then those in which several of the clusters fail.
    Greedy, the smallest cluster first: it has the fewest examples to choose from.
    """
    chosen: dict[str, Observation] = {}
    keys = {cluster.key for cluster in clusters}
    for cluster in sorted(clusters, key=lambda cluster: len(cluster.failing)):
        missing = each - sum(one.example.id in chosen for one in cluster.failing)
        left = [one for one in cluster.failing if one.example.id not in chosen]
        left.sort(key=lambda one: (cost.get(one.example.id, 0), -len(keys & one.failing.keys())))
        chosen |= {one.example.id: one for one in left[: max(0, missing)]}
    return list(chosen.values())


def draw_successes(random: Random, clusters: Sequence[Cluster], observations: Sequence[Observation], n: int) -> list[Observation]:
    """Draw up to `n` observations in which the clusters' checks went right: contrasts for a reflection, guards for a test.

    Each cluster gives one in turn. Examples in which another of the clusters fails come last. Where there are not enough,
    examples follow that reached the clusters' component and in which nothing of it went wrong.
    """
    component = clusters[0].key[0]
    failing = {one.example.id for cluster in clusters for one in cluster.failing}
    found: dict[str, Observation] = {}
    shuffled = [random.sample(cluster.passing, len(cluster.passing)) for cluster in clusters]
    for turn in range(max((len(passing) for passing in shuffled), default=0)):
        found |= {passing[turn].example.id: passing[turn] for passing in shuffled if turn < len(passing)}
    # False sorts before True, and sorting is stable: each part keeps the order in which it was drawn.
    of_the_kind = sorted(found.values(), key=lambda one: one.example.id in failing)
    of_the_component = [
        one
        for one in observations
        if one.example.id not in found and one.rollout.reached(component) and not any(key[0] == component for key in one.failing)
    ]
    missing = max(0, n - len(of_the_kind))
    return [*of_the_kind[:n], *random.sample(of_the_component, min(len(of_the_component), missing))]
