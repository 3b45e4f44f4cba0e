"""Agreement between a judge and human labels. Measure it before you optimize with a judge."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.concurrency import blocking
from prompt_registry_plugin.errors import InvalidExample, ModelUnavailable, NotPlainData, UserError
from prompt_registry_plugin.plain.answers import answer_data
from prompt_registry_plugin.protocols import Scorer
from prompt_registry_plugin.scorers.scorer import NoScore, to_score
from prompt_registry_plugin.tracing.trace import Trace


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement between a judge and human labels (Cohen, 1960)."""

    n: int
    """Number of labels."""
    accuracy: float
    """Share of labels that the judge agrees with, from 0 to 1."""
    kappa: float
    """Cohen's kappa: 1 for full agreement, 0 for the agreement expected by chance, below 0 for less."""
    disagreements: Sequence[tuple[Mapping[str, Any], float]]
    """The rows where they differ, each with the judge's score."""
    unscored: int = 0
    """Rows that the judge gave no score, such as an answer of it that cannot be read. They are not in `n`."""

    def __str__(self) -> str:
        unscored = f", {self.unscored} without a score" if self.unscored else ""
        return f"accuracy {self.accuracy:.3f}, kappa {self.kappa:.3f} (n={self.n}{unscored})"


async def ajudge_agreement(
    judge: Scorer, data: Sequence[Mapping[str, Any]], *, threshold: float = 0.5, concurrency: int = 8
) -> Agreement:
    """Ask `judge` about every row, and compare its verdict with the row's human `label`: true or false, or a number.

    A row has `outputs` and `label`, and may have `inputs` and `expectations`. Scores and labels of at least `threshold` count as
    true. Asks up to `concurrency` rows at once. Raises `InvalidExample` for rows that lack something, and the judge's error if it
    gives no row a score.
    """
    if isinstance(data, str) or not all(isinstance(row, Mapping) for row in data):
        raise InvalidExample(
            "labelled rows are a list of {'outputs': …, 'label': …}, with 'inputs' and 'expectations' beside them"
        )
    for number, row in enumerate(data, 1):
        if missing := [name for name in ("outputs", "label") if row.get(name) is None]:
            raise InvalidExample(f"row {number} has no {missing[0]!r}")
    answers = [_answer_of(row, number) for number, row in enumerate(data, 1)]
    if concurrency < 1:
        raise UserError(f"concurrency is a whole number from 1 on, not {concurrency!r}")
    if not data:
        raise InvalidExample("there are no labelled rows")
    slots = asyncio.Semaphore(concurrency)

    async def ask(row: Mapping[str, Any], answer: Any) -> float | None:
        async with slots:
            try:
                said = await judge(
                    inputs=row.get("inputs") or {},
                    outputs=answer,
                    expectations=row.get("expectations") or {},
                    trace=Trace("judged"),
                )
                return to_score(said, judge.name).value
            except (ModelUnavailable, NoScore) as error:
                unscored.append(error)
                return None

    unscored: list[Exception] = []
    asked = list(zip(data, await asyncio.gather(*map(ask, data, answers)), strict=True))
    if len(unscored) == len(data):
        raise unscored[-1]
    judged = [(row, score) for row, score in asked if score is not None]
    pairs = [(float(row["label"]) >= threshold, score >= threshold) for row, score in judged]
    n = len(pairs)
    accuracy = sum(mine == theirs for mine, theirs in pairs) / n
    people, verdicts = Counter(mine for mine, _ in pairs), Counter(theirs for _, theirs in pairs)
    chance = sum(people[value] * verdicts[value] for value in (True, False)) / n**2
    kappa = 1.0 if chance == 1 else (accuracy - chance) / (1 - chance)
    apart = [(row, score) for (row, score), (mine, theirs) in zip(judged, pairs, strict=True) if mine != theirs]
    return Agreement(n, accuracy, kappa, apart, len(unscored))


def _answer_of(row: Mapping[str, Any], number: int) -> Any:
    """Return the answer in a row as JSON data."""
    try:
        return answer_data(row["outputs"])
    except NotPlainData as error:
        raise InvalidExample(f"'outputs' of row {number}: {error}") from error


judge_agreement = blocking(ajudge_agreement)
