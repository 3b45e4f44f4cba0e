"""Comparing variants of an agent on the same rows: versions of its prompts, models, or whole targets, all in pairs with the first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any
from xml.etree import ElementTree

from prompt_registry_plugin.concurrency import blocking
from prompt_registry_plugin.datasets.dataset import frame_of
from prompt_registry_plugin.datasets.examples import Data
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.evaluation.evaluate import EvaluationResult, aevaluate
from prompt_registry_plugin.evaluation.gate import _MEASURES, _REGRESSION, _holds, read_gate
from prompt_registry_plugin.evaluation.html import page
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.runner import Aggregation
from prompt_registry_plugin.evaluation.statistics import PairedDifference, paired_difference
from prompt_registry_plugin.evaluation.targets import import_object
from prompt_registry_plugin.masking import clean
from prompt_registry_plugin.models.prompt_agent import PromptAgent
from prompt_registry_plugin.records import Example, Interval, Template
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.functions import examples_of
from prompt_registry_plugin.uri import as_uri, parse

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant with its evaluation, and how much better than the first it is: None for the first itself.

    `p_value` is corrected for the number of variants that are compared (Holm, 1979). `prompt` and `model` say what it is made of.
    """

    name: str
    result: EvaluationResult
    difference: PairedDifference | None = None
    p_value: float | None = None
    prompt: str = ""
    model: str = ""

    @property
    def regressed(self) -> bool:
        """Whether the whole interval of the difference lies below zero."""
        return self.difference is not None and self.difference.difference.high is not None and self.difference.difference.high < 0

    def measure(self, what: str) -> float | None:
        """A figure by name: `score`, a scorer, `failures`, `seconds` and `cost` and `tokens` of a run; None where it is not known."""
        result, n = self.result, len(self.result.rollouts)
        if what == "failures":
            return float(len(result.failures))
        if what == "cost":
            return None if result.cost is None else result.cost / n
        if what == "tokens":
            return (result.usage.input_tokens + result.usage.output_tokens) / n
        found = {"score": result.score, "seconds": result.seconds, **result.scores}.get(what)
        return None if found is None else found.mean


