"""Feedback in prose, turned into items: the reflection model lists the mistakes that it describes, a few runs in one call.

A search that knows *what* went wrong, and in which step, aims its edits at that and tests them on it. Where scorers write one text about
everything, a cheap call recovers the parts. Measured in a simulated world (prototype, prose feedback), this closed 0.71, 0.38 and 0.82
of the gap to the best possible prompts in three scenarios, instead of 0.46, 0.12 and 0.33. The user gets a message about the calls:
items from the scorer are free, and better.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from math import fsum

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.errors import ModelUnavailable
from prompt_registry_plugin.models.answers import CutOff, without_thinking
from prompt_registry_plugin.optimize.optimizers.reflection import shown_text, step_answer
from prompt_registry_plugin.records import Example, Item, Rollout
from prompt_registry_plugin.tracing.calls import is_call

# Runs in one call: it saves calls, and the model names the same mistake alike in all of them.
# Carried over from the prototype; other values were not measured.
_RUNS_PER_CALL = 4
# Two texts are about the same thing when the words they share are rare enough: a word counts as one over the number of kinds that
# contain it, so one word that two kinds contain is enough. A choice, not measured.
_MIN_SHARED_RARITY = 0.5
# Words that a rationale needs to count as prose. Fewer, such as "not correct", say no more than the score.
_MIN_WORDS = 3
# Characters of a kind. It is a key, and a model that rambles must not make it a page.
_MAX_KIND = 120
_WORDS = re.compile(r"[^\W\d_]{2,}")
_LINE = re.compile(r"^\W*(?:run\s*)?(\d+)\s*\|\s*([^|\n]+?)\s*\|\s*(.+?)\s*$", re.I | re.M)
_FINE = re.compile(r"(?i)^(?:ok|fine|right|correct)\b\W*")
_PARTICULARS = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|“[^”]*”|\d+")

Ask = Callable[..., Awaitable[str]]
"""`Problem.reflect`: (prompt, *, purpose, detail) to the answer."""

RolloutKey = tuple[str, str]
"""A candidate's id and an example's."""


def is_prose(rollout: Rollout) -> bool:
    """Whether a scorer explained its score in words and gave no items."""
    return rollout.error is None and any(
        not score.items and len(_WORDS.findall(score.rationale or "")) >= _MIN_WORDS for score in rollout.scores.values()
    )


class Listing:
    """The items of rollouts whose feedback is prose. The reflection model is asked about each rollout once.

    `components` are the keys that an item may name; `ask` asks the reflection model.
    """

    def __init__(self, components: Sequence[str], ask: Ask) -> None:
        self._components = list(components)
        self._ask = ask
        self.answers = 0  # so far: whoever caches what depends on the items compares this number
        self._asked: set[RolloutKey] = set()
        self._items: dict[RolloutKey, list[Item] | None] = {}  # from the answers; None where an answer held no mistake
        self._kinds: dict[str, set[str]] = {}  # kinds of mistakes with their words

    def items(self, rollout: Rollout) -> list[Item] | None:
        """Return the listed items of a rollout; None where its feedback is not prose, or no mistake was found in it.

        The list is empty while the answer is missing: such a rollout must not yet count as one whose score says all there is.
        """
        key = _key(rollout)
        return self._items[key] if key in self._items else [] if is_prose(rollout) else None

    async def read(self, runs: Sequence[tuple[Example, Rollout]]) -> None:
        """Have the mistakes in these runs listed, as far as their feedback is prose and was not read before.

        A model that fails leaves them without items: the scores still count.
        """
        new = {_key(run[1]): run for run in runs if is_prose(run[1]) and _key(run[1]) not in self._asked}
        self._asked |= new.keys()  # before the first await: two workers may hold the same rollout
        unread = list(new.values())
        await all_of(self._ask_about(unread[i : i + _RUNS_PER_CALL]) for i in range(0, len(unread), _RUNS_PER_CALL))

    async def _ask_about(self, runs: Sequence[tuple[Example, Rollout]]) -> None:
        keys = [_key(rollout) for _, rollout in runs]
        try:
            answer = await self._ask(listing_prompt(runs, self._components), purpose="listing", detail={"runs": keys})
        except ModelUnavailable:
            answer = ""
        self.add_answer(keys, answer)

    def add_answer(self, keys: Sequence[RolloutKey], answer: str) -> None:
        """Read the items from an answer about the runs with these keys; a resumed run does so with stored answers."""
        self._asked |= set(keys)
        self.answers += 1
        found: dict[int, list[Item]] = {number: [] for number in range(1, len(keys) + 1)}
        if isinstance(answer, CutOff):
            answer = answer.rpartition("\n")[0]  # its last line may be half a mistake
        for number, step, text in _LINE.findall(without_thinking(answer)):
            if int(number) in found and (item := self._parse_item(step, text)) is not None:
                found[int(number)].append(item)
        for number, key in enumerate(keys, 1):
            # Only rollouts with a low score are read: an answer without a mistake has overlooked it.
            overlooked = all(item.ok for item in found[number])
            self._items[key] = None if overlooked else found[number]
        self._match_successes()

    def _match_successes(self) -> None:
        """Give each success the kind of the mistake that it is the opposite of, so that tests see what an edit breaks."""
        every = [items for items in self._items.values() if items]
        for item in (item for items in every for item in items if not item.ok):
            self._kinds.setdefault(item.key or "", set((item.key or "").split()))
        spread = Counter(word for words in self._kinds.values() for word in words)
        matched: dict[str, str] = {}
        for items in every:
            for i, item in enumerate(items):
                if item.ok:
                    kind = matched.get(item.text) or self._opposite_kind(item.text, spread)
                    matched[item.text] = kind
                    items[i] = replace(item, key=kind)

    def _opposite_kind(self, text: str, spread: Mapping[str, int]) -> str:
        """Return the kind that shares most rare words with a success, or the success's own words when none shares enough."""
        own = kind_of(text)
        words = set(own.split()) & spread.keys()
        # fsum: a set has no fixed order, and a plain sum of floats depends on the order.
        rarity = {kind: fsum(1 / spread[word] for word in words & others) for kind, others in self._kinds.items()}
        best = max(rarity, key=lambda kind: rarity[kind], default=own)
        return best if rarity.get(best, 0) >= _MIN_SHARED_RARITY else own

    def _parse_item(self, step: str, text: str) -> Item | None:
        step = step.strip("`*\"' ")
        component = next((key for key in self._components if step in (key, key.partition("#")[0])), None)
        fine = _FINE.match(text)
        rest = text[fine.end() :] if fine else text
        return Item(rest, fine is not None, component, kind_of(rest)) if rest else None


