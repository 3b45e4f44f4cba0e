"""What a plan warns of: rows that prove nothing, scores that say nothing, and costs that are not known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from prompt_registry_plugin.datasets.examples import same_inputs
from prompt_registry_plugin.optimize.engine.plan import FEWEST_FOR_PROOF, OptimizationPlan
from prompt_registry_plugin.records import Example, Rollout, digest

_MOSTLY = 0.5  # the share of rows that differ below which a plan warns
_ENOUGH_TO_JUDGE = 3  # answers from which a scorer is called constant


def warn_of_rows(train: Sequence[Example], held_out: Sequence[Example]) -> list[str]:
    """Return what is wrong with the rows themselves: they are the same, expect the same, or stand on both sides."""
    found = []
    distinct = len({same_inputs(row) for row in train})
    if train and distinct < max(2, _MOSTLY * len(train)):
        found.append(
            f"Only {distinct} of {len(train)} training rows differ in their inputs. The search cannot learn more than these."
        )
    expected = Counter(digest(row.expectations) for row in train if row.expectations)
    if len(train) > 1 and len(expected) == 1 and sum(expected.values()) == len(train):
        found.append(
            f"All {len(train)} training rows expect the same ({dict(train[0].expectations)!r:.80}). A prompt that always answers that wins."
        )
    return found + _warn_of_overlap(train, held_out)


def _warn_of_overlap(train: Sequence[Example], held_out: Sequence[Example]) -> list[str]:
    exact, similar = {digest(row.inputs) for row in train}, {same_inputs(row) for row in train}
    both = [row for row in held_out if digest(row.inputs) in exact]
    near = [row for row in held_out if digest(row.inputs) not in exact and same_inputs(row) in similar]
    found = []
    if both:
        found.append(
            f"{len(both)} rows are in both train_data and eval_data, such as {dict(both[0].inputs)!r:.80}. Remove them from one: "
            "optimize_prompts refuses them, since they prove nothing."
        )
    if near:
        found.append(
            f"{len(near)} rows of eval_data differ from training rows only in case, whitespace or punctuation, such as "
            f"{dict(near[0].inputs)!r:.80}. The proof may be too good. Remove them from one."
        )
    return found


def warn_of_proof(plan: OptimizationPlan) -> list[str]:
    """Return why the plan can prove nothing, or hardly anything."""
    if plan.provable is None:
        return [
            f"This run cannot prove anything: {plan.held_out} rows are held out, and {FEWEST_FOR_PROOF} are the fewest. Give 20 rows or "
            "more, eval_data, or a larger Budget(proof=…)."
        ]
    score = plan.costs.score
    if score is not None and 0 <= score <= 1 and 1 - score < plan.provable:
        return [
            f"This run can hardly prove anything: the baseline scores {score:.2f}, so at most {1 - score:.2f} can be gained, and "
            f"{plan.held_out} held-out rows prove gains above {plan.provable:.2f}. Give harder rows or more of them."
        ]
    return []


def warn_of_scores(rollouts: Sequence[Rollout], blank: Sequence[Rollout] = ()) -> list[str]:
    """Return which scorers gave every answer the same score, on answers that differ; `blank`: answers to prompts without their text."""
    found = []
    answered = [rollout for rollout in (*rollouts, *blank) if rollout.error is None]
    differ = len({digest(_plain(rollout.outputs)) for rollout in answered}) > 1
    for name in sorted({name for rollout in answered for name in rollout.scores}):
        values = [rollout.scores[name].value for rollout in answered if name in rollout.scores]
        if differ and len(values) >= _ENOUGH_TO_JUDGE and len(set(values)) == 1:
            found.append(
                f"Scorer {name!r} gave all {len(values)} answers {values[0]:g}, though they differ. If it is constant, nothing can be "
                "learned."
            )
    if rollouts and not answered:
        found.append(f"The target failed on all {len(rollouts)} rows that were tried, such as: {rollouts[0].error}")
    return found


def warn_of_ignored_prompts(rollouts: Sequence[Rollout], blank: Sequence[Rollout]) -> list[str]:
    """Return whether the answers are the same with prompts whose text was taken out: no edit changes anything then."""
    answers: Mapping[str, Rollout] = {rollout.example_id: rollout for rollout in rollouts}
    pairs = [(answers[rollout.example_id], rollout) for rollout in blank if rollout.example_id in answers]
    pairs = [pair for pair in pairs if pair[0].error is None and pair[1].error is None]
    if not pairs or any(_plain(before.outputs) != _plain(after.outputs) for before, after in pairs):
        return []
    return [
        f"The target seems to ignore its prompts: on {len(pairs)} rows it answered the same when their text was taken out. Check that the "
        "text that optimize_prompts substitutes reaches the model, and that no cache answers in its place."
    ]


def warn_of_prices(plan: OptimizationPlan, reflection_model: str | None) -> list[str]:
    """Return whose prices are not known."""
    unknown = (
        [] if not plan.reflections or plan.reflection_dollars is not None else [f"the reflection model {reflection_model!r}"]
    )
    if plan.costs.measured_on and plan.costs.dollars is None:
        unknown.append("the target's or a judge's model")
    if not unknown:
        return []
    return [
        f"The price of {' and '.join(unknown)} is not known, so there is no estimate in dollars. Set it in "
        "RunOptions(prices={'model': Price(input=…, output=…)}), or install the extra 'prices'."
    ]


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None | list | dict) else repr(value)