@dataclass(frozen=True, repr=False)
class Comparison:
    """Variants on the same rows, the first being what the others are compared with."""

    variants: Sequence[Variant]
    examples: Sequence[Example]

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in [self.columns, *self.rows()])

    @property
    def columns(self) -> list[str]:
        """What `rows` tells of each variant: what says nothing about any of them is left out."""
        return [heading for heading, _ in self._columns]

    def rows(self) -> list[list[str]]:
        """The table as texts."""
        return [[show(variant) for _, show in self._columns] for variant in self.variants]

    @cached_property
    def _columns(self) -> list[tuple[str, Callable[[Variant], str]]]:
        several = len(self.variants) > 1
        results = [variant.result for variant in self.variants]
        names = self.variants[0].result.scorers
        # The score of a single scorer is that scorer's, unless somebody aggregated it otherwise.
        aggregated = len(names) > 1 or any(result.score != result.scores[name] for result in results for name in names)
        shown: list[tuple[str, Callable[[Variant], str], bool]] = [
            ("variant", lambda v: v.name, True),
            ("score", lambda v: str(v.result.score), aggregated),
            *((name, partial(_scored, name), True) for name in names),
            ("than the first", lambda v: "" if v.difference is None else str(v.difference.difference), several),
            ("p", lambda v: "" if v.p_value is None else f"{v.p_value:.4f}", several),
            ("failures", lambda v: str(len(v.result.failures)), any(result.failures for result in results)),
            ("seconds", lambda v: f"{v.result.seconds.mean:.2f}", True),
            ("tokens", lambda v: f"{v.measure('tokens'):.0f}", any(result.usage.calls for result in results)),
            ("cost", _cost, any(result.cost for result in results)),
        ]
        return [(heading, show) for heading, show, tells in shown if tells]

    def matrix(self, what: str = "score") -> list[list[str]]:
        """A row for each prompt and a column for each model, with a heading: the score with its interval, or another measure.

        Empty where there are not several of both. Raises `UserError` for a measure that is not known.
        """
        prompts, models = (list(dict.fromkeys(getattr(v, part) for v in self.variants)) for part in ("prompt", "model"))
        if len(prompts) < 2 or len(models) < 2 or len(self.variants) != len(prompts) * len(models):
            return []
        cells = {(v.prompt, v.model): self._cell(v, what) for v in self.variants}
        return [[what, *models], *([prompt, *(cells[prompt, model] for model in models)] for prompt in prompts)]

    def _cell(self, variant: Variant, what: str) -> str:
        shown = {"score": variant.result.score, **variant.result.scores}.get(what)
        if shown is not None:
            return str(shown)
        value = variant.measure(what)
        if value is None:
            raise UserError(f"{what!r} is not known here; there are {', '.join([*_MEASURES, *variant.result.scorers])}")
        return f"{value:.4g}"

    @property
    def note(self) -> str:
        """What the figures are, in a sentence."""
        n = len(self.variants) - 1
        several = f"; p-values are corrected for {n} comparisons (Holm)" if n > 1 else ""
        return f"{len(self.examples)} rows; differences are paired with {self.variants[0].name}, intervals hold 95 %{several}"

    def to_json(self) -> dict[str, Any]:
        """Every figure, and every row's scores."""
        return {
            "variants": [
                {
                    "name": v.name,
                    "measures": {what: v.measure(what) for what in (*_MEASURES, *v.result.scorers)},
                    "interval": [v.result.score.low, v.result.score.high],
                    "difference": v.difference and _bounds(v.difference.difference),
                    "p_value": v.p_value,
                    "scores": [rollout.score for rollout in v.result.rollouts],
                    "errors": [rollout.error for rollout in v.result.rollouts],
                }
                for v in self.variants
            ],
            "examples": [{"id": e.id, "inputs": dict(e.inputs), "expectations": dict(e.expectations)} for e in self.examples],
        }  # fmt: skip

    def to_frame(self) -> Any:
        """A pandas frame with a row for each variant and example. Raises `UserError` without pandas."""
        return frame_of(
            {"variant": v.name, **e.inputs, "output": r.outputs, "score": r.score, "error": r.error, "seconds": r.seconds,
             **{name: score.value for name, score in r.scores.items()}}
            for v in self.variants for e, r in zip(self.examples, v.result.rollouts, strict=True)
        )  # fmt: skip

    def to_junit(self, gate: str | None = None) -> str:
        """JUnit XML: a suite for each variant with a case for each row, an error where it failed, and a case for the gate."""
        root = ElementTree.Element("testsuites")
        for v in self.variants:
            wrong = [(e, r) for e, r in zip(self.examples, v.result.rollouts, strict=True) if r.error is not None]
            suite = ElementTree.SubElement(root, "testsuite", name=v.name, tests=str(len(self.examples)), errors=str(len(wrong)))
            for e, r in zip(self.examples, v.result.rollouts, strict=True):
                case = ElementTree.SubElement(suite, "testcase", name=_short(e), classname=v.name, time=f"{r.seconds:.3f}")
                if r.error is not None:
                    ElementTree.SubElement(case, "error", message=_printable(r.error)[:500])
                else:
                    ElementTree.SubElement(case, "system-out").text = f"score {r.score:g}"
        if gate is not None:
            reasons = self.failures_of(gate)
            suite = ElementTree.SubElement(root, "testsuite", name="gate", tests="1", failures=str(int(bool(reasons))))
            case = ElementTree.SubElement(suite, "testcase", name=gate, classname="gate")
            if reasons:
                ElementTree.SubElement(case, "failure", message="; ".join(reasons))
        return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)

    def to_html(self) -> str:
        """One page that loads nothing: the table, and every row with each variant's answer and score."""
        cells = [
            (e, [(v.result.rollouts[i], v.result.rollouts[i].score) for v in self.variants]) for i, e in enumerate(self.examples)
        ]
        return page("comparison.html.j2", comparison=self, cells=cells)

    def failures_of(self, gate: str) -> list[str]:
        """Why the last variant does not pass a gate such as `"accuracy >= 0.8 and no regression"`; empty when it does.

        A condition compares a scorer, `score`, `failures`, `seconds`, `cost` or `tokens` (of a run) with a number; `no regression` says
        that the variant is not worse than the first by more than chance. Raises `UserError` for a gate that cannot be read.
        """
        variant, reasons = self.variants[-1], []
        for what, op, bound in read_gate(gate, variant.result.scorers, len(self.variants)):
            if what == _REGRESSION:
                reasons += self._regressions()
                continue
            value = variant.measure(what)
            if value is None:
                raise UserError(
                    f"the gate names {what!r}, which is not known of this run: no prices, or no model calls that were traced"
                )
            if not _holds(value, op, bound):
                reasons.append(f"{what} is {value:.4g}, not {op} {bound:g}")
        return reasons

    def _regressions(self) -> list[str]:
        first, last = self.variants[0], self.variants[-1]
        if last.difference is None or not last.regressed:
            return []
        return [f"{last.name} is worse than {first.name}: {last.difference.difference}"]


