"""Whether two answers say the same, for carrying prompts from one model to another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from prompt_registry_plugin.errors import ModelUnavailable
from prompt_registry_plugin.models.resolve import ask, resolve_model
from prompt_registry_plugin.protocols import AnyModel
from prompt_registry_plugin.recipes import with_recipe
from prompt_registry_plugin.records import Feedback, Item
from prompt_registry_plugin.scorers.builtin import require_expected, same_words, shared_words, words_of
from prompt_registry_plugin.scorers.comparing import answer_text, text_beside

_VERDICT = re.compile(r"^\W*(yes|no)\b[\s:.,;-]*(.*)", re.I | re.S)


@with_recipe
class Equivalence:
    """Compares an answer with `expectations["expected_response"]`.

    Scores 1 if they are equal, ignoring case, whitespace and punctuation. If they differ, a judge `model` decides whether they
    mean the same. Without a model, the score is the F1 measure of their shared words, which ignores meaning. Fields of mappings
    are compared one by one.
    """

    name = "equivalence"

    def __init__(self, model: AnyModel | None = None) -> None:
        self._model = None if model is None else resolve_model(model)

    async def __call__(self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Any) -> Feedback:
        """Return the mean over the fields, with an item for each. Raises `InvalidExample` if nothing is expected."""
        said_before = require_expected(expectations, self.name)
        pairs: dict[str, tuple[Any, Any]] = {"answer": (said_before, outputs)}
        if isinstance(said_before, Mapping) and isinstance(outputs, Mapping) and said_before:
            pairs = {key: (value, outputs.get(key)) for key, value in said_before.items()}
        scores, items = [], []
        for key, (wanted, got) in pairs.items():
            score, why = await self._compare(wanted, got)
            said = (
                f"{key} is {answer_text(got)!r}"
                if score == 1
                else f"{key} should be {answer_text(wanted)!r} but was {answer_text(got)!r}"
            )
            scores.append(score)
            items.append(Item(f"{said}. {why}" if why else said, score == 1, key=f"{key}={answer_text(wanted)}"[:80]))
        return Feedback(sum(scores) / len(scores), items)

    async def _compare(self, wanted: Any, got: Any) -> tuple[float, str]:
        """Return the score of two values, and the reason of the judge."""
        if same_words(wanted, got):
            return 1.0, ""
        wanted, got = text_beside(wanted, got), text_beside(got, wanted)
        if self._model is None:
            return shared_words(words_of(wanted), words_of(got)), ""
        answer = (await ask(self._model, _question(wanted, got))).text
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
