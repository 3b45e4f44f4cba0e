"""The scores of one answer: what each scorer says, one number for all of them, or why there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from prompt_registry_plugin.errors import ModelUnavailable, UserError, did_you_mean
from prompt_registry_plugin.evaluation.targets import import_object
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.protocols import Scorer
from prompt_registry_plugin.records import Example, Rollout, Score
from prompt_registry_plugin.retry import is_passing
from prompt_registry_plugin.scorers.scorer import FunctionScorer, NoScore, to_score
from prompt_registry_plugin.tracing.trace import Trace, error_text

Aggregation = Callable[[Mapping[str, float]], float]
Attempt = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Return what a function returns, called again after transient errors, and within a time limit."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all scorers say about one answer."""

    scores: dict[str, Score]
    """The score by scorer, of those that gave one."""
    score: float | None
    """All of them as one number; None if one of them gave none."""
    unscored: str | None = None
    """Why there is no number."""
    cause: Exception | None = None
    """The exception behind it."""

    @property
    def is_fault(self) -> bool:
        """Whether a scorer is broken, or the answer or the example breaks it: nothing that another attempt would change."""
        passes = (
            self.cause is None or isinstance(self.cause, ModelUnavailable | NoScore | ScorerTimeout) or is_passing(self.cause)
        )
        return not passes


class ScorerTimeout(Exception):
    """A scorer that gave no score in time. It is not tried again: another attempt would take as long."""


async def score_answer(
    scorers: Sequence[Scorer], aggregation: Aggregation, example: Example, outputs: Any, trace: Trace, attempt: Attempt
) -> Verdict:
    """Return the verdict of all scorers on an answer. A scorer that raises, or returns no number, leaves it without a score.

    An answer without a score is not wrong, and not right: nobody knows. The other scorers are asked all the same.
    """
    scores: dict[str, Score] = {}
    failed: Verdict | None = None
    for scorer in scorers:
        judge = partial(scorer, inputs=example.inputs, outputs=outputs, expectations=example.expectations, trace=trace)
        try:
            scores[scorer.name] = to_score(await attempt(judge), scorer.name)
        except Exception as caught:  # noqa: BLE001  the boundary of one example's scoring: whatever a user's scorer raises
            failed = failed or _without_score(f"scorer {scorer.name!r}", scores, caught)
    if failed is not None:
        return failed
    try:
        total = aggregation({name: score.value for name, score in scores.items()})
        return Verdict(scores, to_score(total, "aggregation").value)
    except Exception as caught:  # noqa: BLE001  as above
        return _without_score("aggregation", scores, caught)


def _without_score(at: str, scores: dict[str, Score], caught: Exception) -> Verdict:
    problem = str(caught) if isinstance(caught, UserError | ScorerTimeout) else error_text(caught)
    return Verdict(scores, None, mask_secrets(f"{at} failed: {problem}"), caught)


def mean_of(scores: Mapping[str, float]) -> float:
    """Return the mean of the scores: the aggregate if none is given."""
    return fmean(scores.values())


def scores_of(rollouts: Sequence[Rollout]) -> list[float]:
    """Return the scores of the rollouts that have one."""
    return [rollout.score for rollout in rollouts if rollout.score is not None]


def mean_score(rollouts: Sequence[Rollout]) -> float | None:
    """Return the mean score of the rollouts that have one; None if none has."""
    found = scores_of(rollouts)
    return fmean(found) if found else None


def scored_pairs(before: Sequence[Rollout], after: Sequence[Rollout]) -> tuple[list[float], list[float]]:
    """Return the scores of two lists of rollouts on the same examples, without the examples on which one of them has no score."""
    pairs = [(b.score, a.score) for b, a in zip(before, after, strict=True) if b.score is not None and a.score is not None]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def resolve_scorers(scorers: Sequence[Any], plugins: PluginManager) -> list[Scorer]:
    """Return the scorers for scorers, plain functions, names of installed ones, and `"module:name"`.

    Raises `UserError` for an unknown name, and if two scorers have the same name.
    """
    if isinstance(scorers, str) or not isinstance(scorers, Sequence):
        raise UserError("scorers is a list of scorers")
    if not scorers:
        raise UserError("at least one scorer is needed, such as 'exact_match' or a function with @scorer")
    known: dict[str, Scorer] = {s.name: s for listed in plugins.hook.prompt_registry_scorers() for s in listed}
    found: list[Scorer] = []
    for named in scorers:
        scorer = import_object(named) if isinstance(named, str) and ":" in named else named
        if isinstance(scorer, str) and scorer not in known:
            raise UserError(
                f"no scorer is called {scorer!r}{did_you_mean(scorer, known) or '; there are ' + ', '.join(sorted(known))}"
            )
        if isinstance(scorer, str):
            found.append(known[scorer])
        else:
            foreign: Scorer | None = plugins.hook.prompt_registry_as_scorer(obj=scorer)
            found.append(foreign or (scorer if hasattr(scorer, "name") else FunctionScorer(scorer)))
    names = [scorer.name for scorer in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two scorers are called {twice[0]!r}; give them different names")
    return found