def _key(rollout: Rollout) -> RolloutKey:
    return rollout.candidate_id, rollout.example_id


def kind_of(text: str) -> str:
    """Return the kind of a mistake: its words without particulars, which are quoted passages and numbers."""
    return " ".join(re.findall(r"[\w-]+", _PARTICULARS.sub(" ", text).lower()))[:_MAX_KIND] or "wrong"


def listing_prompt(runs: Sequence[tuple[Example, Rollout]], components: Sequence[str]) -> str:
    """Return the request to list the mistakes in some runs of a workflow."""
    steps = ", ".join(dict.fromkeys(key.partition("#")[0] for key in components))
    parts = [
        "List each mistake in the runs of a workflow below, one a line, as: run | step | mistake. "
        f"The steps are: {steps}. Name the step whose answer has the mistake in it, and use the same words for the same kind of mistake; "
        "put what is particular to a run in quotes. "
        "For what the feedback shows to be right, write a line of the same form whose third part begins with 'ok:'. Write nothing else."
    ]
    for number, (example, rollout) in enumerate(runs, 1):
        lines = [f"## Run {number}"]
        lines += [f"Input {field}: {shown_text(value)}" for field, value in example.inputs.items()]
        answers = {name: step_answer(rollout, name) for name in rollout.outputs_by_prompt}
        lines += [f"Output of step {name}:\n{str(answer).lstrip()}" for name, answer in answers.items()]
        if not answers or all(is_call(answer) for answer in rollout.outputs_by_prompt.values()):
            lines.append(f"Output:\n{shown_text(rollout.outputs)}")
        lines += [f"Feedback: {shown_text(score.rationale)}" for score in rollout.scores.values() if score.rationale]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
