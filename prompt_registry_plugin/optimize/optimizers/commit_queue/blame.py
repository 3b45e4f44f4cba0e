"""Credit assignment: what went wrong in a rollout, which prompt is responsible, and whether an edit fixed it."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from prompt_registry_plugin.optimize.optimizers.commit_queue.listing import is_prose
from prompt_registry_plugin.records import Item, Rollout

SCORE = "score of "  # the beginning of a kind of failure that is a low number and nothing more
_TRANSIENT = re.compile(r"(?i)time.?out|timed out|connect|rate.?limit|overload|unavailable|\b(429|5\d\d)\b")
_UNUSED = " never rendered"  # in the errors for a lost context and for an answer from a cache

ClusterKey = tuple[str, str]
"""A component and a kind of failure: what the search groups failures by."""

Checks = dict[ClusterKey, list[Item]]
"""The items of a rollout by cluster."""


class Blame:
    """Sorts the feedback on rollouts into clusters: failures of one kind that one component is responsible for.

    `components` are the texts to improve, by key. `listed` returns the items that were listed for a rollout whose scorers wrote prose,
    or None.
    """

    def __init__(
        self, components: Mapping[str, str], listed: Callable[[Rollout], list[Item] | None] = lambda rollout: None
    ) -> None:
        self.components = components
        self._listed = listed
        self._thresholds: dict[str, float] = {}  # by scorer: the score from which an answer counts as right
        self._outcomes: dict[tuple[str, str], tuple[Checks, Checks]] = {}

    def failures(self, rollout: Rollout) -> Checks:
        """Return what went wrong: failed items, scores below their threshold, and errors of the target."""
        if rollout.error is None:
            return self._checks(rollout, ok=False)
        found: Checks = defaultdict(list)
        # No prompt causes a transient error, or that it was not used: an edit aimed at it would be wasted.
        if not _TRANSIENT.search(rollout.error) and _UNUSED not in rollout.error:
            kind = rollout.error.partition(":")[0]
            for component in self.reached(rollout):
                found[component, kind].append(Item(f"the run failed: {rollout.error}", False, key=kind))
        return found

    def successes(self, rollout: Rollout) -> Checks:
        """Return what went right: passed items, and scores from their threshold on."""
        return self._checks(rollout, ok=True) if rollout.error is None else {}

    def outcomes(self, rollout: Rollout) -> tuple[Checks, Checks]:
        """Return the failures and successes of a rollout, remembered as long as they cannot change."""
        key = rollout.candidate_id, rollout.example_id
        if is_prose(rollout):  # its items may still be listed, or matched to other kinds
            return self.failures(rollout), self.successes(rollout)
        if key not in self._outcomes:
            self._outcomes[key] = self.failures(rollout), self.successes(rollout)
        return self._outcomes[key]

    def _checks(self, rollout: Rollout, *, ok: bool) -> Checks:
        found: Checks = defaultdict(list)
        for item in self.items(rollout):
            if item.ok is ok:
                for component in self.responsible_components(item, rollout):
                    found[component, item.key or "wrong"].append(item)
        return found

    def items(self, rollout: Rollout) -> list[Item]:
        """Return the items of every scorer. A score without items counts as one item, which fails below the scorer's threshold."""
        found: list[Item] = []
        listed = self._listed(rollout)
        for name, score in rollout.scores.items():
            if listed is not None and score.rationale and not score.items:
                continue  # the listed items say the same in parts
            ok = score.value >= self._thresholds.get(name, 1.0)
            text = f"{name}: {score.value:g}" + (f". {score.rationale}" if score.rationale else "")
            found += score.items or [Item(text, ok, key=f"{SCORE}{name}")]
        return [*found, *(listed or ())]

    def is_wrong(self, rollout: Rollout) -> bool:
        """Whether some score is below its threshold."""
        return any(score.value < self._thresholds.get(name, 1.0) for name, score in rollout.scores.items())

    def set_thresholds(self, rollouts: Iterable[Rollout]) -> None:
        """Set from which score on an answer counts as right: 1 on a scale from 0 to 1, and the best score seen on any other scale."""
        values: dict[str, list[float]] = defaultdict(list)
        for rollout in rollouts:
            for name, score in rollout.scores.items():
                values[name].append(score.value)
        for name, scores in values.items():
            best, worst = max(scores), min(scores)
            is_unit_scale = worst >= 0 and best <= 1
            # With all scores equal on an unknown scale, nothing says which are good: all may be improved.
            threshold = 1.0 if is_unit_scale else best if best > worst else math.inf
            if self._thresholds.get(name) != threshold:
                self._thresholds[name] = threshold
                self._outcomes.clear()

    def responsible_components(self, item: Item, rollout: Rollout) -> list[str]:
        """Return the components that an item is about: those it names, else the one whose answer it quotes, else all.

        Only components that the rollout reached are among them: none, if the row went elsewhere.
        """
        reached = self.reached(rollout)
        if item.component is not None:
            named = [key for key in reached if key.partition("#")[0] == item.component or key == item.component]
            return named or reached
        quoted = [
            key
            for key in reached
            if (answer := rollout.outputs_by_prompt.get(key.partition("#")[0])) and answer.strip() in item.text
        ]
        return quoted if len(quoted) == 1 else reached

    def reached(self, rollout: Rollout) -> list[str]:
        """Return the components that were rendered in a rollout, in the order of all."""
        return [key for key in self.components if rollout.reached(key)]

    def is_fixed(self, key: ClusterKey, old: Rollout, new: Rollout) -> bool:
        """Whether a failure of the old rollout is gone in the new one, or the score is higher where there is only a number."""
        if new.error is not None:
            return False
        if key[1].startswith(SCORE) or self._lacks_listing(old, new) or not new.reached(key[0]):
            return is_higher(new, old)  # a check that could not be made says nothing
        return key not in self.failures(new)

    def is_broken(self, key: ClusterKey, old: Rollout, new: Rollout) -> bool:
        """Whether a check that was right in the old rollout is wrong in the new one."""
        if new.error is not None:
            return True
        only_score = self._lacks_listing(old, new) or not new.reached(key[0])
        return is_higher(old, new) if only_score else key in self.failures(new)

    def _lacks_listing(self, old: Rollout, new: Rollout) -> bool:
        """Whether the mistakes of the old rollout were listed and those of the new one were not: then only scores are comparable."""
        return self._listed(old) is not None and self._listed(new) is None and self.is_wrong(new)


def is_higher(one: Rollout, other: Rollout) -> bool:
    """Whether both have a score, and the first one's is higher."""
    return one.score is not None and other.score is not None and one.score > other.score
