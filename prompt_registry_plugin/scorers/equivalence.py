"""Whether two answers say the same, for carrying prompts from one model to another."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from prompt_registry_plugin.errors import InvalidExample, ModelUnavailable
from prompt_registry_plugin.models.resolve import resolve_model
from prompt_registry_plugin.protocols import AnyModel
from prompt_registry_plugin.records import Feedback, Item

_VERDICT = re.compile(r"^\W*(yes|no)\b[\s:.,;-]*(.*)", re.I | re.S)
_WORDS = re.compile(r"\w+")


class Equivalence:
    """Compares an answer with `expectations["expected_response"]`: 1 where they are equal but for case, space and punctuation.

    Where they are not, a judge `model` says whether they mean the same; without one the score is the F1 measure of their shared words,
    which knows nothing of meaning. Fields of mappings are compared one by one.
    """

    name = "equivalence"

    def __init__(self, model: AnyModel | None = None) -> None:
        self._model = None if model is None else resolve_model(model)

    async def __call__(self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Any) -> Feedback:
        """The mean over the fields, with an item for each. Raises `InvalidExample` where nothing is expected."""
        if "expected_response" not in expectations:
            raise InvalidExample("equivalence needs expectations['expected_response']")
        expected = expectations["expected_response"]
        pairs: dict[str, tuple[Any, Any]] = {"answer": (expected, outputs)}
        if isinstance(expected, Mapping) and isinstance(outputs, Mapping):
            pairs = {key: (value, outputs.get(key)) for key, value in expected.items()}
        scores, items = [], []
        for key, (wanted, got) in pairs.items():
            score, why = await self._compare(_text(wanted), _text(got))
            said = f"{key} is {_text(got)!r}" if score == 1 else f"{key} should be {_text(wanted)!r} but was {_text(got)!r}"
            scores.append(score)
            items.append(Item(f"{said}. {why}" if why else said, score == 1, key=f"{key}={_text(wanted)}"[:80]))
        return Feedback(sum(scores) / len(scores), items)

    async def _compare(self, wanted: str, got: str) -> tuple[float, str]:
        mine, theirs = (_WORDS.findall(text.casefold()) for text in (wanted, got))
        if mine == theirs or wanted.strip() == got.strip():
            return 1.0, ""
        if self._model is None:
            return _f1(mine, theirs), ""
        answer = (await self._model(_question(wanted, got))).text
        verdict = _VERDICT.match(answer)
        if verdict is None:
            raise ModelUnavailable(f"the judge {self._model.name!r} said neither yes nor no: {answer!r:.200}")
        return float(verdict[1].lower() == "yes"), " ".join(verdict[2].split())


def _question(wanted: str, got: str) -> list[dict[str, str]]:
    asked = (
        "Do these two answers to the same question mean the same, so that one could stand for the other? Begin with yes or no, "
        f"then say in one sentence what differs.\n\nFirst answer:\n{wanted}\n\nSecond answer:\n{got}"
    )
    return [{"role": "user", "content": asked}]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _f1(mine: Sequence[str], theirs: Sequence[str]) -> float:
    shared = sum((Counter(mine) & Counter(theirs)).values())
    return 2 * shared / (len(mine) + len(theirs)) if shared else 0.0