async def acompare(
    *,
    predict_fn: Any,
    data: Data,
    scorers: Sequence[Any],
    prompts: Sequence[Said] = (),
    models: Sequence[str] = (),
    aggregation: Aggregation | None = None,
    options: RunOptions | None = None,
) -> Comparison:
    """Evaluates every variant on every row of `data`, and each but the first in pairs with the first.

    `prompts` are prompt URIs (several in a list hold together) or templates by name; `models` are given to `predict_fn` as `model`, or
    stand for a `PromptAgent`'s own; a mapping of names to targets may stand for `predict_fn`. Variants are all their combinations. Of
    a `PromptAgent`, each version's model settings count too. Raises as `evaluate` does.
    """
    options = options or RunOptions()
    examples = examples_of(data)
    named = dict(predict_fn) if isinstance(predict_fn, Mapping) else {"": predict_fn}
    targets = {name: import_object(target) if isinstance(target, str) else target for name, target in named.items()}
    names = [name for name, *_ in _plan(targets, prompts, models)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{twice[0]!r} is compared twice")
    if not all(isinstance(target, PromptAgent) for target in targets.values()):
        _warn_of_settings(prompts)
    found: list[Variant] = []
    for name, target, said, model in _plan(targets, prompts, models):
        prompt_name, templates = _variant(said)
        settings, agent = options, target
        if isinstance(target, PromptAgent):  # of which everything about a version counts, not its text alone
            reference = next((uri for uri in _uris(said) if parse(uri).name == parse(as_uri(target.prompt)).name), None)
            agent = target.replace(prompt=reference, model=model or None)
        elif model:
            settings = replace(options, arguments={**options.arguments, "model": model})
        result = await aevaluate(
            predict_fn=agent, data=examples, scorers=scorers, prompts=templates, aggregation=aggregation, options=settings
        )
        found.append(Variant(name, result, prompt=prompt_name, model=model))
    first = [rollout.score for rollout in found[0].result.rollouts]
    differences = [paired_difference(first, [r.score for r in variant.result.rollouts]) for variant in found[1:]]
    corrected = holm([difference.p_value for difference in differences])
    rest = [
        replace(variant, difference=difference, p_value=p_value)
        for variant, difference, p_value in zip(found[1:], differences, corrected, strict=True)
    ]
    return Comparison([found[0], *rest], examples)


compare = blocking(acompare)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for how many they are (Holm, 1979), in the given order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, least = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = least
    return corrected


Said = str | Sequence[str] | Mapping[str, Template]


def _plan(targets: Mapping[str, Any], prompts: Sequence[Said], models: Sequence[str]) -> Iterator[tuple[str, Any, Said, str]]:
    """Every variant: its name, target, prompts and model."""
    for target_name, target in targets.items():
        for said in prompts or [{}]:
            for model in models or [""]:
                yield ", ".join(part for part in (target_name, _name(said), model) if part) or "as it is", target, said, model


def _name(said: Said) -> str:
    if isinstance(said, Mapping):
        return ", ".join(f"{name} as given" for name in said)
    return ", ".join(uri.removeprefix("prompts:/") for uri in _uris(said))


def _variant(said: Said) -> tuple[str, dict[str, Template]]:
    if isinstance(said, Mapping):
        return _name(said), dict(said)
    versions = [current_registry().load_prompt(uri) for uri in _uris(said)]
    if jinja := [version.name for version in versions if version.template_format != "double_brace"]:
        raise UserError(f"prompt {jinja[0]!r} is a Jinja template; compare those by targets of their own")
    return _name(said), {version.name: version.template for version in versions}


def _uris(said: Said) -> list[str]:
    return [] if isinstance(said, Mapping) else [said] if isinstance(said, str) else list(said)


def _warn_of_settings(prompts: Sequence[Any]) -> None:
    """Says so where versions differ in more than their text, as nothing else is substituted."""
    found: dict[str, list[Any]] = {}
    for uri in (uri for said in prompts for uri in _uris(said)):
        version = current_registry().load_prompt(uri)
        settings = [version.model_config, version.response_format, version.tools]
        if found.setdefault(version.name, settings) != settings:
            logger.warning(
                "versions of %r differ in model_config, response_format or tools; only their texts are compared", version.name
            )


def _scored(name: str, variant: Variant) -> str:
    return str(variant.result.scores[name])


def _cost(variant: Variant) -> str:
    cost = variant.measure("cost")
    return "–" if cost is None else f"${cost:.6f}"


def _bounds(interval: Interval) -> list[float | None]:
    return [interval.mean, interval.low, interval.high]


def _short(example: Example) -> str:
    return _printable(", ".join(f"{name}={value}" for name, value in example.inputs.items()))[:120]


def _printable(text: str) -> str:
    """XML holds no control characters; nor does it hold secrets."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in clean(text))


__all__ = ["Comparison", "Variant", "acompare", "compare", "holm"]
