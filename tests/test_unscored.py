"""Rows without a score: a judge that cannot be read, a scorer that returns NaN or raises. They are no wrong answers, and are shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from tests import simulated_target as target

QUIET = pr.RunOptions(concurrency=8, on_event=lambda event: None)
DATA = [{"inputs": {"n": n}} for n in range(12)]
SAID = ["1", "0.5", "0", "nan", "mumbles", "raises"]


def answer(n: int) -> int:
    return n


def judge_of(saying: Mapping[int, str]) -> Any:
    """Return a scorer that says this of each answer; where it mumbles, a judge of this package was asked and could not be read."""
    mumbling = pr.scorers.Judge("Is it?", model=lambda messages: "Well, that depends.")

    @pr.scorer
    async def judged(outputs: int) -> float:
        said = saying[outputs]
        if said == "mumbles":
            await mumbling(inputs={}, outputs=outputs, expectations={}, trace=None)  # type: ignore[arg-type]  # it is not read
        if said == "raises":
            raise KeyError("label")
        return float(said)

    return judged


@settings(max_examples=20)
@given(st.lists(st.sampled_from(SAID), min_size=11, max_size=11), st.sampled_from(["1", "0"]))
def test_means_are_of_the_rows_with_a_score(said: list[str], first: str) -> None:
    """In an evaluation and in a comparison, whatever the scorer says after the first row: nothing is taken for 0, and all is counted."""
    saying = dict(enumerate([first, *said]))
    scores = [float(text) for text in saying.values() if text in ("1", "0.5", "0")]
    result = pr.evaluate(predict_fn=answer, data=DATA, scorers=[judge_of(saying)], options=QUIET)
    assert (result.score.mean, result.score.n) == (pytest.approx(sum(scores) / len(scores)), len(scores))
    assert result.scores["judged"] == result.score
    assert [rollout.outputs for rollout in result.unscored] == [
        n for n, text in saying.items() if text in ("nan", "mumbles", "raises")
    ]
    assert all(rollout.score is None and rollout.unscored for rollout in result.unscored)
    assert {rollout.outputs for rollout in result.failures} == {n for n, text in saying.items() if text == "raises"}
    if result.unscored:
        assert f"{len(result.unscored)} without a score" in repr(result)


def test_a_comparison_leaves_out_pairs_without_a_score() -> None:
    """The difference is over the rows that both have; reports say how many are missing, and why."""

    def odd(n: int) -> float:
        return math.nan if n in (3, 4) else 0.5

    @pr.scorer
    def given_score(outputs: float) -> float:
        return outputs

    found = pr.compare(predict_fn={"plain": lambda n: 0.0, "odd": odd}, data=DATA, scorers=[given_score], options=QUIET)
    difference = found.variants[1].difference
    assert difference is not None
    assert (difference.difference.mean, difference.difference.n) == (0.5, 10)
    assert found.rows()[1][found.columns.index("no score")] == "2"
    assert "2 answers without a score are left out, such as: scorer 'given_score' failed: " in found.note
    assert found.failures_of("unscored < 1") == ["unscored is 2, not < 1"]
    suites = ElementTree.fromstring(found.to_junit())
    assert len(suites.findall(".//skipped")) == 2
    assert "no score: scorer &#39;given_score&#39; failed: scorer &#39;given_score&#39; returned NaN" in found.to_html()
    assert [value is None for value in found.to_json()["variants"][1]["scores"]] == [n in (3, 4) for n in range(12)]


@pytest.mark.parametrize("said", ["nan", "mumbles"])
def test_a_scorer_that_never_gives_a_score_costs_three_calls(said: str) -> None:
    """The error says what it said."""
    calls: list[int] = []

    def noting(n: int) -> int:
        calls.append(n)
        return n

    with pytest.raises(pr.errors.InvalidScore, match=r"None of the first 3 answers has a score.*'judged' failed"):
        pr.evaluate(predict_fn=noting, data=DATA, scorers=[judge_of(dict.fromkeys(range(12), said))], options=QUIET)
    assert len(calls) == 3


asked: Counter[str] = Counter()


@pr.scorer
def unsteady(inputs: Mapping[str, Any], outputs: Mapping[str, str], expectations: Mapping[str, str]) -> pr.Feedback:
    """As the target's scorer, but every seventh verdict cannot be read."""
    asked["calls"] += 1
    if asked["calls"] % 7 == 0:
        raise pr.errors.ModelUnavailable("the judge gave no verdict that can be read")
    verdict: pr.Feedback = target.right.function(outputs, expectations)
    return verdict


@pytest.mark.parametrize("optimizer", ["commit_queue", "metaprompt", "few_shot", "gepa"])
def test_a_search_and_its_proof_go_on_without_some_scores(registry: pr.PromptRegistry, optimizer: str) -> None:
    """They are stored without one, and shown with the result; no optimizer takes them for failures."""
    pytest.importorskip("gepa") if optimizer == "gepa" else None
    result = pr.optimize_prompts(
        predict_fn=target.predict, train_data=target.rows(4), eval_data=target.rows(2, start=100), prompt_uris=target.register(),
        scorers=[unsteady], reflection_model=target.reflect, optimizer=optimizer, budget=150, options=QUIET,
    )  # fmt: skip
    stored = registry.store.runs.rollouts(result.run_id, "train")
    missing = [rollout for rollout in stored if rollout.unscored]
    assert len(missing) > 3
    assert not any(rollout.error for rollout in stored)
    assert {rollout.score for rollout in missing} == {None}
    assert result.failed_rollouts == 0
    if result.held_out is not None:
        both = [b for b, a in zip(result.held_out.before.rollouts, result.held_out.after.rollouts, strict=True)
                if b.score is not None and a.score is not None]  # fmt: skip
        assert result.held_out.difference.n == len(both)
    proven = [r for r in registry.store.runs.rollouts(result.run_id, "held_out") if r.unscored]
    assert result.unscored_rollouts == len(missing) + len(proven)
    assert f"{result.unscored_rollouts} rollouts without a score" in repr(result)


def test_agreement_of_a_judge_counts_what_it_could_not_say() -> None:
    """Beside the rows that it judged; a judge that says nothing at all is an error."""
    replies = iter(['{"verdict": "yes"}', "hm", "hm", "hm", '{"verdict": "no"}'])
    judge = pr.scorers.Judge("Is it?", model=lambda messages: next(replies))
    rows = [{"outputs": "a", "label": True}, {"outputs": "b", "label": True}, {"outputs": "c", "label": False}]
    found = pr.scorers.judge_agreement(judge, rows, concurrency=1)
    assert (found.n, found.accuracy, found.unscored) == (2, 1.0, 1)
    assert "1 without a score" in str(found)
    with pytest.raises(pr.errors.ModelUnavailable, match="no verdict"):
        pr.scorers.judge_agreement(pr.scorers.Judge("Is it?", model=lambda messages: "hm"), rows)
