"""What went wrong in a rollout, which prompt is responsible, and whether an edit mended it."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from prompt_registry_plugin.optimize.optimizers.commit_queue.listing import is_prose
from prompt_registry_plugin.records import Item, Rollout

SCORE = "score of "  # how the kind of failure begins that is a low number and nothing more
_TRANSIENT = re.compile(r"(?i)time.?out|timed out|connect|rate.?limit|overload|unavailable|\b(429|5\d\d)\b")

ClusterKey = tuple[str, str]  # component, kind of failure


class Blame:
    """Sorts what went wrong into clusters: (component, kind of failure)."""

    def __init__(
        self, components: Mapping[str, str], listed: Callable[[Rollout], list[Item] | None] = lambda rollout: None
    ) -> None:
        self.components = components
        self._listed = listed  # the items of a rollout that was judged in prose, where they are known
        self.marks: dict[str, float] = {}  # by scorer, for those that give numbers only
        self._judged: dict[tuple[str, str], tuple[dict[ClusterKey, list[Item]], dict[ClusterKey, list[Item]]]] = {}

    def blamed(self, rollout: Rollout) -> dict[ClusterKey, list[Item]]:
        """What went wrong in a rollout, by cluster: failed items, scorers below their mark, and errors of the target."""
        if rollout.error is not None:
            found: dict[ClusterKey, list[Item]] = defaultdict(list)
            if not _TRANSIENT.search(rollout.error):  # no prompt mends a connection
                kind = rollout.error.partition(":")[0]
                for component in self.components:
                    found[component, kind].append(Item(f"the run failed: {rollout.error}", False, key=kind))
            return found
        return self._sorted(rollout, ok=False)

    def judged(self, rollout: Rollout) -> tuple[dict[ClusterKey, list[Item]], dict[ClusterKey, list[Item]]]:
        """(what went wrong, what went right), remembered for as long as nothing changes that it depends on."""
        key = rollout.candidate_id, rollout.example_id
        if is_prose(rollout):  # what is known of it may still change
            return self.blamed(rollout), self.passed(rollout)
        if key not in self._judged:
            self._judged[key] = self.blamed(rollout), self.passed(rollout)
        return self._judged[key]

    def passed(self, rollout: Rollout) -> dict[ClusterKey, list[Item]]:
        """What went right in a rollout, in the same way."""
        return self._sorted(rollout, ok=True) if rollout.error is None else {}

    def _sorted(self, rollout: Rollout, *, ok: bool) -> dict[ClusterKey, list[Item]]:
        found: dict[ClusterKey, list[Item]] = defaultdict(list)
        for item in self.items(rollout):
            if item.ok is ok:
                for component in self.responsible(item, rollout):
                    found[component, item.key or "wrong"].append(item)
        return found

    def items(self, rollout: Rollout) -> list[Item]:
        """The items of every scorer; a scorer that gave none counts as one item, which fails below the scorer's mark."""
        found: list[Item] = []
        listed = self._listed(rollout)
        for name, score in rollout.scores.items():
            if listed is not None and score.rationale and not score.items:
                continue
            ok = score.value >= self.marks.get(name, 1.0)
            said = f"{name}: {score.value:g}" + (f". {score.rationale}" if score.rationale else "")
            found += score.items or [Item(said, ok, key=f"{SCORE}{name}")]
        return [*found, *(listed or ())]

    def is_wrong(self, rollout: Rollout) -> bool:
        """Whether some scorer found less than all right."""
        return any(score.value < self.marks.get(name, 1.0) for name, score in rollout.scores.items())

    def set_marks(self, rollouts: Iterable[Rollout]) -> None:
        """What counts as right where a scorer says no more than a number: 1 on a scale from 0 to 1, else the best seen so far."""
        values: dict[str, list[float]] = defaultdict(list)
        for rollout in rollouts:
            for name, score in rollout.scores.items():
                values[name].append(score.value)
        for name, seen in values.items():
            best, worst = max(seen), min(seen)
            unit = worst >= 0 and best <= 1
            # With all alike on an unknown scale, all may be improved.
            mark = 1.0 if unit else best if best > worst else math.inf
            if self.marks.get(name) != mark:
                self.marks[name] = mark
                self._judged.clear()

    def responsible(self, item: Item, rollout: Rollout) -> list[str]:
        """The components that an item speaks about: those it names, else the one whose answer it quotes, else all."""
        if item.component is not None:
            named = [key for key in self.components if key.partition("#")[0] == item.component or key == item.component]
            return named or list(self.components)
        quoted = [
            key
            for key in self.components
            if (said := rollout.outputs_by_prompt.get(key.partition("#")[0])) and said.strip() in item.text
        ]
        return quoted if len(quoted) == 1 else list(self.components)

    def is_fixed(self, key: ClusterKey, old: Rollout, new: Rollout) -> bool:
        """Whether a failure of the old rollout is gone in the new one, or better where there is a number only."""
        if new.error is not None:
            return False
        if key[1].startswith(SCORE) or self._is_untold(old, new):
            return new.score > old.score
        return key not in self.blamed(new)

    def is_broken(self, key: ClusterKey, old: Rollout, new: Rollout) -> bool:
        """Whether what was right in the old rollout is wrong in the new one."""
        if new.error is not None:
            return True
        return new.score < old.score if self._is_untold(old, new) else key in self.blamed(new)

    def _is_untold(self, old: Rollout, new: Rollout) -> bool:
        """Whether nobody could say what is wrong with the new rollout, though it was known of the old one."""
        return self._listed(old) is not None and self._listed(new) is None and self.is_wrong(new)
