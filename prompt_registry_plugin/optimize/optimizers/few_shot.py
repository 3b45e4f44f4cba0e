"""Demonstrations instead of rules: answers of the workflow's own best runs are shown to its prompts (the idea of DSPy's
BootstrapFewShot, Khattab et al., 2023), and sets of them race (successive halving, Jamieson & Talwalkar, 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.optimize.engine.components import demonstrations
from prompt_registry_plugin.optimize.engine.problem import OptimizationResult, Problem
from prompt_registry_plugin.optimize.optimizers.reflection import shown_text
from prompt_registry_plugin.records import Candidate, Example, Rollout, Template, TemplateFormat
from prompt_registry_plugin.templates import compile_template

_SIZES = (2, 3, 4, 6)  # demonstrations in a set
_SETS = 8
_BLOCK, _LEAST = 8, 4  # examples of a round of the race; fewer than so many tell nothing
_LOOKED_AT = 0.4  # share of the budget that the baseline's runs may take


class FewShot:
    """See the module. Every prompt that the best runs tell an answer of gets demonstrations; none is invented."""

    name = "few_shot"
    reflects = False

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """The set that won the race, which the baseline takes part in."""
        wanted = list(problem.train)[: max(1, round(problem.budget * _LOOKED_AT))]
        looked_at = problem.affordable(wanted, problem.baseline)
        if not looked_at:
            return OptimizationResult(problem.baseline)
        rollouts = await problem.evaluate(problem.baseline, looked_at)
        runs = [(e, r) for e, r in zip(looked_at, rollouts, strict=True) if r.error is None]
        best = max((rollout.score for _, rollout in runs), default=0.0)
        good = [(example, rollout) for example, rollout in runs if rollout.score == best]
        if len(good) < _SIZES[-1]:  # then the next best, as far as they are above the middle
            middle = fmean(rollout.score for rollout in rollouts)
            good = sorted((run for run in runs if run[1].score > middle), key=lambda run: -run[1].score)
        sets = [self._with(problem, problem.random.sample(good, min(_SIZES[i % len(_SIZES)], len(good)))) for i in range(_SETS)]
        field = {candidate.id: candidate for candidate in (problem.baseline, *sets)}
        for candidate in field.values():
            if candidate is not problem.baseline:
                problem.decide(candidate, "proposed", candidate.note)
        if len(field) == 1:
            problem.tell("message", "no run told what a prompt's model answered: enable the framework's adapter, "
                                    "or answer with a mapping by prompt name")  # fmt: skip
        return await self._race(problem, list(field.values()))

    async def _race(self, problem: Problem, field: list[Candidate]) -> OptimizationResult:
        examples: list[Example] = []
        means: dict[str, float] = {}
        while len(field) > 1:
            wanted = list(problem.validation)[: len(examples) + _BLOCK]
            while len(field) > 1 and len(problem.affordable(wanted, *field)) < min(len(wanted), _LEAST):
                field.pop()  # the worst so far, or one of those that nothing is known of
            block = problem.affordable(wanted, *field)
            if len(field) == 1 or len(block) <= len(examples):
                break
            examples = block
            results = await all_of(problem.evaluate(candidate, examples) for candidate in field)
            means = {c.id: fmean(r.score for r in done) for c, done in zip(field, results, strict=True)}
            field.sort(key=lambda candidate: -means[candidate.id])
            for candidate in field[max(1, len(field) // 2) :]:
                if candidate is not problem.baseline:
                    said = f"{candidate.note}: {means[candidate.id]:.3f} on {len(examples)} examples"
                    problem.decide(candidate, "rejected", said)
            field = field[: max(1, len(field) // 2)]
            problem.note_best(means[field[0].id])
        best = field[0] if means else problem.baseline  # nothing was compared
        return OptimizationResult(best, means.get(best.id))

    def _with(self, problem: Problem, runs: Sequence[tuple[Example, Rollout]]) -> Candidate:
        templates = dict(problem.baseline.templates)
        for name, template in templates.items():
            shown = [
                (_said(example), answer.strip())
                for example, rollout in runs
                if (answer := _answer(problem, name, rollout)) is not None
            ]
            if not shown:
                continue
            if isinstance(template, str):
                listed = "\n\n".join(f"{said}\nAnswer: {answer}" for said, answer in shown)
                text = f"{template}\n\nExamples:\n\n{listed}"
                templates[name] = template if problem.fault(name, text, template) else text
            else:
                templates[name] = _demonstrated(template, shown, problem.format_of(name))
        made = Candidate(templates, problem.baseline.id, f"{len(runs)} demonstrations")
        return problem.baseline if made.id == problem.baseline.id else made


def _answer(problem: Problem, name: str, rollout: Rollout) -> str | None:
    """What the model answered to a prompt; of a workflow with a single prompt, its own answer."""
    single = len(problem.baseline.templates) == 1 and isinstance(rollout.outputs, str)
    return rollout.outputs_by_prompt.get(name, rollout.outputs if single else None)


def _demonstrated(template: Sequence[Mapping[str, Any]], shown: Sequence[tuple[str, str]], form: TemplateFormat) -> Template:
    """The chat prompt with these exchanges after its system messages, in place of those that it had."""
    old = set(demonstrations(template))
    kept = [dict(message) for i, message in enumerate(template) if i not in old]
    at = next((i for i, message in enumerate(kept) if message.get("role") not in ("system", "developer")), len(kept))
    pairs = [{"role": role, "content": text} for pair in shown for role, text in zip(("user", "assistant"), pair, strict=True)]
    made = [*kept[:at], *pairs, *kept[at:]]
    try:
        same = compile_template(made, "demonstrations", form).variables == compile_template(kept, "the rest", form).variables
    except InvalidTemplate:
        same = False
    return made if same else template  # what a run said may read like a template


def _said(example: Example) -> str:
    return "\n".join(f"{field}: {shown_text(value)}" for field, value in example.inputs.items())
