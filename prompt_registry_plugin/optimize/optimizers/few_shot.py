"""Demonstrations instead of rules: prompts are shown answers from the best rollouts, and sets of such demonstrations are compared.

Taking them from rollouts is the idea of DSPy's BootstrapFewShot (Khattab et al., 2023). The sets are compared by successive halving
(Jamieson & Talwalkar, 2016): all on a few examples, then the better half on more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.evaluation.scoring import mean_score
from prompt_registry_plugin.optimize.engine.components import demonstrations
from prompt_registry_plugin.optimize.engine.problem import OptimizationResult, Problem
from prompt_registry_plugin.optimize.optimizers.reflection import shown_text
from prompt_registry_plugin.records import Candidate, Example, Rollout, Template, TemplateFormat
from prompt_registry_plugin.templates import compile_template
from prompt_registry_plugin.tracing.calls import is_call

# All of these were chosen, not measured.
_SIZES = (2, 3, 4, 6)  # demonstrations in a set, in turn: each one costs tokens in every call, so small sets take part
_SETS = 8  # with the baseline nine, which three rounds halve to one
_BLOCK = 8  # examples that a round adds
_FEWEST = 4  # examples of a round; with fewer, luck decides
_BASELINE_SHARE = 0.4  # of the budget, for the rollouts that demonstrations are taken from; the rest is for comparing


class FewShot:
    """Adds demonstrations to every prompt whose answers are known from the best rollouts. None is invented."""

    name = "few_shot"
    reflects = False
    needs_data = True
    sees_rollouts_only = True  # so examples without any are as good as held out

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """Return the best set of demonstrations, or the baseline if none is better."""
        wanted = list(problem.train)[: max(1, round(problem.budget * _BASELINE_SHARE))]
        examples = problem.affordable(wanted, problem.baseline)
        if not examples:
            return OptimizationResult(problem.baseline)
        rollouts = await problem.evaluate(problem.baseline, examples)
        scored = [(e, r, r.score) for e, r in zip(examples, rollouts, strict=True) if r.error is None and r.score is not None]
        best = max((score for *_, score in scored), default=0.0)
        good = [(example, rollout) for example, rollout, score in scored if score == best]
        if len(good) < _SIZES[-1]:  # too few for a set: all that are above the mean, the best first
            mean = mean_score(rollouts) or 0.0
            good = [run[:2] for run in sorted((run for run in scored if run[2] > mean), key=lambda run: -run[2])]
        sets = [_demonstrate(problem, problem.random.sample(good, min(_SIZES[i % len(_SIZES)], len(good)))) for i in range(_SETS)]
        field = {candidate.id: candidate for candidate in (problem.baseline, *sets)}
        for candidate in field.values():
            if candidate is not problem.baseline:
                problem.decide(candidate, "proposed", candidate.note)
        if len(field) == 1:
            problem.tell("message", "it is not known what the model answered to a prompt: enable the framework's adapter, "
                                    "or answer with a mapping by prompt name")  # fmt: skip
        return await _race(problem, list(field.values()))


async def _race(problem: Problem, field: list[Candidate]) -> OptimizationResult:
    """Return the candidate that is left after rounds on more and more validation examples, each with the better half of them."""
    examples: list[Example] = []
    means: dict[str, float] = {}
    while len(field) > 1:
        wanted = list(problem.validation)[: len(examples) + _BLOCK]
        while len(field) > 1 and len(problem.affordable(wanted, *field)) < min(len(wanted), _FEWEST):
            field.pop()  # the worst so far; in the first round, any
        block = problem.affordable(wanted, *field)
        if len(field) == 1 or len(block) <= len(examples):
            break
        examples = block
        results = await all_of(problem.evaluate(candidate, examples) for candidate in field)
        means = {c.id: mean_score(done) or 0.0 for c, done in zip(field, results, strict=True)}
        field.sort(key=lambda candidate: -means[candidate.id])
        for candidate in field[max(1, len(field) // 2) :]:
            if candidate is not problem.baseline:
                reason = f"{candidate.note}: {means[candidate.id]:.3f} on {len(examples)} examples"
                problem.decide(candidate, "rejected", reason)
        field = field[: max(1, len(field) // 2)]
        problem.note_best(means[field[0].id])
    best = field[0] if means else problem.baseline  # nothing was compared
    return OptimizationResult(best, means.get(best.id))


def _demonstrate(problem: Problem, runs: Sequence[tuple[Example, Rollout]]) -> Candidate:
    """Return the baseline with these runs as demonstrations; the baseline itself if no prompt's answers are known."""
    templates = dict(problem.baseline.templates)
    for name, template in templates.items():
        shown = [
            (_inputs_text(example), answer.strip())
            for example, rollout in runs
            if (answer := _answer(problem, name, rollout)) is not None
        ]
        if not shown:
            continue
        if isinstance(template, str):
            listed = "\n\n".join(f"{inputs}\nAnswer: {answer}" for inputs, answer in shown)
            text = f"{template}\n\nExamples:\n\n{listed}"
            templates[name] = template if problem.fault(name, text, template) else text
        else:
            templates[name] = _with_exchanges(template, shown, problem.format_of(name))
    made = Candidate(templates, problem.baseline.id, f"{len(runs)} demonstrations")
    return problem.baseline if made.id == problem.baseline.id else made


def _answer(problem: Problem, name: str, rollout: Rollout) -> str | None:
    """Return what the model answered to a prompt: the answer of the target, if there is one prompt and no trace.

    None if it is not known, if the row never reached the prompt, or if the answer is a call, which no text can demonstrate.
    """
    if not rollout.reached(name):
        return None
    single = len(problem.baseline.templates) == 1 and isinstance(rollout.outputs, str)
    answer: str | None = rollout.outputs_by_prompt.get(name, rollout.outputs if single else None)
    return None if answer is None or is_call(answer) else answer


def _with_exchanges(template: Sequence[Mapping[str, Any]], shown: Sequence[tuple[str, str]], form: TemplateFormat) -> Template:
    """Return a chat prompt with these exchanges after its system messages, in place of those that it had."""
    old = set(demonstrations(template))
    kept = [dict(message) for i, message in enumerate(template) if i not in old]
    at = next((i for i, message in enumerate(kept) if message.get("role") not in ("system", "developer")), len(kept))
    pairs = [{"role": role, "content": text} for pair in shown for role, text in zip(("user", "assistant"), pair, strict=True)]
    made = [*kept[:at], *pairs, *kept[at:]]
    try:
        same = compile_template(made, "demonstrations", form).variables == compile_template(kept, "the rest", form).variables
    except InvalidTemplate:
        same = False
    return made if same else template  # an answer may contain what reads like a variable


def _inputs_text(example: Example) -> str:
    return "\n".join(f"{field}: {shown_text(value)}" for field, value in example.inputs.items())
