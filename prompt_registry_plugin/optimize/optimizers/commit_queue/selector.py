"""Choosing what to treat next: which clusters one edit is aimed at, and which of their failures the reflection model is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import ClusterKey
from prompt_registry_plugin.optimize.optimizers.commit_queue.clusters import Cluster, cover
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import Observation

# Failures of a cluster in one reflection. Measured in a simulated world (prototype, 600 rollouts, mean of four scenarios): one
# instead of three closed 0.76 of the gap to the best possible prompts instead of 0.81.
FAILURES_SHOWN = 3
# Failures that a cluster needs while there are examples that no version ran on. With fewer than a reflection shows, one more
# rollout is cheaper than an edit made from a single case.
ENOUGH_FAILURES = FAILURES_SHOWN
# Clusters of one component in one reflection. The number grows by one with every accepted edit and shrinks with every rejected
# one. The prototype began with 3 and allowed 6. These smaller bounds came with larger blocks of gathered examples, and were
# chosen together in the simulated development worlds; no figure was kept.
_MIN_CLUSTERS = 1
_FIRST_CLUSTERS = 2
_MAX_CLUSTERS = 4
# The promise, as a share of the best cluster's, that a cluster needs while other edits are under way. Below it, a worker waits:
# what an edit under way teaches is worth more than an edit of little promise. Measured in a simulated world (600 rollouts,
# 24 seeds), twelve edits at once closed 0.93, 0.73 and 0.86 of the gap, and one at a time 0.97, 0.73 and 0.90.
_MIN_PROMISE = 0.2
# Edits aimed at one failure before other failures come first: the first edit may have failed by chance. Chosen, not measured.
_FIRST_PATIENCE = 2
# Edits aimed at one failure before it counts as beyond repair. It bounds the reflections of a search that gets nowhere:
# a budget in rollouts does not. Chosen, not measured.
_MAX_PATIENCE = 10


class Selector:
    """Chooses clusters for the workers, and remembers what edits were aimed at.

    A cluster is treated by one worker at a time. Without that, concurrency cost 12–17 points of the gap in a simulated world:
    through duplicates and thin evidence, not because evidence was stale.
    """

    def __init__(self, examples: int) -> None:
        """`examples` is the number of training examples."""
        self._examples = examples
        self.in_flight: set[ClusterKey] = set()
        self._attempts: Counter[tuple[ClusterKey, str]] = Counter()  # (cluster, example id) -> edits aimed at it
        self._clusters_per_edit = _FIRST_CLUSTERS
        self._patience = _FIRST_PATIENCE

    def choose(self, clusters: Mapping[ClusterKey, Cluster], observed: int) -> list[Cluster]:
        """Return the most promising free cluster with others of its component; an empty list while none is worth an edit.

        `observed` is the number of training examples that something is known about.
        """
        may_gather = observed < self._examples
        free = {key: cluster for key, cluster in clusters.items() if self._is_free(cluster, may_gather)}
        best = max((cluster.promise for cluster in clusters.values()), default=0)
        if not free or (self.in_flight and max(cluster.promise for cluster in free.values()) < _MIN_PROMISE * best):
            return []
        edits_of = Counter(component for component, _ in self.in_flight)

        def weight(key: ClusterKey) -> float:
            # Edits of one component at once have to be merged, and a failure that resisted an edit may resist the next.
            attempts = fmean(self._attempts_at(key, one) for one in free[key].failing)
            return free[key].promise / (1 + edits_of[key[0]]) / (1 + attempts)

        first = max(free, key=weight)
        others = sorted((key for key in free if key[0] == first[0] and key != first), key=weight, reverse=True)
        return [free[key] for key in [first, *others[: self._clusters_per_edit - 1]]]

    def _is_free(self, cluster: Cluster, may_gather: bool) -> bool:
        if cluster.key in self.in_flight or (may_gather and len(cluster.failing) < ENOUGH_FAILURES):
            return False
        return min(self._attempts_at(cluster.key, one) for one in cluster.failing) < self._patience

    def _attempts_at(self, key: ClusterKey, observation: Observation) -> int:
        return self._attempts[key, observation.example.id]

    def choose_failures(self, clusters: Sequence[Cluster], observations: Iterable[Observation]) -> list[Observation]:
        """Return the failures that the reflection model is shown, those that fewest edits were aimed at first; count this edit."""
        keys = {cluster.key for cluster in clusters}
        attempts = {one.example.id: fmean(self._attempts_at(key, one) for key in keys) for one in observations}
        failures = cover(clusters, FAILURES_SHOWN, attempts)
        for one in failures:
            self._attempts.update((key, one.example.id) for key in keys & one.failing.keys())
        return failures

    def restore(self, keys: set[ClusterKey], shown: Iterable[str], *, accepted: bool | None = None) -> None:
        """Count an edit of an earlier process: what it was aimed at, and, if it was tested, whether it was accepted."""
        self._attempts.update((key, example_id) for key in keys for example_id in shown)
        if accepted is not None and keys:
            self.adapt(accepted=accepted)

    def adapt(self, *, accepted: bool) -> None:
        """Treat more clusters in one edit while edits are accepted, and fewer while they are rejected."""
        change = 1 if accepted else -1
        self._clusters_per_edit = min(_MAX_CLUSTERS, max(_MIN_CLUSTERS, self._clusters_per_edit + change))

    def retry_resistant(self) -> bool:
        """Allow one more edit for each failure, now that everything else was tried; return False when that was done often enough."""
        self._patience += 1
        return self._patience <= _MAX_PATIENCE
