"""Feedback in prose, made into items: the reflection model lists the mistakes that it tells of, a few runs at a time.

A search that knows *what* went wrong, and in which step, aims its edits and tests them on that. Where scorers give one text for
everything, a cheap question brings it back; what it costs is told to the user, as items from the scorer would be free and better.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.errors import ModelUnavailable
from prompt_registry_plugin.optimize.optimizers.reflection import shown_text
from prompt_registry_plugin.records import Example, Item, Rollout

_RUNS = 4  # in one question
_RARE = 0.5  # a shared word counts by the number of kinds it stands in; so much makes two texts speak of the same
_FEW_WORDS = 3  # fewer say no more than the number
_WORDS = re.compile(r"[^\W\d_]{2,}")
_LINE = re.compile(r"^\W*(?:run\s*)?(\d+)\s*\|\s*([^|\n]+?)\s*\|\s*(.+?)\s*$", re.I | re.M)
_FINE = re.compile(r"(?i)^(?:ok|fine|right|correct)\b\W*")
_PARTICULARS = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|“[^”]*”|\d+")

Ask = Callable[..., Awaitable[str]]  # (prompt, *, purpose, detail)
Key = tuple[str, str]  # candidate id, example id


def is_prose(rollout: Rollout) -> bool:
    """Whether a rollout was judged in words, rather than by a number only, that no scorer made into items."""
    return rollout.error is None and any(
        not score.items and len(_WORDS.findall(score.rationale or "")) >= _FEW_WORDS for score in rollout.scores.values()
    )


class Listing:
    """The items of rollouts that were judged in prose, by (candidate, example); those of one rollout are asked for once."""

    def __init__(self, components: Sequence[str], ask: Ask) -> None:
        self._components = list(components)
        self._ask = ask
        self.answers = 0  # so far
        self._asked: set[Key] = set()
        self._known: dict[Key, list[Item] | None] = {}  # once it was answered; None where nothing came of it
        self._kinds: dict[str, set[str]] = {}  # kinds of mistakes with their words

    def items(self, rollout: Rollout) -> list[Item] | None:
        """What was listed for a rollout; nothing while that is under way, None where it was not judged in prose or nothing came of it."""
        key = _key(rollout)
        return self._known[key] if key in self._known else [] if is_prose(rollout) else None

    async def read(self, runs: Sequence[tuple[Example, Rollout]]) -> None:
        """Has the mistakes in these runs listed, where that is still to be done. A model that fails leaves them as they are."""
        new = {_key(run[1]): run for run in runs if is_prose(run[1]) and _key(run[1]) not in self._asked}
        self._asked |= new.keys()
        listed = list(new.values())
        await all_of(self._read(listed[i : i + _RUNS]) for i in range(0, len(listed), _RUNS))

    async def _read(self, runs: Sequence[tuple[Example, Rollout]]) -> None:
        keys = [_key(rollout) for _, rollout in runs]
        try:
            answer = await self._ask(listing_prompt(runs, self._components), purpose="listing", detail={"runs": keys})
        except ModelUnavailable:
            answer = ""
        self.take(keys, answer)

    def take(self, keys: Sequence[Key], answer: str) -> None:
        """Reads an answer about the runs with these keys."""
        self._asked |= set(keys)
        self.answers += 1
        found: dict[int, list[Item]] = {number: [] for number in range(1, len(keys) + 1)}
        for number, step, said in _LINE.findall(answer):
            if int(number) in found and (item := self._item(step, said)) is not None:
                found[int(number)].append(item)
        for number, key in enumerate(keys, 1):
            overlooked = all(item.ok for item in found[number])
            self._known[key] = None if overlooked else found[number]
        self._match()

    def _match(self) -> None:
        """Gives what went right the kind of the mistake that it is the opposite of: the one whose rare words it shares."""
        listed = [items for items in self._known.values() if items]
        for item in (item for items in listed for item in items if not item.ok):
            self._kinds.setdefault(item.key or "", set((item.key or "").split()))
        spread = Counter(word for words in self._kinds.values() for word in words)
        matched: dict[str, str] = {}
        for items in listed:
            for i, item in enumerate(items):
                if item.ok:
                    kind = matched.get(item.text) or self._opposite(item.text, spread)
                    matched[item.text] = kind
                    items[i] = replace(item, key=kind)

    def _opposite(self, text: str, spread: Mapping[str, int]) -> str:
        own = kind_of(text)
        words = set(own.split()) & spread.keys()
        shares = {kind: sum(1 / spread[word] for word in words & said) for kind, said in self._kinds.items()}
        best = max(shares, key=lambda kind: shares[kind], default=own)
        return best if shares.get(best, 0) >= _RARE else own

    def _item(self, step: str, said: str) -> Item | None:
        step = step.strip("`*\"' ")
        component = next((key for key in self._components if step in (key, key.partition("#")[0])), None)
        fine = _FINE.match(said)
        text = said[fine.end() :] if fine else said
        if not text:
            return None
        return Item(text, fine is not None, component, kind_of(text))


def _key(rollout: Rollout) -> Key:
    return rollout.candidate_id, rollout.example_id


def kind_of(text: str) -> str:
    """The kind of a mistake: its words without the particulars (what is quoted, numbers)."""
    return " ".join(re.findall(r"[\w-]+", _PARTICULARS.sub(" ", text).lower()))[:120] or "wrong"


def listing_prompt(runs: Sequence[tuple[Example, Rollout]], components: Sequence[str]) -> str:
    """The question for the mistakes in some runs of a workflow."""
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
        lines += [f"Output of step {name}:\n{shown_text(said)}" for name, said in rollout.outputs_by_prompt.items()]
        if not rollout.outputs_by_prompt:
            lines.append(f"Output:\n{shown_text(rollout.outputs)}")
        lines += [f"Feedback: {shown_text(score.rationale)}" for score in rollout.scores.values() if score.rationale]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
